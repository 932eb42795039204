/**
 * What a thread tells of a connection is what happened: its event's text, the counts of the metrics, what may be a sign of something,
 * and enough of the flow to write its end without reading it again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../address/ip.ts";
import { bodiesOf } from "../audit/body.ts";
import type { EventBody } from "../audit/event.ts";
import { Tally } from "../audit/tally.ts";
import type { Engine } from "../policy/decision.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { endpoints, flowEndText } from "./flow-end.ts";
import { flowKey, Ledger, Live } from "./ledger.ts";
import type { LiveFlow } from "./messages.ts";
import { batchSize, Outbox } from "./outbox.ts";

function engineOf(rule: string): Engine {
  const text = `version: 1\nsources:\n  farm: { subnets: [10.0.0.0/8] }\nrules:\n  - { name: ${rule}, to: a.example }\n`;
  const loaded = loadPolicy(text, "p.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded), JSON.stringify(loaded));
  return loaded.engine;
}

const flow = (sourcePort: number): LiveFlow => ({
  source: parseAddress("10.0.0.2")!,
  sourcePort,
  destination: parseAddress("2001:db8::ff")!,
  destinationPort: 443,
  transport: "tcp",
  protocol: 6,
  local: false,
  process: null,
  who: null,
  application: "tls",
  name: "ünï.example",
  names: ["a.example"],
  ech: false,
  begunEnforced: true,
  verdict: "allow",
  rule: "web",
  monitored: [],
  tier: 2,
  since: 1_000,
});

const allowed = (live: LiveFlow, engine: Engine): EventBody => ({
  kind: "connection",
  verdict: "allow",
  enforced: true,
  reason: "rule",
  rule: { name: "web", tier: 2, mode: "enforce", policy: engine.hash },
  ...endpoints(live, engine),
});

test("events, their counts and their flows cross as they are, in order, in batches", () => {
  const engine = engineOf("web");
  const outbox = new Outbox();
  const events = Array.from({ length: 2 * batchSize + 5 }, (_, i) => allowed(flow(i + 1), engine));
  for (const [i, event] of events.entries()) outbox.settle(event, i % 2 === 0 ? flow(i + 1) : null, engine);
  const [told, direct, summed] = [[] as EventBody[], new Tally(), new Tally()];
  let flows = 0;
  while (outbox.size > 0) {
    const batch = outbox.take();
    told.push(...bodiesOf(batch.bodies));
    summed.add(batch.tally);
    for (const [i, since] of batch.flows.since.entries()) {
      const [key, whole] = [batch.flows.parts[3 * i]!, batch.flows.parts[3 * i + 1]!];
      assert.deepEqual(new Live(whole, since).flow, flow(2 * flows + 1));
      assert.equal(key, flowKey(flow(2 * flows + 1)));
      flows++;
    }
  }
  for (const event of events) direct.count(event);
  assert.deepEqual([told, flows], [events, batchSize + 3]);
  assert.deepEqual([summed.connections, summed.kinds], [direct.connections, direct.kinds]);
});

test("a flow's end is written from what was known at its beginning, also when it was told first", () => {
  const [engine, next] = [engineOf("web"), engineOf("site")];
  const outbox = new Outbox();
  outbox.settle(allowed(flow(1), engine), flow(1), engine);
  outbox.settle(allowed(flow(2), next), flow(2), next);
  const counts = { bytesUp: 5, bytesDown: 7, packetsUp: 1, packetsDown: 2 };
  const ledger = new Ledger();
  assert.equal(ledger.end(flowKey(flow(1)), counts, 1_100), null);
  for (const policy of [engine, next]) {
    const { flows } = outbox.take();
    // One policy a batch: its ends name it.
    assert.deepEqual([flows.policy, flows.since], [policy.hash, [1_000]]);
    const [key, whole, end] = flows.parts as [string, string, string];
    const live = new Live(whole, 1_000, { text: end, policy: flows.policy });
    const early = ledger.beginLive(key, live, 1_200);
    if (policy === engine) assert.deepEqual(early, counts);
    else assert.equal(ledger.end(key, counts, 1_300), live);
    assert.deepEqual(JSON.parse(`{${flowEndText(end, counts, 234)}}`), {
      kind: "flow_end",
      verdict: "allow",
      enforced: true,
      rule: { name: "web", tier: 2, mode: "enforce", policy: policy.hash },
      ...endpoints(flow(policy === engine ? 1 : 2), policy),
      bytes: { up: 5, down: 7 },
      packets: { up: 1, down: 2 },
      duration_ms: 234,
    });
  }
});

test("what may be a sign is told whole; a name is told once in a while", () => {
  const engine = engineOf("web");
  const outbox = new Outbox();
  const plain = allowed(flow(1), engine);
  const signs: EventBody[] = [
    { ...plain, destination: { ...plain.destination!, name: "eu.nanopool.org" } },
    { ...plain, destination: { ...plain.destination!, ip: "169.254.169.254" } },
    { ...plain, data: { speaks: "stratum" } },
  ];
  for (const event of [plain, ...signs]) outbox.settle(event, null, engine);
  const name = { source: flow(1).source, name: "a.example", channel: "sni", outcome: "passed", process: null } as const;
  for (const now of [0, 9_999, 10_000]) outbox.show(name, now);
  outbox.show({ ...name, outcome: "denied" }, 1);
  const told = outbox.take();
  assert.deepEqual([told.signs, told.names], [signs, [name, name, { ...name, outcome: "denied" }]]);
});
