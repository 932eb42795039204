/** The small bounded tables: each keeps its promise under the load that would break an unbounded one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Address, formatAddress, parseAddress } from "../address/ip.ts";
import { formatSender, senderOf } from "../address/sender.ts";
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

const ample = { namesPerDomain: 3, namesPerSource: 100, questionsPerDomain: 1000, sourcesPerLink: 10 };

test("the budget agrees with counting distinct names of the last hour by hand", () => {
  const step = fc.record({
    link: fc.constantFrom("i1", "i2"),
    source: fc.constantFrom(one, two),
    domain: fc.constantFrom("example", "test"),
    name: fc.constantFrom("a", "b", "c", "d", "e"),
    wait: fc.nat(2_000_000),
  });
  type Past = { link: string; source: Address; domain: string; name: string; at: number };
  const limits = { namesPerDomain: 2, namesPerSource: 3, questionsPerDomain: 9, sourcesPerLink: 1.5 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const budget = new NameBudget(limits);
      const admitted: Past[] = [];
      let now = 0;
      for (const { link, source, domain, name, wait } of steps) {
        now += wait;
        const room = (of: Past[], share: number): boolean => {
          const recent = of.filter((past) => now - past.at < 3_600_000);
          const all = new Set(recent.map((past) => `${past.name}.${past.domain}`));
          const here = new Set(recent.filter((past) => past.domain === domain).map((past) => past.name));
          if (here.has(name)) return true;
          return here.size < limits.namesPerDomain * share && all.size < limits.namesPerSource * share;
        };
        const onLink = admitted.filter((past) => past.link === link);
        const expected =
          room(
            onLink.filter((past) => past.source === source),
            1,
          ) && room(onLink, limits.sourcesPerLink);
        assert.equal(budget.admit(link, source, domain, name, now), expected);
        if (expected) admitted.push({ link, source, domain, name, at: now });
      }
    }),
  );
});

test("a name's place is free after its hour, though another domain was asked for since", () => {
  const budget = new NameBudget({ ...ample, namesPerSource: 3 });
  const admit = (domain: string, name: string, now: number) => budget.admit("i1", one, domain, name, now);
  assert.ok(admit("test", "c", 0) && admit("example", "c", 1) && admit("test", "a", 2));
  assert.equal(admit("example", "a", 3_599_999), false);
  assert.equal(admit("example", "a", 3_600_000), true);
});

test("a source that walks through domains does not get its budget back", () => {
  const budget = new NameBudget({ ...ample, namesPerDomain: 1, namesPerSource: 2000 });
  assert.equal(budget.admit("i1", one, "first", "a", 0), true);
  let refused = 0;
  for (let i = 0; i < 5000; i++) if (!budget.admit("i1", one, `d${i}`, "a", 0)) refused++;
  assert.equal(budget.admit("i1", one, "first", "b", 0), false);
  assert.equal(refused, 5000 - 1999);
  assert.equal(budget.admit("i1", two, "first", "b", 0), true);
  assert.equal(budget.admit("i1", one, "fresh", "a", 3_600_001), true);
});

test("D2: however many sources a machine claims, its link admits a bounded number of new names", () => {
  const budget = new NameBudget({ namesPerDomain: 50, namesPerSource: 200, questionsPerDomain: 9, sourcesPerLink: 4 });
  const claimed = (i: number) => senderOf(address(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`));
  let admitted = 0;
  for (let i = 0; i < 300_000; i++) if (budget.admit("i1", claimed(i), "wild.example", `n${i}`, i)) admitted++;
  assert.equal(admitted, 200);
  assert.equal(budget.admit("i2", claimed(1), "wild.example", "elsewhere", 0), true, "another link is not harmed");
  assert.equal(budget.admit("i1", claimed(7), "wild.example", "n3", 0), true, "what is known to the link still passes");
  assert.equal(budget.admit("i1", claimed(7), "other.example", "n3", 0), true, "and other domains do");
});

test("D2: repeated questions about admitted names are bounded too, of a sender, of a link, and in an hour", () => {
  const budget = new NameBudget({ ...ample, questionsPerDomain: 5, sourcesPerLink: 2 });
  const sends = (sender: string, now: number) => {
    assert.equal(budget.admit("i1", sender, "wild.example", "a", now), true);
    let sent = 0;
    for (let i = 0; i < 50; i++) if (budget.send("i1", sender, "wild.example", now)) sent++;
    return sent;
  };
  assert.deepEqual(
    ["s1", "s2", "s3"].map((sender) => sends(sender, 0)),
    [5, 5, 0],
  );
  assert.equal(sends("s3", 3_600_000), 5);
});

test("D2: all of a /64 is one sender, two addresses of IPv4 are two", () => {
  const of = (text: string) => formatSender(senderOf(address(text)));
  assert.equal(of("2001:db8::1"), "2001:db8::/64");
  assert.equal(of("2001:db8::ffff:1:2:3"), of("2001:db8::1"));
  assert.notEqual(of("2001:db8:0:1::1"), of("2001:db8::1"));
  assert.deepEqual(["192.0.2.1", "192.0.2.2"].map(of), ["192.0.2.1", "192.0.2.2"]);
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
  const [first, second] = [
    { link: "i1", sender: one },
    { link: "i2", sender: one },
  ];
  assert.deepEqual([gate.enter(first), gate.enter(first), gate.enter(second)], [true, true, true]);
  assert.deepEqual([gate.enter(second), gate.enter(first)], [false, false]);
  gate.leave(first);
  assert.equal(gate.enter(first), false, "it would hold more than is free");
  gate.leave(second);
  assert.equal(gate.enter(first), true);
  gate.leave({ link: "i1", sender: two });
  assert.equal(gate.inside, 2);
  gate.leave(first);
  gate.leave(first);
  gate.leave(first);
  assert.equal(gate.inside, 0);
});

test("T10: a machine that claims many sources leaves half of the places to other links", () => {
  const gate = new Gate(2000, 200);
  const claim = (link: string) => {
    let taken = 0;
    for (let i = 0; i < 5000; i++) if (gate.enter({ link, sender: String(i) })) taken++;
    return taken;
  };
  assert.deepEqual([claim("i1"), claim("i2"), claim("i3")], [1000, 500, 250]);
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
