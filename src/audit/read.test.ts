/** What was recorded comes back, filtered as documented, and following misses nothing and repeats nothing. */
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Event, EventBody } from "./event.ts";
import { readEvents } from "./read.ts";
import { Spool } from "./spool.ts";
import { allEvents, denial, memory, readSegment, segmentsOf, temporary, until, writeRecord } from "./test-support.ts";

function named(name: string | null, more: object = {}): EventBody {
  return denial(443, { destination: { name, name_from: "sni", port: 443, protocol: "tls" }, ...more });
}

async function recordOf(bodies: EventBody[]): Promise<string> {
  const directory = temporary();
  const spool = await Spool.open({ directory });
  for (const body of bodies) spool.append(body);
  await spool.close();
  return directory;
}

test("names: a plain one covers what is below it, a glob is the whole name, neither is fooled by look-alikes", async () => {
  const names = ["example.com", "a.example.com", "badexample.com", "example.com.evil.example", "pypi.org", null];
  const directory = await recordOf(names.map((name) => named(name)));
  const find = async (name: string) => (await allEvents(directory, { name })).map((event) => event.destination!.name);
  assert.deepEqual(await find("example.com"), ["example.com", "a.example.com"]);
  assert.deepEqual(await find("EXAMPLE.com"), ["example.com", "a.example.com"]);
  assert.deepEqual(await find("*.example.com"), ["a.example.com"]);
  assert.deepEqual(await find("*example.com"), ["example.com", "a.example.com", "badexample.com"]);
  assert.deepEqual(await find("*ex*.com*"), [
    "example.com",
    "a.example.com",
    "badexample.com",
    "example.com.evil.example",
  ]);
  assert.deepEqual(await find("p*i*.org"), ["pypi.org"]);
  assert.deepEqual(await find("pypi.org*.org"), []);
  assert.deepEqual(await find("*"), names.slice(0, 5));
  assert.deepEqual(await find("com"), ["example.com", "a.example.com", "badexample.com"]);
});

test("verdicts and kinds, one or several, and all filters together", async () => {
  const directory = await recordOf([
    named("a.example", { verdict: "allow" }),
    named("a.example"),
    named("b.example"),
    named("a.example", { verdict: "would_deny" }),
    named("a.example", { kind: "dns" }),
    { kind: "policy", message: "loaded" },
  ]);
  const seqs = async (filter: Parameters<typeof allEvents>[1]) =>
    (await allEvents(directory, filter)).map((e) => e.seq);
  assert.deepEqual(await seqs({}), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(await seqs({ verdict: "deny" }), [2, 3, 5]);
  assert.deepEqual(await seqs({ verdict: ["allow", "would_deny"] }), [1, 4]);
  assert.deepEqual(await seqs({ kind: ["policy", "dns"] }), [5, 6]);
  assert.deepEqual(await seqs({ kind: "connection", verdict: "deny", name: "a.example" }), [2]);
});

test("since takes any RFC 3339 time, to the microsecond, and refuses what is none", async () => {
  const directory = temporary();
  let now = Date.parse("2026-01-31T08:00:00Z") * 1000;
  const spool = await Spool.open({ directory, clock: { now: () => ++now } });
  for (let port = 1; port <= 5; port++) spool.append(denial(port));
  await spool.close();
  const [, , third] = await allEvents(directory);
  const ports = async (since: string) =>
    (await allEvents(directory, { since })).map((event) => event.destination!.port);
  assert.deepEqual(await ports(third!.time), [3, 4, 5]);
  assert.deepEqual(await ports("2026-01-31T09:00:00+01:00"), [1, 2, 3, 4, 5]);
  assert.deepEqual(await ports("2027-01-01T00:00:00Z"), []);
  await assert.rejects(allEvents(directory, { since: "yesterday" }), { code: "USAGE" });
});

test("events come in order across segments", async () => {
  const directory = temporary();
  await writeRecord(directory, 300, { segmentBytes: 5000, flushBytes: 900 });
  assert.ok(segmentsOf(directory).length > 10);
  assert.deepEqual(
    (await allEvents(directory)).map((event) => event.seq),
    Array.from({ length: 300 }, (_, i) => i + 1),
  );
});

test("a torn end is left out, and lines that are no events are passed over and told", async () => {
  const directory = temporary();
  await writeRecord(directory, 3);
  const [name] = segmentsOf(directory);
  const path = join(directory, "events", name!);
  appendFileSync(path, 'garbage\n{"schema":"other"}\nnull\n');
  appendFileSync(path, readSegment(directory, name!).subarray(0, 50));
  const skipped: number[] = [];
  const events = await allEvents(directory, { onSkip: ({ line }) => skipped.push(line) });
  assert.deepEqual([events.length, skipped], [3, [4, 5, 6]]);
});

test("a directory without a record is an error that names it", async () => {
  const directory = temporary();
  await assert.rejects(allEvents(directory), { code: "RECORD_UNREADABLE", message: new RegExp(directory) });
  mkdirSync(join(directory, "events"));
  assert.deepEqual(await allEvents(directory), []);
});

test("following yields each event once, across rotations, a restart and a cut, until it is stopped", async () => {
  const directory = temporary();
  await writeRecord(directory, 5);
  const stop = new AbortController();
  const seen: Event[] = [];
  const following = (async () => {
    for await (const event of readEvents(directory, { follow: true, signal: stop.signal, pollMs: 20 })) {
      seen.push(event);
      if (event.message === "end") stop.abort();
    }
  })();
  let spool = await Spool.open({ directory, segmentBytes: 3000, flushBytes: 700, flushMs: 1 });
  for (let port = 6; port <= 100; port++) {
    spool.append(denial(port));
    if (port % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await spool.close();
  const last = segmentsOf(directory).at(-1)!;
  appendFileSync(join(directory, "events", last), '{"schema":"sallyport.ev');
  await new Promise((resolve) => setTimeout(resolve, 40));
  spool = await Spool.open({ directory });
  spool.append({ kind: "policy", message: "end" });
  await spool.close();
  await following;
  assert.deepEqual(
    seen.map((event) => event.seq),
    Array.from({ length: 102 }, (_, i) => i + 1),
  );
});

test("following from the end yields only what comes after, and a reader that stops early leaves nothing open", async () => {
  const directory = temporary();
  await writeRecord(directory, 5);
  const path = join(directory, "events", segmentsOf(directory)[0]!);
  appendFileSync(path, "torn");
  truncateSync(path, readSegment(directory, segmentsOf(directory)[0]!).length - 4);
  const spool = await Spool.open({ directory, flushMs: 1 });
  // Again and again, for what is written before the reader has found the end is not for it.
  const timer = setInterval(() => spool.append(denial(6)), 50);
  for await (const event of readEvents(directory, { follow: true, fromEnd: true })) {
    assert.equal(event.destination!.port, 6);
    break;
  }
  clearInterval(timer);
  await spool.close();
});

test("following a record that does not have its first segment yet", async () => {
  const directory = temporary();
  mkdirSync(join(directory, "events"));
  writeFileSync(join(directory, "events", "unrelated"), "");
  const stop = new AbortController();
  const following = (async () => {
    for await (const event of readEvents(directory, { follow: true, pollMs: 10, signal: stop.signal })) return event;
    return null;
  })();
  await new Promise((resolve) => setTimeout(resolve, 30));
  await writeRecord(directory, 1);
  assert.equal((await following)!.kind, "lifecycle");
  stop.abort();
});

test("a segment that somebody wrote to is written again from what was durable: each event is read once, followed or not", async () => {
  const directory = temporary(memory);
  const spool = await Spool.open({ directory, flushMs: 1, syncMs: 600_000 });
  const followed: number[] = [];
  const stop = new AbortController();
  const following = (async () => {
    const filter = { follow: true, signal: stop.signal, kind: "connection", pollMs: 5 } as const;
    for await (const event of readEvents(directory, filter)) followed.push(event.destination!.port!);
  })();
  for (const port of [1, 2]) spool.append(denial(port));
  await spool.flush();
  for (const port of [3, 4, 5]) spool.append(denial(port));
  await until("they are in the file", () => followed.length >= 5);
  const [before] = segmentsOf(directory);
  appendFileSync(join(directory, "events", before!), `${"x".repeat(5000)}\n`);
  spool.append(denial(6));
  await spool.flush();
  await until("the last is read", () => followed.includes(6));
  assert.equal(segmentsOf(directory).length, 2);
  const lines = segmentsOf(directory).map((name) => readSegment(directory, name).toString().split("\n"));
  assert.ok(
    lines[1]!.some((line) => line !== "" && lines[0]!.includes(line)),
    "lines stand in both",
  );
  const ports = (await allEvents(directory, { kind: "connection" })).map(({ destination }) => destination!.port);
  assert.deepEqual(
    [ports, followed],
    [
      [1, 2, 3, 4, 5, 6],
      [1, 2, 3, 4, 5, 6],
    ],
  );
  // Another line of a number that is there is no repeat: it is shown, whatever it is.
  const [copy] = lines[0]!.filter((line) => line.includes('"port":4,'));
  const other = copy!.replace('"port":4,', '"port":7,');
  appendFileSync(join(directory, "events", segmentsOf(directory)[1]!), `${other}\n`);
  const shown = (await allEvents(directory, { kind: "connection" })).map(({ destination }) => destination!.port);
  assert.deepEqual(shown, [1, 2, 3, 4, 5, 6, 7]);
  stop.abort();
  await following;
  await spool.close();
});
