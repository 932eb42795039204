/**
 * A flood makes the record coarser, never blind: every denial is in exactly one event or one count, other traffic is
 * untouched, and memory is bounded by the options whatever an attacker varies.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Aggregator } from "./aggregate.ts";
import type { EventBody } from "./event.ts";
import { denial } from "./test-support.ts";

const weight = (events: EventBody[]) => events.reduce((sum, event) => sum + (event.count ?? 1), 0);
const drain = (aggregator: Aggregator) => aggregator.tick(Number.POSITIVE_INFINITY);

test("beyond five in a second the same denial is counted, once, with first and last", () => {
  const aggregator = new Aggregator();
  const start = Date.parse("2026-01-31T08:00:00Z");
  const singles: EventBody[] = [];
  for (let i = 0; i < 100; i++) singles.push(...aggregator.push(denial(443, { bytes: { up: i, down: 0 } }), start + i));
  assert.equal(singles.length, 5);
  assert.deepEqual(aggregator.tick(start + 999), []);
  const [counted, ...more] = aggregator.tick(start + 1000);
  assert.deepEqual(more, []);
  assert.deepEqual(counted, {
    kind: "connection",
    verdict: "deny",
    enforced: true,
    reason: "default",
    stage: "connect",
    source: { ip: "192.0.2.10", group: null },
    destination: { name: "files.example", name_from: "dns", ip: "198.51.100.7", port: 443, protocol: "tcp" },
    count: 95,
    first: "2026-01-31T08:00:00.005000Z",
    last: "2026-01-31T08:00:00.099000Z",
  });
  assert.equal(aggregator.push(denial(443), start + 1000).length, 1);
});

test("a closed window comes out before the event that follows it", () => {
  const aggregator = new Aggregator({ individually: 1 });
  aggregator.push(denial(1), 0);
  aggregator.push(denial(1), 1);
  assert.deepEqual(
    aggregator.push(denial(1), 2000).map((event) => event.count),
    [1, undefined],
  );
});

test("allowed connections, finished flows and our own events are never counted together", () => {
  const aggregator = new Aggregator({ individually: 0 });
  const untouched: EventBody[] = [
    denial(1, { verdict: "allow", reason: "rule" }),
    denial(1, { kind: "flow_end" }),
    { kind: "policy", message: "loaded" },
    { kind: "lifecycle", message: "stopped" },
  ];
  for (const body of untouched) {
    for (let i = 0; i < 20; i++) assert.deepEqual(aggregator.push(body, 0), [body]);
  }
  assert.deepEqual(drain(aggregator), []);
});

test("denials that differ in what matters are not mixed", () => {
  const aggregator = new Aggregator({ individually: 0 });
  const rule = { name: "no gists", tier: 2 as const, mode: "enforce" as const, policy: "a".repeat(64) };
  const different = [
    denial(1),
    denial(2),
    denial(1, { verdict: "would_deny", enforced: false }),
    denial(1, { kind: "dns" }),
    denial(1, { reason: "no_name" }),
    denial(1, { rule }),
    denial(1, { source: { ip: "192.0.2.11" } }),
    denial(1, { destination: { name: "a.example", name_from: "sni", ip: "198.51.100.7", port: 1, protocol: "tls" } }),
  ];
  for (const body of [...different, ...different]) aggregator.push(body, 0);
  assert.deepEqual(
    drain(aggregator).map((event) => event.count),
    different.map(() => 2),
  );
});

test("a scan of one source is counted by source and reason, and does not touch another source", () => {
  const aggregator = new Aggregator({ maxKeysPerSource: 50 });
  let scanned = 0;
  for (let port = 1; port <= 10_000; port++) scanned += aggregator.push(denial(port), 0).length;
  assert.equal(scanned, 50);
  assert.equal(aggregator.push(denial(1, { source: { ip: "192.0.2.99" } }), 0).length, 1);
  const [coarse, ...more] = drain(aggregator);
  assert.deepEqual(more, []);
  assert.equal(coarse!.count, 9950);
  assert.equal(coarse!.source!.ip, "192.0.2.10");
  assert.equal(coarse!.destination, undefined);
});

test("spoofed sources without end are counted by reason", () => {
  const aggregator = new Aggregator({ maxKeys: 100 });
  const out: EventBody[] = [];
  for (let i = 0; i < 5000; i++) out.push(...aggregator.push(denial(1, { source: { ip: `198.51.100.${i}` } }), 0));
  out.push(...drain(aggregator));
  assert.equal(weight(out), 5000);
  assert.ok(out.length <= 100 + 100 + 1, `${out.length} events`);
  assert.equal(out.at(-1)!.source, undefined);
});

test("counts that come out add up to what went in, for any traffic, any times and any limits", () => {
  const body = fc.record({
    port: fc.nat(6),
    host: fc.nat(4),
    verdict: fc.constantFrom("deny", "would_deny", "allow"),
    reason: fc.constantFrom("default", "no_name", "timeout"),
    count: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    wait: fc.integer({ min: -300, max: 900 }),
  });
  const options = fc.record({ individually: fc.nat(3), maxKeys: fc.nat(4), maxKeysPerSource: fc.nat(4) });
  fc.assert(
    fc.property(fc.array(body, { maxLength: 200 }), options, (traffic, limits) => {
      const aggregator = new Aggregator(limits);
      const out: EventBody[] = [];
      const inByVerdict: Record<string, number> = {};
      let now = 1_000_000;
      for (const { port, host, verdict, reason, count, wait } of traffic) {
        now += wait;
        const source = { ip: `192.0.2.${host}` };
        out.push(...aggregator.push(denial(port, { verdict, reason, source, ...(count && { count }) }), now));
        inByVerdict[verdict] = (inByVerdict[verdict] ?? 0) + (count ?? 1);
      }
      out.push(...drain(aggregator));
      assert.deepEqual(drain(aggregator), []);
      const outByVerdict: Record<string, number> = {};
      for (const event of out) outByVerdict[event.verdict!] = (outByVerdict[event.verdict!] ?? 0) + (event.count ?? 1);
      assert.deepEqual(outByVerdict, inByVerdict);
      for (const { first, last } of out) assert.ok(first === undefined || first <= last!);
    }),
  );
});
