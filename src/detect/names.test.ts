/**
 * Promises of the detector of names: it fires on names that carry data and on many denied ones, once in a window; it keeps
 * silent on what honest builds ask; a flood makes it coarser, never blind, and never large.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../address/ip.ts";
import { type JudgedName, type NameAlert, NameDetector, nameThresholds } from "./names.ts";

const hour = nameThresholds.window;
const runner = "10.20.1.7";

const judged = (
  name: string,
  outcome: JudgedName["outcome"] = "denied",
  channel: JudgedName["channel"] = "dns",
  source = runner,
): JudgedName => ({ source: parseAddress(source)!, name, channel, outcome });

/** What a detector says to these names, one each second. */
function told(names: readonly JudgedName[], detector = new NameDetector(), start = 0): NameAlert[] {
  return names.flatMap((name, i) => detector.see(name, start + i * 1000));
}

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const digest = (i: number, size: number) => createHash("sha256").update(String(i)).digest("hex").slice(0, size);
/** Base32 as iodine and dnscat2 write it, 5 bits a character. */
const base32 = (i: number, size: number) =>
  [...createHash("sha512").update(String(i)).digest()]
    .map((byte) => "abcdefghijklmnopqrstuvwxyz234567"[byte & 31])
    .join("")
    .slice(0, size);

const words = [
  "alpha",
  "bravo",
  "files",
  "index",
  "static",
  "mirror",
  "cache",
  "build",
  "north",
  "south",
  "prod",
  "stage",
];
const spelled = (i: number) => `${words[i % 12]}-${words[Math.floor(i / 12) % 12]}-${Math.floor(i / 144)}`;

test("N3, D1: many distinct denied names under one domain are an alert, once, with the evidence", () => {
  for (const channel of ["dns", "sni", "host"] as const) {
    const alerts = told(times(300, (i) => judged(`${spelled(i)}.evil.example`, "denied", channel)));
    assert.equal(alerts.length, 1, channel);
    const { examples, source, ...rest } = alerts[0]!;
    assert.deepEqual(rest, {
      type: "denied_names",
      domain: "evil.example",
      channels: [channel],
      names: 100,
      denied: 100,
      bytes: 0,
      approximate: false,
      perMinute: 61,
      more: null,
    });
    assert.equal(source, parseAddress(runner));
    assert.ok(examples.length === 5 && examples.every((name) => name.endsWith(".evil.example")));
  }
});

test("one denied name a thousand times, and a few hundred allowed ones that spell something, are no alert", () => {
  assert.deepEqual(told(times(1000, () => judged("telemetry.evil.example"))), []);
  assert.deepEqual(told(times(400, (i) => judged(`${spelled(i)}.wild.example`, "passed"))), []);
  assert.deepEqual(told(times(99, (i) => judged(`${spelled(i)}.evil.example`))), []);
});

test("denied names count for an hour only", () => {
  const detector = new NameDetector();
  const slow = times(400, (i) => judged(`${spelled(i)}.evil.example`)).flatMap((name, i) =>
    detector.see(name, (i * hour) / 98),
  );
  assert.deepEqual(slow, []);
});

test("search lists are no alert: names that the public DNS does not have reach nobody; as SNI they could", () => {
  const zones = ["svc.cluster.local", "eu-west-1.compute.internal", "home.arpa"];
  const asked = times(900, (i) => `${spelled(Math.floor(i / 3))}.pypi.org.${zones[i % 3]}`);
  assert.deepEqual(told(asked.map((name) => judged(name))), []);
  assert.equal(
    told(asked.map((name) => judged(name, "denied", "sni"))).filter(({ type }) => type === "denied_names").length,
    3,
  );
});

test("D2: encoded data under an allowed wildcard or in denied names is an alert soon after a kilobyte", () => {
  const forms: [string, (i: number) => string][] = [
    ["iodine", (i) => `${base32(i, 60)}.${base32(i + 1000, 60)}.t`],
    ["hex in short labels", (i) => digest(i, 16)],
    ["base32 in short labels", (i) => base32(i, 12)],
    ["digits", (i) => String(BigInt(`0x${digest(i, 16)}`)).slice(0, 18)],
  ];
  for (const outcome of ["passed", "denied"] as const) {
    for (const [form, label] of forms) {
      const seen: JudgedName[] = [];
      const detector = new NameDetector();
      const alerts: NameAlert[] = [];
      for (let i = 0; alerts.length === 0 && i < 600; i++) {
        seen.push(judged(`${label(i)}.wild.example`, outcome));
        alerts.push(...detector.see(seen.at(-1)!, i * 1000).filter(({ type }) => type === "name_entropy"));
      }
      assert.equal(alerts[0]?.type, "name_entropy", form);
      const characters = seen.reduce((sum, { name }) => sum + name.length - ".wild.example".length, 0);
      assert.ok(characters < 4000, `${form}: ${characters} characters were needed`);
      assert.ok(alerts[0].bytes >= 1024 && alerts[0].names >= 8);
    }
  }
});

test("shards, buckets, hashes and the names of machines are no alert in the numbers that builds see", () => {
  const uuid = (i: number) => digest(i, 32).replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
  const honest: [string, string[]][] = [
    ["one CDN shard", ["d3a4b5c6e7f8.cloudfront.example"]],
    ["CDN shards", times(50, (i) => `d${base32(i, 13)}.cloudfront.example`)],
    ["UUID buckets", times(40, (i) => `${uuid(i)}.buckets.example`)],
    ["content hashes", times(30, (i) => `${digest(i, 32)}.s3.store.example`)],
    ["one name of four long labels", [`${times(3, (i) => digest(i, 62)).join(".")}.wild.example`]],
    ["hosts by address", times(254, (i) => `ip-10-20-1-${i}.compute.example`)],
    ["numbered hosts", times(400, (i) => `productionresultssa${i}.blob.example`)],
    ["regions", times(200, (i) => `run-actions-${i % 9}-azure-${words[i % 12]}us${i}.actions.example`)],
    ["international names", times(60, (i) => `xn--bcher-kva${i}.example.net`)],
  ];
  for (const [what, names] of honest) {
    assert.deepEqual(told(names.map((name) => judged(name, "passed"))), [], what);
  }
});

test("each source and domain counts for itself; all of a /64 is one source", () => {
  const split = times(150, (i) => judged(`${spelled(i)}.evil.example`, "denied", "dns", `10.20.1.${(i % 2) + 1}`));
  assert.deepEqual(told(split), []);
  const domains = times(150, (i) => judged(`${spelled(i)}.evil${i % 2}.example`));
  assert.deepEqual(told(domains), []);
  const many = times(150, (i) => judged(`${spelled(i)}.evil.example`, "denied", "dns", `2001:db8::${i.toString(16)}`));
  assert.equal(told(many).length, 1);
});

test("a spent budget is an alert at once; what follows is counted and told when the window closes", () => {
  const detector = new NameDetector();
  const alerts = told(
    times(20, (i) => judged(`${spelled(i)}.wild.example`, "over_budget")),
    detector,
  );
  assert.deepEqual(
    alerts.map(({ type, more }) => [type, more]),
    [["name_budget", null]],
  );
  assert.deepEqual(detector.tick(hour - 1), []);
  const [closing, ...others] = detector.tick(hour);
  assert.deepEqual(
    [closing?.type, closing?.more, others.length],
    ["name_budget", { count: 19, first: 1000, last: 19_000 }, 0],
  );
  assert.deepEqual(detector.tick(Number.POSITIVE_INFINITY), []);
  assert.equal(detector.see(judged("again.wild.example", "over_budget"), hour + 1)[0]?.type, "name_budget");
});

test("T10: floods of names, domains and sources stay within the bounds, and are still alarmed about", () => {
  const bounds = { tracks: 50, domainsPerSource: 8, namesPerTrack: 40, names: 200 };
  const floods: Record<string, (i: number) => JudgedName> = {
    names: (i) => judged(`n${i}.evil.example`),
    domains: (i) => judged(`n${i}.evil${i}.example`),
    sources: (i) => judged(`n${i}.evil.example`, "denied", "dns", `10.${i >> 8}.${i & 255}.1`),
    everything: (i) => judged(`n${i}.evil${i % 300}.example`, "denied", "sni", `10.0.${i % 200}.1`),
  };
  for (const [flood, make] of Object.entries(floods)) {
    const detector = new NameDetector({}, bounds);
    let alerts = 0;
    for (let i = 0; i < 5000; i++) {
      alerts += detector.see(make(i), i).filter(({ type }) => type === "denied_names").length;
      assert.ok(detector.size.names <= bounds.names && detector.size.tracks <= bounds.tracks + 6, flood);
    }
    assert.ok(alerts > 0, flood);
    const honest = told(
      times(120, (i) => judged(`${spelled(i)}.other.example`, "denied", "sni", "192.0.2.1")),
      detector,
      5000,
    );
    // In a flood of sources it may be the alert about all of them that counts these too.
    if (flood === "names" || flood === "domains") assert.equal(honest.length, 1, flood);
    detector.tick(10 * hour);
    assert.deepEqual(detector.size, { names: 0, tracks: 0 }, flood);
  }
});

test("the counts agree with counting by hand while there is room", () => {
  const step = fc.record({
    name: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    denied: fc.boolean(),
    wait: fc.nat(hour / 2),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const detector = new NameDetector({ deniedNames: 3 });
      const seen: { name: string; denied: boolean; at: number }[] = [];
      let now = 0;
      let alarmed = Number.NEGATIVE_INFINITY;
      for (const { name, denied, wait } of steps) {
        now += wait;
        detector.tick(now);
        const recent = (last: typeof seen) => {
          // A name lives on while it is seen again within the hour, and stays denied so long.
          const live = new Map<string, { at: number; denied: boolean }>();
          for (const each of last) {
            const known = live.get(each.name);
            const alive = known !== undefined && each.at - known.at < hour;
            live.set(each.name, { at: each.at, denied: each.denied || (alive && known.denied) });
          }
          return [...live.values()].filter(({ at, denied: refused }) => refused && now - at < hour).length;
        };
        const before = recent(seen);
        seen.push({ name, denied, at: now });
        const after = recent(seen);
        const said = detector.see(judged(`${name}.evil.example`, denied ? "denied" : "passed"), now);
        // An alert waits for the next new name; a full count alone does not set one off.
        assert.equal(said.length > 0, after >= 3 && after > before && now - alarmed >= hour);
        if (said.length === 0) continue;
        assert.equal(said[0]!.denied, after);
        alarmed = now;
      }
    }),
  );
});
