/**
 * Copies are a cache and never the evidence: an answer is that of the segments that are there, whatever lies in the cache, and what
 * lies in the way of the cache (somebody else's folder, a link, no permission) costs time and no safety.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { applyRetention, planRetention } from "../audit/retention.ts";
import { Spool } from "../audit/spool.ts";
import { clearCopies } from "./cache.ts";
import type { QueryOptions } from "./query.ts";
import { ask, connection, epoch, Recorder, select, temporary, using } from "./testing/records.ts";

const isRoot = process.getuid!() === 0;

/** Three segments, the last of them live. */
function record(): Recorder & { paths: string[] } {
  const recorder = new Recorder();
  const paths = [
    recorder.segment([connection("a.example", { count: 2 }), connection("b.example")]),
    recorder.segment([connection("a.example", { time: epoch + 1 })]),
    recorder.segment([connection("live.example", { time: epoch + 2 })]),
  ];
  return Object.assign(recorder, { paths });
}

const cacheOf = (recorder: Recorder) => join(recorder.directory, "query");
const copies = (recorder: Recorder) => readdirSync(cacheOf(recorder)).toSorted();

async function counts(options: QueryOptions): Promise<Record<string, unknown>> {
  const rows = await ask("destinations", options);
  return Object.fromEntries(rows.map(({ destination, connections }) => [destination as string, connections]));
}

const all = { "a.example": 3, "b.example": 1, "live.example": 1 };

/** The answer, how many segments were copied for it, and what people were told. */
async function asked(recorder: Recorder, more: Partial<QueryOptions> = {}) {
  const notes: string[] = [];
  let copied = 0;
  const options: QueryOptions = {
    inputs: [recorder.directory],
    onNote: (text) => notes.push(text),
    onProgress: () => copied++,
    ...more,
  };
  return { answer: await counts(options), copied, notes };
}

describe("copies of sealed segments", () => {
  test("are made once, of sealed segments alone, and are their owner's", async () => {
    const recorder = record();
    assert.deepEqual(await asked(recorder), { answer: all, copied: 2, notes: [] });
    assert.equal(copies(recorder).length, 4);
    assert.equal(statSync(cacheOf(recorder)).mode & 0o777, 0o700);
    for (const name of copies(recorder)) assert.equal(statSync(join(cacheOf(recorder), name)).mode & 0o777, 0o600);
    assert.deepEqual(await asked(recorder), { answer: all, copied: 0, notes: [] });
    // What was live is sealed once there is a newer one.
    recorder.segment([connection("new.example")]);
    assert.deepEqual(await asked(recorder), { answer: { ...all, "new.example": 1 }, copied: 1, notes: [] });
  });

  test("go with their segment when retention deletes it; one that was made meanwhile, with the next look", async () => {
    const directory = temporary();
    const spool = await Spool.open({ directory, segmentBytes: 4000, flushBytes: 500 });
    for (let port = 1; port <= 40; port++) spool.append({ ...connection("a.example").body, message: String(port) });
    await spool.flush();
    await ask("destinations", { inputs: [directory] });
    const cache = join(directory, "query");
    const before = readdirSync(cache).toSorted();
    const [oldest] = before;
    const kept = readFileSync(join(cache, oldest!));
    const tmp = join(cache, "tmp-0123456789abcdef.parquet");
    writeFileSync(tmp, "");
    utimesSync(tmp, new Date(0), new Date(0));
    const { left } = await planRetention(directory, { keepMs: null, keepBytes: 1e9 }, Date.now());
    const plan = await planRetention(directory, { keepMs: null, keepBytes: left.bytes - 5000 }, Date.now());
    assert.ok(plan.doomed.length > 0 && plan.left.segments > 2, `${left.segments}`);
    assert.equal(await applyRetention(directory, spool, plan), true);
    const first = plan.doomed.at(-1)!.segment.first;
    const rest = before.filter((name) => Number(/\d{12}/.exec(name)![0]) > first);
    assert.deepEqual(readdirSync(cache).toSorted(), rest);
    assert.ok(rest.length > 0 && rest.length === before.length - 2 * plan.doomed.length);
    writeFileSync(join(cache, oldest!), kept);
    await applyRetention(directory, spool, { ...plan, doomed: [], retention: null });
    assert.deepEqual(readdirSync(cache).toSorted(), rest);
    // A link in the place of the cache leads nowhere.
    const elsewhere = temporary();
    writeFileSync(join(elsewhere, oldest!), kept);
    rmSync(cache, { recursive: true });
    symlinkSync(elsewhere, cache);
    await applyRetention(directory, spool, { ...plan, doomed: [], retention: null });
    assert.deepEqual(readdirSync(elsewhere), [oldest]);
    await spool.close();
  });

  test("are for nobody else to read, also while they are made, in a folder that others could", async () => {
    const recorder = record();
    mkdirSync(cacheOf(recorder), { mode: 0o755 });
    await asked(recorder);
    assert.equal(statSync(cacheOf(recorder)).mode & 0o777, 0o700);
  });

  test("are deleted by who asks for that, here and elsewhere, and nothing else is", async () => {
    const recorder = record();
    const cache = temporary();
    await asked(recorder);
    await asked(recorder, { cache });
    writeFileSync(join(cacheOf(recorder), "mine"), "");
    assert.equal(await clearCopies([recorder.directory], null), 4);
    assert.deepEqual(copies(recorder), ["mine"]);
    assert.equal(await clearCopies([recorder.directory], cache), 4);
    assert.equal(await clearCopies([recorder.directory], cache), 0);
    chmodSync(cacheOf(recorder), 0o777);
    await assert.rejects(clearCopies([recorder.directory], null), {
      code: "QUERY_FAILED",
      message: /others may write/,
    });
  });

  test("may be deleted at any time, all or one", async () => {
    const recorder = record();
    await asked(recorder);
    for (const name of copies(recorder)) {
      rmSync(join(cacheOf(recorder), name));
      assert.deepEqual(await asked(recorder), { answer: all, copied: 1, notes: [] });
    }
    rmSync(cacheOf(recorder), { recursive: true });
    assert.deepEqual(await asked(recorder), { answer: all, copied: 2, notes: [] });
  });

  test("are those of the segment that is there: another one under its name is copied anew", async () => {
    const recorder = record();
    await asked(recorder);
    const other = new Recorder();
    other.segment([connection("other.example")]);
    const [name] = copies(recorder);
    copyFileSync(join(other.directory, "events/events-000000000001.ndjson"), recorder.paths[0]!);
    assert.deepEqual((await asked(recorder)).answer, { "other.example": 1, "a.example": 1, "live.example": 1 });
    assert.ok(!copies(recorder).includes(name!), "the old copy is gone");
    // Of the same size, with another end.
    const text = readFileSync(recorder.paths[1]!, "utf8");
    const size = statSync(recorder.paths[1]!).size;
    writeFileSync(recorder.paths[1]!, text.replace("a.example", "c.example"));
    assert.equal(statSync(recorder.paths[1]!).size, size);
    assert.deepEqual((await asked(recorder)).answer, { "other.example": 1, "c.example": 1, "live.example": 1 });
  });

  test("of segments that retention took away go as well, and other files stay", async () => {
    const recorder = record();
    await asked(recorder);
    writeFileSync(join(cacheOf(recorder), "README"), "mine");
    writeFileSync(join(cacheOf(recorder), "tmp-00.parquet"), "somebody is writing it");
    writeFileSync(join(cacheOf(recorder), "tmp-11.parquet"), "somebody was killed");
    utimesSync(join(cacheOf(recorder), "tmp-11.parquet"), 0, 0);
    rmSync(recorder.paths[0]!);
    assert.deepEqual((await asked(recorder)).answer, { "a.example": 1, "live.example": 1 });
    const left = copies(recorder);
    assert.equal(left.filter((name) => name.startsWith("events-000000000001")).length, 0);
    assert.deepEqual(
      left.filter((name) => !name.startsWith("events-")),
      ["README", "tmp-00.parquet"],
    );
  });

  test("that a crash left empty or cut are made again", async () => {
    const recorder = record();
    await asked(recorder);
    for (const [i, name] of copies(recorder).entries()) truncateSync(join(cacheOf(recorder), name), i * 20);
    assert.deepEqual(await asked(recorder), { answer: all, copied: 2, notes: [] });
    assert.deepEqual(await asked(recorder), { answer: all, copied: 0, notes: [] });
  });

  test("are not made in a folder that is a link, somebody else's, or open to others; the answer is the same", async () => {
    const aim = temporary();
    const outside = join(aim, "events-000000000001.1.aa.v1.events.parquet");
    writeFileSync(outside, "not ours to delete");
    const prepared: [string, (path: string) => void][] = [
      ["a link", (path) => symlinkSync(aim, path)],
      ["open", (path) => (mkdirSync(path), chmodSync(path, 0o777))],
      ["a file", (path) => writeFileSync(path, "")],
    ];
    if (isRoot) prepared.push(["another's", (path) => (mkdirSync(path, 0o700), chownSync(path, 65534, 65534))]);
    for (const [what, prepare] of prepared) {
      const recorder = record();
      prepare(cacheOf(recorder));
      const { answer, copied, notes } = await asked(recorder);
      assert.deepEqual([answer, copied, notes.length], [all, 2, 1], what);
      assert.match(notes[0]!, /--cache/);
      if (what !== "a file") assert.deepEqual(copies(recorder), what === "a link" ? readdirSync(aim) : [], what);
    }
    assert.deepEqual(readdirSync(aim).length, 1);
  });

  test(
    "below a place where no folder can be made there are none, and the answer comes all the same",
    { timeout: 30_000 },
    async () => {
      const { answer, copied, notes } = await asked(record(), { cache: "/proc/sallyport/cache" });
      assert.deepEqual([answer, copied, notes.length], [all, 2, 1]);
      assert.match(notes[0]!, /ENOENT/);
    },
  );

  test("are kept elsewhere under --cache, apart for each record", async () => {
    const [one, two] = [record(), record()];
    const cache = join(temporary(), "cache");
    const options = { cache, inputs: [one.directory, two.directory] };
    assert.equal((await asked(one, options)).copied, 4);
    assert.deepEqual((await asked(one, options)).copied, 0);
    assert.deepEqual((await asked(two, { cache })).copied, 0);
    assert.equal(readdirSync(cache).length, 2);
    assert.ok(!existsSync(cacheOf(one)));
  });

  test("a reader who may not write gets the answer, and leaves nothing", { skip: !isRoot }, () => {
    const recorder = record();
    for (const path of [recorder.directory, join(recorder.directory, "events")]) chmodSync(path, 0o755);
    for (const path of recorder.paths) chmodSync(path, 0o644);
    const home = temporary();
    chmodSync(home, 0o777);
    const main = new URL("../cli/main.ts", import.meta.url).pathname;
    const node = [process.execPath, "--disable-warning=ExperimentalWarning", main];
    const command = ["--reuid=65534", "--regid=65534", "--clear-groups", ...node];
    const { status, stdout, stderr } = spawnSync(
      "setpriv",
      [...command, "query", "destinations", "--state", recorder.directory, "--json"],
      { encoding: "utf8", env: { ...process.env, TMPDIR: home } },
    );
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trim().split("\n").length, 3);
    assert.match(stderr, /read for this question only/);
    assert.ok(!existsSync(cacheOf(recorder)));
    assert.deepEqual(readdirSync(home), []);
  });

  test("two who ask at once both get the answer", async () => {
    const recorder = record();
    const answers = await Promise.all([asked(recorder), asked(recorder), asked(recorder)]);
    for (const { answer } of answers) assert.deepEqual(answer, all);
    assert.equal(copies(recorder).length, 4);
  });

  test("an answer outlives the deletion of everything it is read from", async () => {
    const recorder = record();
    await asked(recorder);
    await using({ inputs: [recorder.directory] }, async (query) => {
      for (const isThere of [true, false]) {
        assert.equal(existsSync(recorder.directory), isThere);
        assert.equal((await query.ask("destinations", 9)).rows.length, 3);
        assert.deepEqual((await query.select("SELECT sum(count) FROM events", 1)).rows, [[5]]);
        rmSync(recorder.directory, { recursive: true, force: true });
      }
    });
  });
});

describe("damaged segments", () => {
  test("answer with the lines that are events, and say so each time", async () => {
    const recorder = record();
    const lines = readFileSync(recorder.paths[0]!, "utf8").split("\n");
    writeFileSync(recorder.paths[0]!, [lines[0], "not json", '{"schema":"other"}', lines[1], ""].join("\n"));
    for (let i = 0; i < 2; i++) {
      const { answer, copied, notes } = await asked(recorder);
      assert.deepEqual([answer, copied], [all, i === 0 ? 2 : 1]);
      assert.equal(notes.length, 1);
      assert.match(notes[0]!, /events-000000000001\.ndjson: 2 lines are no events.*logs verify/);
    }
    appendFileSync(recorder.paths[2]!, "not json\n");
    assert.match((await asked(recorder)).notes.at(-1)!, /events-000000000004\.ndjson: 1 line is no event/);
  });

  test("a torn end is no event and no damage", async () => {
    const recorder = record();
    appendFileSync(recorder.paths[0]!, '{"schema":"sallyport.event/1","time":"2026-05-04T0');
    appendFileSync(recorder.paths[2]!, '{"schema":"sallyport.event/1","time":"2026-05-04T0');
    assert.deepEqual(await asked(recorder), { answer: all, copied: 2, notes: [] });
    assert.deepEqual(await asked(recorder), { answer: all, copied: 0, notes: [] });
  });

  test("half a surrogate pair hides no event from a query", async () => {
    const recorder = new Recorder();
    const odd = connection("odd.example", {
      rule: { name: "a\ud800\\ud800\\", tier: 2, mode: "enforce", policy: "5d" },
    });
    recorder.segment([odd, connection("b.example")]);
    recorder.segment([odd]);
    const options = { inputs: [recorder.directory] };
    assert.deepEqual(await counts(options), { "odd.example": 2, "b.example": 1 });
    assert.deepEqual(await select("SELECT DISTINCT rule FROM events WHERE name = 'odd.example'", options), [
      ["a\ufffd\\ud800\\"],
    ]);
  });

  test("counts and sizes that nobody counted stop no question", async () => {
    const recorder = new Recorder();
    const huge = 9e18;
    const end = { kind: "flow_end", bytes: { up: huge, down: huge } } as const;
    recorder.segment([connection("a.example", { count: huge }), connection("a.example", { count: huge })]);
    recorder.segment([connection("a.example", end), connection("a.example", end), connection("a.example", end)]);
    recorder.segment([]);
    const [row] = await ask("destinations", { inputs: [recorder.directory] });
    assert.equal(row!["connections"], "9223372036854775807");
  });
});
