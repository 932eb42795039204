/** The small bounded tables: each keeps its promise under the load that would break an unbounded one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Address, formatAddress, parseAddress } from "../address/ip.ts";
import { fromHostName, fromLabels } from "../wire/dns/name.ts";
import { NameBudget } from "./budget.ts";
import { Cache, type Entry } from "./cache.ts";
import { peerAddress } from "./client.ts";
import { reverseAddress } from "./judge.ts";
import { Ledger } from "./ledger.ts";
import { Gate } from "./limits.ts";

const address = (text: string) => parseAddress(text)!;
const one = address("192.0.2.1");
const two = address("192.0.2.2");

test("the budget agrees with counting distinct names of the last hour by hand", () => {
  const step = fc.record({
    source: fc.constantFrom(one, two),
    name: fc.constantFrom("a", "b", "c", "d", "e"),
    wait: fc.nat(2_000_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const budget = new NameBudget(3);
      const admitted: { source: Address; name: string; at: number }[] = [];
      let now = 0;
      for (const { source, name, wait } of steps) {
        now += wait;
        const recent = new Set(
          admitted.filter((past) => past.source === source && now - past.at < 3_600_000).map((past) => past.name),
        );
        const expected = recent.has(name) || recent.size < 3;
        assert.equal(budget.admit(source, "example", name, now), expected);
        if (expected) admitted.push({ source, name, at: now });
      }
    }),
  );
});

test("a source that walks through domains does not get its budget back", () => {
  const budget = new NameBudget(1);
  assert.equal(budget.admit(one, "first", "a", 0), true);
  let refused = 0;
  for (let i = 0; i < 5000; i++) if (!budget.admit(one, `d${i}`, "a", 0)) refused++;
  assert.equal(budget.admit(one, "first", "b", 0), false);
  assert.equal(refused, 5000 - 1999);
  assert.equal(budget.admit(two, "first", "b", 0), true);
  assert.equal(budget.admit(one, "fresh", "a", 3_600_001), true);
});

test("the cache holds at most its entries and bytes, and drops what was used longest ago", () => {
  const entry = (size: number): Entry => ({ answer: null, expires: 0, retryAt: 0, size });
  const cache = new Cache(3, 100);
  for (const key of ["a", "b", "c"]) cache.set(key, entry(10));
  cache.get("a");
  cache.set("d", entry(10));
  assert.deepEqual(
    ["a", "b", "c", "d"].map((key) => cache.get(key) !== undefined),
    [true, false, true, true],
  );
  cache.set("big", entry(95));
  assert.equal(cache.size, 1);
  cache.set("huge", entry(101));
  assert.deepEqual([cache.size, cache.get("huge")], [1, undefined]);
});

test("a gate never lets in more than it has places, overall and per source, and forgets who left", () => {
  const gate = new Gate(3, 2);
  assert.deepEqual([gate.enter(one), gate.enter(one), gate.enter(one)], [true, true, false]);
  assert.deepEqual([gate.enter(two), gate.enter(two)], [true, false]);
  gate.leave(one);
  assert.equal(gate.enter(two), true);
  gate.leave(address("192.0.2.9"));
  assert.equal(gate.inside, 3);
});

test("the ledger repeats a binding only when it would end before the answer does, and keeps sources apart", () => {
  const ledger = new Ledger();
  const due = (ttl: number, source: Address | null, now: number) => {
    const bindings = ledger.due("pypi.org", one, ttl, source, now);
    ledger.written(bindings, now);
    return bindings.map(({ expires }) => expires);
  };
  assert.deepEqual(due(300, null, 0), [360_000]);
  assert.deepEqual(due(200, null, 100_000), []);
  assert.deepEqual(due(300, null, 1000), [361_000]);
  assert.deepEqual(due(0, two, 1000), [91_000]);
  ledger.written([{ name: "other.example", address: one, expires: 50_000, source: two }], 0);
  assert.deepEqual(ledger.names(one, two, 2000), ["other.example", "pypi.org"]);
  assert.deepEqual(ledger.names(one, one, 2000), ["pypi.org"]);
  assert.deepEqual(ledger.names(one, two, 400_000), []);
  // A slower writer does not shorten what a faster one wrote.
  ledger.written([{ name: "pypi.org", address: one, expires: 5, source: null }], 0);
  assert.equal([...ledger.held(300_000)].length, 1);
});

test("the ledger is bounded: the expired go first", () => {
  const ledger = new Ledger();
  for (let i = 0; i < 210_000; i++) {
    const text = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
    ledger.written([{ name: "x", address: address(text), expires: i < 100_000 ? 1 : 1000, source: null }], 10);
  }
  assert.ok(ledger.size <= 200_000);
  assert.equal([...ledger.held(10)].length, 110_000);
});

test("reverse names are read strictly, both families", () => {
  const reverse = (text: string) => {
    const found = reverseAddress(fromHostName(text)!);
    return found === null ? null : formatAddress(found);
  };
  assert.equal(reverse("7.2.0.192.in-addr.arpa"), "192.0.2.7");
  const nibbles = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2";
  assert.equal(reverse(`${nibbles}.ip6.arpa`), "2001:db8::7");
  for (const text of [
    "2.0.192.in-addr.arpa",
    "07.2.0.192.in-addr.arpa",
    "x.7.2.0.192.in-addr.arpa",
    `${nibbles}.arpa`,
    "arpa",
  ]) {
    assert.equal(reverse(text), null, text);
  }
  assert.equal(reverseAddress(fromLabels(["7.2", "0", "192", "in-addr", "arpa"])!), null);
});

test("a peer's address is the policy's: no zone, no mapped form", () => {
  const shown = (text: string) => {
    const found = peerAddress(text);
    return found === null ? null : formatAddress(found);
  };
  assert.deepEqual(["192.0.2.1", "::ffff:192.0.2.1", "fe80::1%eth0", "nonsense"].map(shown), [
    "192.0.2.1",
    "192.0.2.1",
    "fe80::1",
    null,
  ]);
});
