/**
 * T10: floods. Memory, the table and the kernel's queue are bounded; over a bound packets are refused, never let through; one
 * sender cannot take what others need; every packet that waits gets its verdict, whatever the clock does.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { formatAddress, type Address } from "../address/ip.ts";
import { SteadyClock } from "./clock.ts";
import { Deadlines, type Timed } from "./deadlines.ts";
import { limits } from "./limits.ts";
import { Recent } from "./recent.ts";
import { Shares } from "./shares.ts";
import { captureHello } from "./testing/hellos.ts";
import { enforced } from "./testing/policies.ts";
import { address, Client, Scene } from "./testing/scene.ts";

const allowed = await captureHello("allowed.example");
const scene = () => new Scene(enforced).bind("allowed.example");
const v6 = (low: number, net = 0) => address(`2001:db8:0:${net.toString(16)}::${(low + 1).toString(16)}`);

const fifth = (all: number) => Math.floor(all / 5);

describe("shares", () => {
  test("one sender gets a fifth of what there is, and whatever it does the next gets a part of the rest", () => {
    const shares = new Shares();
    const greedy = shares.of(address("10.0.0.1"));
    while (shares.take(greedy, "flows", 1));
    assert.equal(greedy.flows, fifth(limits.flows));
    for (let i = 0; i < 9; i++) {
      const next = shares.of(address(`10.0.${i + 1}.1`));
      while (shares.take(next, "flows", 1));
    }
    assert.ok(shares.take(shares.of(address("10.0.99.9")), "flows", 1_000));
  });

  for (const [what, forged] of [
    ["/64", v6],
    ["IPv4 /24", (low: number) => address(`10.0.0.${low + 1}`)],
  ] as const) {
    test(`all addresses of one ${what} together get a third: who forges its neighbours' gains little`, () => {
      const shares = new Shares();
      for (let low = 0; low < 200; low++) {
        const share = shares.of(forged(low));
        while (shares.take(share, "flows", 1));
      }
      assert.ok(shares.used.flows <= limits.flows / 3);
      assert.ok(shares.take(shares.of(v6(0, 7)), "flows", 7_500), "another network");
      assert.ok(shares.take(shares.of(address("10.0.1.9")), "flows", 5_000));
    });
  }

  test("one network's undecided flows leave masquerading most of its ports for a destination", () => {
    assert.ok(limits.flows / 3 < 64_512 / 2);
  });

  test("engines that share the bounds have together what one has alone", () => {
    const [whole, quarter] = [new Shares(), new Shares(4)];
    for (const shares of [whole, quarter]) while (shares.take(shares.of(address("10.0.0.1")), "flows", 1));
    assert.equal(quarter.used.flows, Math.floor(limits.flows / 4 / 5));
    assert.equal(whole.used.flows, fifth(limits.flows));
  });

  test("what is given back is free again, and senders without flows are forgotten", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(2), fc.integer({ min: 1, max: 30_000 }))), (steps) => {
        const shares = new Shares();
        const taken: [Address, number][] = [];
        for (const [low, net, amount] of steps) {
          const source = net === 2 ? address(`10.0.0.${low + 1}`) : v6(low, net);
          const share = shares.of(source);
          if (shares.take(share, "flows", amount)) taken.push([source, amount]);
          else shares.give(share, "flows", 0);
          assert.ok(shares.used.flows <= limits.flows);
          assert.equal(
            shares.used.flows,
            taken.reduce((sum, [, each]) => sum + each, 0),
          );
        }
        for (const [source, amount] of taken) shares.give(shares.of(source), "flows", amount);
        assert.equal(shares.used.flows, 0);
        for (const [source] of taken) assert.equal(shares.of(source).network!.flows, 0, formatAddress(source));
      }),
    );
  });
});

describe("a flood from one source", () => {
  test("of SYNs is refused over its share; another source connects; when the flood ends nothing is left of it", () => {
    const on = scene();
    let refused = 0;
    for (let sourcePort = 1; sourcePort < 65_536; sourcePort++) {
      if (new Client(on, { sourcePort }).syn() === "refuse") refused++;
    }
    assert.equal(refused, 65_535 - fifth(limits.flows));
    assert.equal(on.reports.at(-1)!.decision.reason, "over_limit");
    const other = new Client(on, { source: address("10.0.0.3") }).open();
    assert.equal(other.segment(0, allowed), "pending");
    on.pass(120_000);
    assert.equal(on.flows.load.flows, 1, "the other one waits for its server's answer");
  });

  test("of half hellos holds no more packets than its share of the queue", () => {
    const on = scene();
    for (let sourcePort = 1; sourcePort < 20_000; sourcePort++) {
      new Client(on, { sourcePort }).open().segment(0, allowed.subarray(0, 100));
    }
    assert.equal(on.held.length, fifth(limits.held));
    assert.equal(on.reports.at(-1)!.decision.reason, "over_limit");
    assert.equal(new Client(on, { source: address("10.0.0.3") }).open().segment(0, allowed.subarray(0, 9)), "held");
    on.pass(11_000);
    assert.deepEqual(on.held, []);
    assert.deepEqual(on.flows.load, { flows: 0, bytes: 0 });
  });

  test("of single bytes far into the stream is charged for the memory they take", () => {
    const on = scene();
    for (let sourcePort = 1; sourcePort < 5_000; sourcePort++) {
      new Client(on, { sourcePort }).open().segment(65_000, Uint8Array.of(1));
    }
    assert.ok(on.flows.load.bytes <= fifth(limits.bytes));
    assert.equal(on.reports.at(-1)!.decision.reason, "over_limit");
    on.pass(11_000);
    assert.deepEqual(on.flows.load, { flows: 0, bytes: 0 });
  });
});

describe("the clock", () => {
  test("goes back: what waits is ended in time all the same", () => {
    const on = scene();
    const client = new Client(on).open();
    client.segment(0, allowed.subarray(0, 100));
    on.pass(1_000);
    on.now -= 3_600_000;
    on.pass(9_500);
    assert.deepEqual(on.held, []);
  });

  test("leaps, by a correction or because the machine slept: nobody is ended for that alone, and no time is spent on it", () => {
    const on = scene();
    const client = new Client(on).open();
    client.segment(0, allowed.subarray(0, 100));
    on.now += 50 * 365 * 86_400_000;
    const before = performance.now();
    on.flows.tick(on.now);
    // Fifty years in steps of the wheel are minutes; a busy machine may take a moment for nothing at all.
    assert.ok(performance.now() - before < 2_000);
    assert.equal(on.held.length, 1);
    on.pass(6_000);
    assert.deepEqual(on.held, []);
  });

  test("of deadlines never goes back and follows real time", () => {
    const clock = new SteadyClock();
    assert.equal(clock.at(1_000_000), 1_000_000);
    assert.equal(clock.at(1_000_250), 1_000_250);
    assert.equal(clock.at(500), 1_000_250);
    assert.equal(clock.at(750), 1_000_500);
    assert.equal(clock.at(1e13), 1_005_500);
  });
});

test("the wheel gives every item once, at its deadline, however deadlines move", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), item: fc.nat(9), at: fc.nat(5_000) }),
    fc.record({ kind: fc.constant("clear" as const), item: fc.nat(9) }),
    fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(2_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const wheel = new Deadlines<Timed & { id: number }>();
      const items = Array.from({ length: 10 }, (_, id) => ({ id, deadline: 0, slot: null as number | null }));
      const expected = new Map<number, number>();
      let now = 1_000_000;
      const check = () => {
        const due = wheel.due(now).map(({ id }) => id);
        const wanted = [...expected].filter(([, at]) => at <= now).map(([id]) => id);
        assert.deepEqual(new Set(due), new Set(wanted));
        assert.equal(due.length, wanted.length);
        for (const id of due) expected.delete(id);
      };
      for (const each of steps) {
        if (each.kind === "set") {
          const at = now - 500 + each.at;
          wheel.set(items[each.item]!, at);
          expected.set(each.item, at);
        } else if (each.kind === "clear") {
          wheel.clear(items[each.item]!);
          expected.delete(each.item);
        } else {
          now += each.ms;
          check();
        }
      }
      now += 10_000;
      check();
      assert.equal(expected.size, 0);
    }),
  );
});

test("recent memory forgets after one to two generations, and all of it after a pause", () => {
  const recent = new Recent<number>(100);
  recent.set("a", 1, 1_000);
  assert.equal(recent.get("a", 1_099), 1);
  recent.set("b", 2, 1_150);
  assert.equal(recent.get("a", 1_199), 1);
  assert.equal(recent.get("a", 1_260), undefined);
  assert.equal(recent.get("b", 1_300), 2);
  recent.set("c", 3, 2_000);
  assert.equal(recent.get("b", 2_000), undefined);
  recent.forget("c");
  assert.equal(recent.get("c", 2_000), undefined);
  for (let i = 0; i < 200_000; i++) recent.set(String(i), i, 2_001);
  assert.equal(recent.get("0", 2_001), undefined, "bounded");
  assert.equal(recent.get("199999", 2_001), 199_999);
});
