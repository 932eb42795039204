/** Records as they are written, read for a baseline; and files that people keep, replaced whole. */
import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { applyRetention, planRetention } from "../audit/retention.ts";
import { Spool } from "../audit/spool.ts";
import type { EventBody } from "../audit/event.ts";
import { Gatherer } from "./evidence.ts";
import { readRecorded } from "./inputs.ts";
import { RunTeller } from "./runs.ts";
import { bodyOf, connection } from "./testing/events.ts";
import { writeAtomically } from "./write.ts";

const work = mkdtempSync(join(tmpdir(), "sallyport-inputs-"));
after(() => rmSync(work, { recursive: true, force: true }));

/** Through the recorder itself. */
async function record(name: string, bodies: readonly EventBody[]): Promise<string> {
  const directory = join(work, name);
  mkdirSync(directory);
  const spool = await Spool.open({ directory });
  for (const body of bodies) spool.append(body);
  await spool.close();
  return directory;
}

const start = (inside: string): EventBody => ({ kind: "lifecycle", message: "started", data: { inside: [inside] } });
const stop = (leave: string): EventBody => ({ kind: "lifecycle", message: "stopped", data: { leave } });

async function runsOf(...paths: string[]): Promise<number[]> {
  const gatherer = new Gatherer(new RunTeller(600_000));
  for await (const { event, input } of readRecorded(paths, {})) gatherer.add(event, input);
  return gatherer.finish().sources.map(({ runs }) => runs.size);
}

describe("what was recorded", () => {
  test("by runs is one run a start; by a gateway one a stretch of activity, though it stands before an interface of that name", async () => {
    const three = [0, 1, 2].flatMap(() => [start("inside"), bodyOf(connection()), stop("gone")]);
    assert.deepEqual(await runsOf(await record("runs", three)), [3]);
    const gateway = [0, 1, 2].flatMap(() => [start("inside"), bodyOf(connection()), stop("closed")]);
    assert.deepEqual(await runsOf(await record("gateway", gateway)), [1]);
    const other = [0, 1, 2].flatMap(() => [start("eth1"), bodyOf(connection()), stop("closed")]);
    assert.deepEqual(await runsOf(await record("other", other)), [1]);
  });

  test("and whose start was pruned is told by its end, and read once", async () => {
    const small = { segmentBytes: 4000, flushBytes: 500 };
    const prune = async (directory: string, spool: Spool, keepBytes: number) =>
      assert.ok(
        await applyRetention(directory, spool, await planRetention(directory, { keepMs: null, keepBytes }, Date.now())),
      );
    const many = (count: number) => Array.from({ length: count }, () => bodyOf(connection()));
    const gateway = join(work, "pruned-gateway");
    const spool = await Spool.open({ directory: gateway, ...small });
    for (const body of [start("inside"), ...many(40)]) spool.append(body);
    await spool.flush();
    await prune(gateway, spool, 12_000);
    for (const body of many(20)) spool.append(body);
    await spool.close();
    // Before the end is looked at, nothing in the middle is: what stands there now cannot be read.
    const names = readdirSync(join(gateway, "events")).filter((file) => file.endsWith(".ndjson"));
    const middle = join(gateway, "events", names.toSorted()[1]!);
    renameSync(middle, `${middle}.kept`);
    mkdirSync(middle);
    for await (const { input } of readRecorded([gateway], {})) {
      assert.equal(input.kind, "gateway");
      break;
    }
    rmdirSync(middle);
    renameSync(`${middle}.kept`, middle);
    assert.deepEqual(await runsOf(gateway), [1]);

    const runs = join(work, "pruned-runs");
    for (let run = 0; run < 4; run++) {
      const one = await Spool.open({ directory: runs, ...small });
      for (const body of [start("inside"), ...many(10), stop("gone")]) one.append(body);
      await one.close();
    }
    const by = await Spool.open({ directory: runs, ...small });
    await prune(runs, by, 14_000);
    await by.close();
    assert.ok(!readdirSync(join(runs, "events")).includes("events-000000000001.ndjson"));
    for await (const { input } of readRecorded([runs], {})) assert.equal(input.kind, "runs");
  });

  test("by several gateways is of several, and a place that is named twice or linked to counts once", async () => {
    const one = await record("one", [start("eth1"), bodyOf(connection())]);
    const two = await record("two", [start("eth1"), bodyOf(connection())]);
    symlinkSync(one, join(work, "link"));
    assert.deepEqual(await runsOf(one, two), [2]);
    assert.deepEqual(await runsOf(one, join(work, "link"), `${one}/.`), [1]);
  });

  test("lines and entries that are no events are told", async () => {
    const directory = await record("damaged", [start("eth1"), bodyOf(connection())]);
    const [segment] = readdirSync(join(directory, "events")).filter((file) => file.endsWith(".ndjson"));
    writeFileSync(join(directory, "events", segment!), "not an event\n{}\n", { flag: "a" });
    const report = join(work, "report.json");
    writeFileSync(
      report,
      JSON.stringify({ schema: "sallyport.run/1", command: ["x"], events: [connection(), null, { schema: 7 }] }),
    );
    let skipped = 0;
    let events = 0;
    for await (const _ of readRecorded([directory, report], { onSkip: () => void skipped++ })) events++;
    assert.deepEqual([skipped, events], [4, 3]);
  });
});

describe("a file that is replaced", () => {
  test("has the new content or the old, its rights, and leaves nothing beside it", () => {
    const folder = join(work, "folder");
    mkdirSync(folder);
    const file = join(folder, "policy.yaml");
    writeAtomically(file, "one\n");
    chmodSync(file, 0o600);
    writeAtomically(file, "two\n");
    assert.deepEqual([readFileSync(file, "utf8"), statSync(file).mode & 0o777], ["two\n", 0o600]);
    symlinkSync("policy.yaml", join(folder, "link.yaml"));
    writeAtomically(join(folder, "link.yaml"), "three\n");
    assert.equal(readFileSync(file, "utf8"), "three\n");
    mkdirSync(join(folder, "taken"));
    assert.throws(() => writeAtomically(join(folder, "taken"), "x"), { code: "FILE_UNWRITABLE" });
    assert.deepEqual(readdirSync(folder).toSorted(), ["link.yaml", "policy.yaml", "taken"]);
  });
});
