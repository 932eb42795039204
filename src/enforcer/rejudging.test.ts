/** Live connections are judged again once for all that are alike, and each as if it were alone (threat T8). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../address/ip.ts";
import { FlowKinds, FlowKindWriter, flowKey } from "../datapath/flow-kind.ts";
import { Live, mustBeRead, stillPasses } from "../datapath/ledger.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import type { Engine } from "../policy/decision.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { Rejudging } from "./rejudging.ts";

function engine(text: string): Engine {
  const loaded = loadPolicy(`version: 1\n${text}\n`, "p.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded), JSON.stringify(loaded));
  return loaded.engine;
}

const sources = "sources: { one: { subnets: [10.0.0.1/32] } }\n";
const engines = [
  "rules: []",
  "rules: [{ name: a, to: a.example }]\ndefault: { mode: monitor }",
  `${sources}rules: [{ name: a, from: one, to: [a.example, "198.51.100.7"], ports: [443] }]\ndefault: { mode: enforce }`,
  `${sources}rules: [{ name: b, to: "*.example", ports: [443] }]\ndefault: { mode: monitor, enforce_for: [one] }`,
  "rules: [{ name: q, to: a.example, protocol: quic }, { name: i, to: 198.51.100.7, protocol: icmp }]",
  'rules: [{ name: d, to: "b.example", action: deny, reason: no }, { name: p, from: { process: { step: x } }, to: a.example }]',
].map(engine);

const address = (text: string) => parseAddress(text)!;
const flows = fc.record({
  source: fc.constantFrom(address("10.0.0.1"), address("10.0.0.2")),
  sourcePort: fc.integer({ min: 1, max: 4 }),
  destination: fc.constantFrom(address("198.51.100.7"), address("198.51.100.8")),
  destinationPort: fc.constantFrom(443, 80),
  transport: fc.constantFrom("tcp", "tcp", "udp", "icmp"),
  application: fc.constantFrom("tls", "http", "quic", "other", null),
  name: fc.constantFrom("a.example", "b.example", null),
  names: fc.subarray(["a.example", "b.example"]),
  step: fc.constantFrom("x", "y", null),
  begunEnforced: fc.boolean(),
  ech: fc.boolean(),
  since: fc.nat(5),
});

function liveFlow({ step, transport, ...drawn }: typeof flows extends fc.Arbitrary<infer T> ? T : never): LiveFlow {
  const known = transport as LiveFlow["transport"];
  return {
    ...drawn,
    transport: known,
    protocol: { tcp: 6, udp: 17, icmp: 1, other: 50 }[known],
    local: false,
    process: step === null ? null : { step, action: null, exe: "/bin/x", runner: false },
    who: null,
    verdict: "allow",
    rule: "a",
    monitored: [],
    tier: 2,
  };
}

test("what is judged once for all that are alike is what each would get alone", () => {
  const trusted = (to: string) => (to === address("198.51.100.7") ? ["a.example"] : []);
  fc.assert(
    fc.property(fc.array(flows, { minLength: 20, maxLength: 60 }), fc.constantFrom(...engines), (drawn, next) => {
      const [writer, kinds] = [new FlowKindWriter(), new FlowKinds()];
      const judge = new Rejudging(next, trusted);
      for (const each of drawn.map(liveFlow)) {
        const passes = stillPasses(next, each, trusted);
        const expected = { passes, isRead: passes && mustBeRead(next, each, trusted) };
        const live = Live.of(kinds.of(writer.textOf(each, engines[0]!)), flowKey(each), each.since);
        assert.deepEqual(judge.of(live), expected);
        assert.deepEqual(judge.of(Live.whole(each)), expected);
      }
    }),
    { numRuns: 500 },
  );
});

test("ten thousand connections that are alike cost one judgement", () => {
  let asked = 0;
  const counted = new Proxy(engines[2]!, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (key === "name" || key === "connect") asked++;
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  const [flow] = fc.sample(flows, { numRuns: 1, seed: 1 }).map(liveFlow);
  const [writer, kinds, judge] = [new FlowKindWriter(), new FlowKinds(), new Rejudging(counted, () => [])];
  const alike = Array.from({ length: 10_000 }, (_, i) => ({
    ...flow!,
    transport: "tcp" as const,
    protocol: 6,
    sourcePort: 1_024 + i,
    since: i,
  }));
  const lives = alike.map((each) => Live.of(kinds.of(writer.textOf(each, engines[0]!)), flowKey(each), each.since));
  judge.of(lives[0]!);
  const once = asked;
  assert.ok(once > 0);
  for (const live of lives) judge.of(live);
  assert.equal(asked, once);
  assert.ok(
    lives.every(({ known }) => known === null),
    "none of them is made whole for it",
  );
});
