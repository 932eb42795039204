/**
 * What the DNS firewall's thread tells is bounded whatever the main thread is at: while that one stands, refusals are counted and none is
 * sent; when it goes on, every one of them is in the record, by source and reason.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bodiesOf } from "../audit/body.ts";
import type { EventBody } from "../audit/event.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { DnsTold } from "./dns-told.ts";

const loaded = loadPolicy("version: 1\nrules: []\n", "p.yaml", new Date(0));
assert.ok(!isPolicyProblems(loaded));
const { engine } = loaded;

/** Every name is another one, as a flood has them. */
const question = (i: number, verdict: "allow" | "deny", source = "10.0.0.2"): EventBody => ({
  kind: "dns",
  verdict,
  enforced: true,
  reason: verdict === "allow" ? "rule" : "over_limit",
  stage: "dns",
  source: { ip: source, group: null },
  destination: { name: `host${i}.example`, name_from: "dns", protocol: "dns" },
});

function stand() {
  const sent: EventBody[] = [];
  let untaken = 0;
  const told = new DnsTold({
    engine: () => engine,
    tell: ({ bodies, names }) => {
      sent.push(...bodiesOf(bodies));
      untaken += bodies.lines + names.length;
    },
    untaken: () => untaken,
  });
  /** As many as the main thread may be behind by, and not one of them taken. */
  const fill = () => {
    for (let i = 0; told.isHeard; i++) told.record(question(i, "allow"));
    told.flush();
  };
  return { told, sent, fill, take: () => (untaken = 0) };
}

const weight = (events: readonly EventBody[]) => events.reduce((sum, { count }) => sum + (count ?? 1), 0);

test("while the main thread stands, questions that find no place are counted and none of them is sent", () => {
  const { told, sent, fill, take } = stand();
  fill();
  assert.equal(told.isHeard, false);
  const before = sent.length;
  const later = Date.now() + 60_000;
  for (let i = 0; i < 20_000; i++) {
    told.record(question(i, "deny", i % 2 === 0 ? "10.0.0.2" : "10.0.0.3"));
    // As time passes.
    if (i % 1_000 === 0) told.tick(later + i);
    if (i % 100 === 0) told.flush();
  }
  told.flush();
  assert.equal(sent.length, before);
  // One that was under way when it fell behind is told: there are no more of them than places.
  told.record(question(1, "allow"));
  told.flush();
  assert.equal(sent.length, before + 1);
  take();
  told.tick(Date.now());
  told.flush();
  const counted = sent.slice(before + 1);
  assert.deepEqual(
    counted.map(({ source, reason, count, destination }) => [source?.ip, reason, count, destination]),
    [
      ["10.0.0.2", "over_limit", 10_000, undefined],
      ["10.0.0.3", "over_limit", 10_000, undefined],
    ],
  );
  for (const { first, last } of counted) assert.ok(first! <= last!);
  told.record(question(2, "deny"));
  told.flush();
  assert.equal(sent.at(-1)!.destination?.name, "host2.example", "one by one again");
});

test("sources without end are counted by reason, and all are there at the end", () => {
  const { told, sent, fill } = stand();
  fill();
  const before = sent.length;
  for (let i = 0; i < 20_000; i++) told.record(question(i, "deny", `10.0.${i >> 8}.${i & 255}`));
  told.flush();
  assert.equal(sent.length, before);
  told.tick(Number.POSITIVE_INFINITY);
  told.flush();
  const counted = sent.slice(before);
  assert.ok(counted.length <= 1_501, `${counted.length} events`);
  assert.equal(weight(counted), 20_000);
});
