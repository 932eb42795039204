/**
 * How long questions take over a large record: written here (`query-events.ts`), copied to Parquet, then each question several
 * times, in turn, with the spread. Run: `node bench/query.ts [events] [directory] [times]`, a million events by default, 10000000
 * for ten million that all differ. A directory that holds a record already is asked as it is, and one that is given stays; without
 * one the record is in a temporary folder that is gone at the end. With `times`, its sealed segments and their copies are there so
 * many times over, under further numbers, by hard links: where there is no time or room to write so many.
 */
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { Query } from "../src/query/query.ts";
import { questions, type QuestionName } from "../src/query/questions.ts";
import { passingFolder, requireRoom } from "./load/room.ts";
import { writeSynthetic } from "./query-events.ts";

const rounds = 5;
/** Of the record and its copies, and of what the engine writes aside while it copies a segment. */
const bytesAnEvent = 900;
const asideBytes = 1e9;
const progressMs = 10_000;
const events = Number(process.argv[2] ?? 1_000_000);
const given = process.argv[3];
const times = Number(process.argv[4] ?? 1);
if (given !== undefined) mkdirSync(given, { recursive: true, mode: 0o700 });
const directory = given ?? passingFolder(tmpdir());
const asked = [
  ...(Object.keys(questions) as QuestionName[]).map((name) => [name, (query: Query) => query.ask(name, 20)] as const),
  ["sql: count", (query: Query) => query.select("SELECT sum(count) FROM events", 20)] as const,
  [
    "sql: distinct",
    (query: Query) =>
      query.select("SELECT name, count(DISTINCT source_ip) AS n FROM events GROUP BY ALL ORDER BY n DESC", 20),
  ] as const,
];

const ms = (value: number) => `${Math.round(value).toLocaleString("en")} ms`;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

async function timed<T>(work: () => Promise<T>): Promise<[number, T]> {
  const start = performance.now();
  const result = await work();
  return [performance.now() - start, result];
}

/** Says how far something is, every ten seconds: people must see that an hour's work goes on. */
function progress(what: string): (done: number, of: number) => void {
  const begun = performance.now();
  let last = begun;
  return (done, of) => {
    const now = performance.now();
    if (now - last < progressMs || done === 0) return;
    last = now;
    const left = ((now - begun) / done) * (of - done);
    const minutes = (left / 60_000).toFixed(1);
    console.error(
      `${what}: ${done.toLocaleString("en")} of ${of.toLocaleString("en")}, about ${minutes} minutes to go`,
    );
  };
}

/** Times of each question, of `rounds` rounds in each of which all are asked. */
async function measure(query: Query): Promise<void> {
  const times = new Map<string, number[]>(asked.map(([name]) => [name, []]));
  let rows = 0;
  for (let round = 0; round <= rounds; round++) {
    for (const [name, ask] of asked) {
      const [time, answer] = await timed(() => ask(query));
      rows += answer.rows.length;
      if (round > 0) times.get(name)!.push(time);
    }
  }
  if (rows === 0) throw new Error("nothing was answered");
  for (const [name, list] of times) {
    console.log(
      `${name.padEnd(16)} ${ms(median(list)).padStart(9)}  (${ms(Math.min(...list))} to ${ms(Math.max(...list))})`,
    );
  }
}

/** The record, with its sealed segments `times` times; a query does not check the chain. */
function repeated(): string {
  if (times === 1) return directory;
  const other = join(directory, "repeated");
  const segments = readdirSync(join(directory, "events"))
    .filter((name) => name.endsWith(".ndjson"))
    .toSorted();
  const live = segments.at(-1)!;
  const first = (name: string) => Number(name.slice(7, 19));
  for (const folder of ["events", "query"]) {
    mkdirSync(join(other, folder), { recursive: true, mode: 0o700 });
    const sealed = readdirSync(join(directory, folder)).filter(
      (name) => /^events-\d{12}\./.test(name) && name !== live,
    );
    for (let i = 0; i < times; i++) {
      for (const name of sealed) {
        const number = String(first(name) + i * first(live)).padStart(12, "0");
        linkSync(join(directory, folder, name), join(other, folder, `events-${number}${name.slice(19)}`));
      }
    }
  }
  const last = String(times * first(live) + 1).padStart(12, "0");
  linkSync(join(directory, "events", live), join(other, "events", `events-${last}.ndjson`));
  return other;
}

try {
  console.log(`load ${loadavg()[0]!.toFixed(2)}, ${rounds} rounds, ${directory}`);
  if (!existsSync(join(directory, "events"))) {
    requireRoom(directory, events * bytesAnEvent + asideBytes);
    const tell = progress("writing, events");
    const [time, { events: written, bytes, segments }] = await timed(() =>
      writeSynthetic(directory, events, (done) => tell(done.events, events)),
    );
    console.log(
      `written: ${written.toLocaleString("en")} events, ${(bytes / 1e6).toFixed(0)} MB, ${segments} segments, ${ms(time)}`,
    );
  }
  let copied = 0;
  const tell = progress("copying, segments");
  const onProgress = (done: number, of: number) => {
    copied++;
    tell(done, of);
  };
  const [copying, first] = await timed(() => Query.open({ inputs: [directory], onProgress }));
  await first.close();
  const folder = join(directory, "query");
  // A record of one segment has no copies.
  const sizes = existsSync(folder) ? readdirSync(folder).map((name) => statSync(join(folder, name)).size) : [];
  const size = sizes.reduce((sum, each) => sum + each, 0);
  console.log(`copied:  ${copied} segments, ${(size / 1e6).toFixed(0)} MB of Parquet, ${ms(copying)}`);
  const inputs = [repeated()];
  const [opening, query] = await timed(() => Query.open({ inputs }));
  const [[total]] = (await query.select("SELECT count(*) FROM events", 1)).rows as [[number]];
  console.log(`opened:  ${total.toLocaleString("en")} events, with what is live, ${ms(opening)}`);
  await measure(query);
  await query.close();
  console.log("within the last day, and so by event where a segment lies across the bound:");
  const since = (Date.now() - 86_400_000) * 1000;
  const bounded = await Query.open({ inputs, since });
  await measure(bounded);
  await bounded.close();
  console.log(`memory:  ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`);
} finally {
  rmSync(join(directory, "repeated"), { recursive: true, force: true });
}
