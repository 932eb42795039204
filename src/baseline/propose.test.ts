/**
 * The proposal allows what was seen and nothing else, is the same each time, changes no more than new traffic asks for, and
 * takes in nothing that was refused or looked like a way out.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Aggregator } from "../audit/aggregate.ts";
import type { Event } from "../audit/event.ts";
import { recovered } from "../audit/spool-status.ts";
import { parseAddress } from "../address/ip.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { contactOf } from "./contact.ts";
import { Memory } from "./memory.ts";
import { propose } from "./propose.ts";
import { baselineReport } from "./report.ts";
import { baselineText } from "./report-text.ts";
import { passes } from "./replay.ts";
import { aim, bodyOf, connection, evidenceOf, type Given, plain, proposalOf, recorded } from "./testing/events.ts";

function engineOf(text: string) {
  const loaded = loadPolicy(text, "proposal", new Date(0));
  assert.ok(!isPolicyProblems(loaded), `${text}\n${JSON.stringify(loaded)}`);
  return loaded.engine;
}

function verdictOf(text: string, event: Event): string {
  return passes(engineOf(text), contactOf(event, new Memory())!.facts).verdict;
}

const endpoints = (text: string) => [...text.matchAll(/^ {6}- (.+)$/gm)].map((match) => match[1]!.replaceAll('"', ""));

const held = (events: readonly Event[]) =>
  proposalOf(events).sources.flatMap((source) => source.held.map(({ seen, doubt }) => `${seen.host} ${doubt}`));

describe("the proposal", () => {
  const names = fc.constantFrom("pypi.org", "a.example", "b.a.example", "shard1.cdn.example.com", "x.github.io");
  const given: fc.Arbitrary<Given> = fc.record({
    name: names,
    protocol: fc.constantFrom("tls", "http", "ssh", "tcp", "udp", "quic"),
    port: fc.constantFrom(443, 80, 22, 8443, 5432),
    group: fc.constantFrom("python", "rust", null),
    at: fc.integer({ min: 0, max: 100_000 }),
  });
  const traffic = fc.array(
    given.map((each) =>
      connection({ ...each, source: { python: "10.1.0.1", rust: "10.2.0.1" }[each.group ?? ""] ?? "10.3.0.1" }),
    ),
    { minLength: 1, maxLength: 25 },
  );

  test("allows each flow that was seen, and none that differs from all of them in one thing", () => {
    fc.assert(
      fc.property(traffic, connectionOf(given), (events, other) => {
        const { text } = proposalOf(events);
        const keyOf = ({ source, destination }: Event) =>
          `${source!.group} ${destination!.name} ${destination!.port} ${destination!.protocol}`;
        for (const event of events) assert.equal(verdictOf(text, event), "allow", text);
        // Without any group it is for everybody; an opaque rule lets in what its port carries, by definition.
        const isAlone = events.every(({ source }) => source!.group === null);
        const isOpaque = ({ source, destination }: Event) =>
          (isAlone || source!.group === other.source!.group) &&
          destination!.name === other.destination!.name &&
          destination!.port === other.destination!.port &&
          (destination!.protocol === "tcp" || destination!.protocol === "udp");
        if (events.some((event) => keyOf(event) === keyOf(other) || isOpaque(event))) return;
        if (isAlone && other.source!.group !== null) return;
        assert.equal(verdictOf(text, other), "deny", `${JSON.stringify(other)}\n${text}`);
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  test("is the same to the byte for the same traffic in any order, and again for twice of it", () => {
    fc.assert(
      fc.property(traffic, fc.integer(), (events, seed) => {
        const { text } = proposalOf(events);
        const shuffled = events.toSorted((a, b) => hash(a, seed) - hash(b, seed));
        assert.equal(proposalOf(shuffled).text, text);
        assert.equal(proposalOf([...events, ...events]).text, text);
      }),
      { numRuns: 100, seed: 2 },
    );
  });

  test("grows with its input by what is new: no endpoint goes", () => {
    fc.assert(
      fc.property(traffic, traffic, (events, more) => {
        const before = proposalOf(events).text;
        const after = proposalOf([...events, ...more]).text;
        const isSame =
          events.every(({ source }) => source!.group !== null) || more.every(({ source }) => source!.group === null);
        if (isSame) for (const event of events) assert.equal(verdictOf(after, event), "allow", `${before}\n${after}`);
      }),
      { numRuns: 100, seed: 3 },
    );
  });

  test("of nothing is a policy that allows nothing", () => {
    const { text } = proposalOf([]);
    assert.equal(verdictOf(text, connection()), "deny");
    assert.deepEqual(endpoints(text), []);
  });

  test("writes each host once with its ports, and each protocol that a port does not say", () => {
    const { text } = proposalOf([
      connection({ name: "a.example", port: 443 }),
      connection({ name: "a.example", port: 80, protocol: "http" }),
      connection({ name: "a.example", port: 8443 }),
      connection({ name: "a.example", port: 9443 }),
      connection({ name: "db.example", port: 5432, protocol: "tcp" }),
    ]);
    assert.deepEqual(endpoints(text), ["a.example:80,443", "a.example:8443,9443", "db.example:5432"]);
  });

  test("writes a preset's range for TLS on 443 alone: nobody reviewed it for another port", () => {
    const at = (port: number) => connection({ name: "productionresultssa7.blob.core.windows.net", port });
    const { text } = proposalOf([at(443), at(8443)]);
    assert.equal(endpoints(text).filter((each) => each.includes("{")).length, 1);
    assert.ok(endpoints(text).includes("productionresultssa7.blob.core.windows.net:8443"), text);
  });

  test("declares a source as the policy in force does, and narrower sources before wider ones", () => {
    const declared = loadPolicy(
      "version: 1\nsources:\n  all: { subnets: [10.0.0.0/8] }\n  few: { subnets: [10.1.0.0/16] }\n",
      "p",
      new Date(0),
    );
    assert.ok(!isPolicyProblems(declared));
    const events = ["all", "few"].map((group) =>
      connection({ group, source: group === "few" ? "10.1.0.1" : "10.2.0.1" }),
    );
    const { text } = propose(evidenceOf(events), { ...plain, sources: declared.policy.sources });
    assert.match(text, /all: \{ subnets: \[10\.0\.0\.0\/8\] \}/);
    for (const event of events) assert.equal(verdictOf(text, event), "allow");
  });

  test("quotes names of sources that YAML would read as something else", () => {
    for (const group of ["no", "a: b", "*x", "1.0", "{a}", "#x", "'", "é"]) {
      const events = [connection({ group })];
      assert.equal(verdictOf(proposalOf(events).text, events[0]!), "allow", group);
    }
  });

  test("writes IPv6 sources and addresses so that they are read as such", () => {
    const events = [
      connection({ group: "six", source: "2001:db8:1::7" }),
      connection({ group: "six", source: "2001:db8:1::", name: null, ip: "2001:db8::9", port: 5432, protocol: "tcp" }),
    ];
    const { text } = proposalOf(events, { accept: new Set(["[2001:db8::9]:5432"]) });
    for (const event of events) assert.equal(verdictOf(text, event), "allow", text);
  });

  test("an address that was recorded in two sources is for the policy in force to say", () => {
    assert.throws(
      () => evidenceOf([connection({ group: "a" }), connection({ group: "b" })]),
      /10\.20\.1\.7.*--policy/s,
    );
  });
});

describe("what is not proposed", () => {
  test("what the policy refused, and what the data path refused in monitor mode too", () => {
    const { text, sources } = proposalOf([
      connection({ name: "evil.example", verdict: "deny" }),
      connection({ name: "overlap.example", reason: "overlap" }),
      connection({ name: "pypi.org" }),
    ]);
    assert.deepEqual(endpoints(text), ["pypi.org"]);
    assert.deepEqual(
      sources[0]!.denied.map(({ host }) => host),
      ["evil.example"],
    );
    assert.deepEqual(
      sources[0]!.held.map(({ seen, doubt }) => [seen.host, doubt]),
      [["overlap.example", "overlap"]],
    );
  });

  test("ways out that a monitor lets pass: bare addresses, another's name, no name, metadata, sealed names at fronts, sinks", () => {
    assert.deepEqual(
      held([
        connection({ name: null, ip: "198.51.100.9", port: 5432, protocol: "tcp" }),
        connection({ name: "pypi.org", shown: "evil.example", ip: "203.0.113.66" }),
        connection({ name: "quiet.example", shown: null, protocol: "tls" }),
        connection({ name: "meta.example", ip: "169.254.169.254", port: 80, protocol: "http" }),
        connection({ name: "d111.cloudfront.net", ech: true }),
        connection({ name: "webhook.site" }),
        connection({ name: "x.ngrok.io" }),
      ]),
      [
        "198.51.100.9 no_name",
        "d111.cloudfront.net ech",
        "evil.example name_mismatch",
        "meta.example private_address",
        "quiet.example missing_name",
        "webhook.site known_sink",
        "x.ngrok.io known_sink",
      ],
    );
  });

  test("what a detection names, before and after it fired, for that source alone", () => {
    const detection = recorded(50, {
      kind: "detection",
      source: { ip: "10.1.0.1" },
      destination: { name: "tunnel.example", name_from: "dns", protocol: "dns" },
      detection: { type: "name_entropy", domain: "tunnel.example" },
    });
    const { sources } = proposalOf([
      connection({ group: "a", source: "10.1.0.1", name: "x1.tunnel.example", at: 1 }),
      detection,
      connection({ group: "a", source: "10.1.0.1", name: "x2.tunnel.example", at: 99 }),
      connection({ group: "b", source: "10.2.0.1", name: "x3.tunnel.example", at: 99 }),
    ]);
    assert.deepEqual(
      sources.map(({ held, entries }) => [held.length, entries.length]),
      [
        [2, 0],
        [0, 1],
      ],
    );
  });

  test("what a rule of the policy in force allowed is in no doubt", () => {
    const events = [connection({ name: "webhook.site", verdict: "allow", reason: "rule", rule: "hooks" })];
    assert.deepEqual(endpoints(proposalOf(events).text), ["webhook.site"]);
  });

  test("a good destination stays good when somebody else hides behind its name", () => {
    const { text, sources } = proposalOf([
      connection({ name: "pypi.org" }),
      connection({ name: "cdn.example", shown: "pypi.org", ip: "203.0.113.66" }),
    ]);
    assert.deepEqual(endpoints(text), ["pypi.org"]);
    assert.deepEqual(
      sources[0]!.held.map(({ doubt }) => doubt),
      ["name_mismatch"],
    );
  });

  test("--accept proposes it by name or by address, in a form that really lets it through", () => {
    const events = [
      connection({ name: null, ip: "198.51.100.9", port: 5432, protocol: "tcp" }),
      connection({ name: null, ip: "2001:db8::9", port: 443 }),
      connection({ name: "mirror.example", ip: "10.9.0.1" }),
      connection({ name: "quiet.example", shown: null, ip: "203.0.113.77" }),
      connection({ name: "webhook.site" }),
    ].map((event, i) => ({ ...event, source: { ...event.source!, ip: i === 1 ? "2001:db8:1::1" : event.source!.ip } }));
    const accept = [
      "198.51.100.9:5432",
      "[2001:db8::9]:443",
      "mirror.example:443",
      "quiet.example:443",
      "webhook.site:443",
    ];
    const { text, sources } = proposalOf(events, { accept: new Set(accept) });
    assert.deepEqual(
      sources.flatMap((source) => source.held),
      [],
    );
    for (const event of events) assert.equal(verdictOf(text, event), "allow", text);
    assert.equal(proposalOf(events, { accept: new Set(["198.51.100.9:5433"]) }).sources[0]!.held.length, 5);
  });

  test("a scan is counted, not listed", () => {
    const events = Array.from({ length: 6_000 }, (_, i) => connection({ name: `n${i}.example`, at: i }));
    const [source] = evidenceOf(events).sources;
    assert.deepEqual([source!.passed.size, source!.beyond], [5_000, 1_000]);
  });

  test("counted repeats say no more than what they repeat: neither a good name becomes doubtful, nor a doubtful one good", () => {
    const recorder = new Aggregator();
    const kinds: Given[] = [
      { name: "pypi.org" },
      { name: "cdn.example", shown: "evil.example", ip: "203.0.113.66" },
      { name: "d111.cloudfront.net", ech: true, ip: "203.0.113.67" },
      { name: "db.example", port: 5432, protocol: "tcp", ip: "203.0.113.68" },
    ];
    const bodies = kinds.flatMap((given) => Array.from({ length: 42 }, () => bodyOf(connection(given))));
    const pushed = bodies.flatMap((body) => recorder.push(body, 0));
    const counted = recorder.tick(Number.POSITIVE_INFINITY);
    assert.deepEqual([pushed.length, counted.map(({ count }) => count)], [20, [37, 37, 37, 37]]);
    const events = [...pushed, ...counted].map((body) => recorded(0, body));
    const { sources, text } = proposalOf(events);
    assert.deepEqual(endpoints(text), ["pypi.org", "db.example:5432"]);
    assert.deepEqual(held(events), ["d111.cloudfront.net ech", "evil.example name_mismatch"]);
    const counts = [...sources[0]!.evidence.passed.values()].map(({ count }) => count);
    assert.deepEqual(counts, [42, 42, 42, 42]);
    // Cut off from what it repeats, a name shown proves nothing.
    assert.deepEqual(evidenceOf([recorded(0, counted[0]!)]).sources, []);
  });

  test("counted floods without a destination are no contact, and neither is an event of another kind", () => {
    const flood = { ...connection({ verdict: "deny", count: 900 }), destination: undefined } as unknown as Event;
    const { sources, uncounted } = evidenceOf([flood, recorded(0, { kind: "policy", message: "loaded" })]);
    assert.deepEqual([sources, uncounted], [[], 900]);
  });

  test("events that the record lost are counted, and said", () => {
    const events = [recorded(5, recovered(null, { lost: 7, first: 0, last: 1 }))];
    const report = baselineReport(evidenceOf(events), proposalOf(events), aim, 0);
    assert.match(baselineText(report), /^1 event from 0 sources, [^;]*; 7 events lost by the record/);
  });
});

function connectionOf(given: fc.Arbitrary<Given>): fc.Arbitrary<Event> {
  return given.map((each) => {
    const source = { python: "10.1.0.1", rust: "10.2.0.1" }[each.group ?? ""] ?? "10.3.0.1";
    assert.ok(parseAddress(source) !== null);
    return connection({ ...each, source });
  });
}

function hash({ time, destination }: Event, seed: number): number {
  let value = seed;
  for (const character of time + destination!.name + destination!.port + destination!.protocol) {
    value = Math.imul(value ^ character.charCodeAt(0), 0x01000193);
  }
  return value;
}
