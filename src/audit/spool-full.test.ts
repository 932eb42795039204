/**
 * A full disk neither stops the data path nor hides what it cost. The disk is a real, small tmpfs in the mount
 * namespace of a child process.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "./event.ts";
import type { SpoolStatus } from "./spool.ts";
import { outputOf, privateMounts, runModule, temporary } from "./test-support.ts";
import type { Verification } from "./verify.ts";

const program = `
import { unlinkSync, writeFileSync } from "node:fs";
const { Spool } = await import(room + "/spool.ts");
const { readEvents } = await import(room + "/read.ts");
const { verifyRecord } = await import(room + "/verify.ts");
const [directory, release] = process.argv.slice(1);
const ballast = directory + "/ballast";
writeFileSync(ballast, Buffer.alloc(256 * 1024));
const spool = await Spool.open({ directory, bufferBytes: 65536, segmentBytes: 30000, flushBytes: 4096, flushMs: 2, syncMs: 10, retryMs: 5, retryMaxMs: 20 });
const pause = () => new Promise((resolve) => setTimeout(resolve, 2));
const memory = [];
let port = 0;
async function append(until) {
  const end = Date.now() + 10000;
  while (!until()) {
    if (Date.now() > end) throw new Error("never came: " + until);
    for (let i = 0; i < 10; i++) {
      spool.append({ kind: "connection", verdict: "deny", destination: { name: null, name_from: "none", port: ++port, protocol: "tcp" } });
    }
    memory.push(spool.status().buffered);
    await pause();
  }
}
await append(() => spool.status().lost > 500);
const full = spool.status();
const during = await verifyRecord(directory);
if (release === "yes") {
  unlinkSync(ballast);
  await append(() => !spool.status().degraded);
  const again = port;
  await append(() => port > again + 50);
}
const closed = await spool.close();
const events = [];
for await (const event of readEvents(directory)) events.push(event);
console.log(JSON.stringify({ port, full, during, closed, events, memory: Math.max(...memory), after: await verifyRecord(directory) }));
`;

interface Outcome {
  port: number;
  full: SpoolStatus;
  during: Verification;
  closed: SpoolStatus;
  events: Event[];
  memory: number;
  after: Verification;
}

async function fillDisk(release: "yes" | "no"): Promise<Outcome> {
  const directory = temporary();
  const mount = `mount -t tmpfs -o size=512k,mode=700 tmpfs ${directory}`;
  const { text, code } = await outputOf(runModule(program, [directory, release], privateMounts(mount)));
  assert.equal(code, 0);
  return JSON.parse(text) as Outcome;
}

test("a full disk that empties again: what was lost is counted, and the first new record says so", async () => {
  const { port, full, during, closed, events, memory, after } = await fillDisk("yes");
  assert.equal(full.degraded, true);
  assert.match(full.fault!, /ENOSPC/);
  assert.ok(full.losing > 500 && full.losing === full.lost, `${full.losing} of ${full.lost}`);
  assert.ok(Date.parse(full.since!) <= Date.now() && Date.parse(full.since!) > Date.now() - 60_000);
  assert.equal(during.ok, true, "what is on the full disk verifies");
  assert.ok(memory <= 65_536, `${memory} bytes in memory`);
  assert.deepEqual([closed.degraded, closed.since, closed.losing], [false, null, 0]);
  assert.equal(after.broken, null);
  assert.ok(after.seals.closed > 3);
  assert.equal(
    after.seals.sealed,
    after.seals.closed,
    "also the one that was closed when there was no room for its seal",
  );
  assert.equal(after.records, closed.seq);

  const gaps = events.filter((event) => event.kind === "lifecycle");
  const ports = events.filter((event) => event.kind === "connection").map((event) => event.destination!.port!);
  const lost = gaps.reduce((sum, gap) => sum + (gap.data!["lost"] as number), 0);
  assert.equal(lost, closed.lost);
  assert.equal(ports.length + lost, port, "every event is recorded or counted as lost");
  assert.deepEqual(
    ports,
    ports.toSorted((a, b) => a - b),
  );

  const gap = gaps.find((event) => (event.data!["lost"] as number) > 0)!;
  const index = events.indexOf(gap);
  const [before, next] = [events[index - 1]!, events[index + 1]!];
  assert.equal(
    next.destination!.port! - before.destination!.port! - 1,
    gap.data!["lost"],
    "it stands where they are missing",
  );
  assert.ok((gap.data!["first"] as string) >= before.time && (gap.data!["last"] as string) <= next.time);
});

test("a disk that stays full: close returns, says what was lost, and what was written verifies", async () => {
  const { port, closed, events, after } = await fillDisk("no");
  assert.equal(closed.degraded, true);
  assert.equal(after.broken, null);
  // On a busy machine memory may have been full before the disk was: then the record has that gap's own event besides.
  assert.equal(events.filter(({ kind }) => kind === "connection").length + closed.lost, port);
});

test("a read-only disk is refused at open", async () => {
  const directory = temporary();
  const code = `
    const { Spool } = await import(room + "/spool.ts");
    await Spool.open({ directory: process.argv[1] }).then(() => console.log("opened"), (error) => console.log(error.code));`;
  const mount = `mount -t tmpfs -o ro tmpfs ${directory}`;
  const { text } = await outputOf(runModule(code, [directory], privateMounts(mount)));
  assert.equal(text, "STATE_UNWRITABLE\n");
});
