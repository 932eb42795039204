/**
 * What a thread tells of a connection is what happened: its event's text, the counts of the metrics, what may be a sign of something,
 * and enough of the flow to write its end without reading it again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { addressFromBytes, parseAddress } from "../address/ip.ts";
import { bodiesOf, bodyText } from "../audit/body.ts";
import type { EventBody, EventProcess } from "../audit/event.ts";
import { Tally } from "../audit/tally.ts";
import type { Engine } from "../policy/decision.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { endpoints, flowEndBegun, flowEndParts, flowEndText } from "./flow-end.ts";
import { FlowKinds, flowKey } from "./flow-kind.ts";
import { Ledger, Live } from "./ledger.ts";
import type { LiveFlow, PackedFlows } from "./messages.ts";
import { batchSize, Outbox } from "./outbox.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

function engineOf(rule: string): Engine {
  const text = `version: 1\nsources:\n  farm: { subnets: [10.0.0.0/8] }\nrules:\n  - { name: ${rule}, to: a.example }\n`;
  const loaded = loadPolicy(text, "p.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded), JSON.stringify(loaded));
  return loaded.engine;
}

const flow = (sourcePort: number): LiveFlow => ({
  source: parseAddress("10.0.0.2")!,
  sourcePort,
  destination: parseAddress("198.51.100.255")!,
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

/** As the main thread takes them in. */
function unpacked({ keys, kindOf, since, kinds }: PackedFlows, known: FlowKinds): Live[] {
  return keys.map((key, i) => Live.of(known.of(kinds[kindOf[i]!]!), key, since[i]!));
}

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
    assert.equal(batch.flows.kinds.length, 1);
    for (const live of unpacked(batch.flows, new FlowKinds())) {
      assert.deepEqual(live.flow, flow(2 * flows + 1));
      assert.deepEqual([live.key, live.known], [flowKey(flow(2 * flows + 1)), live.flow]);
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
  const lives = unpacked(outbox.take().flows, new FlowKinds());
  assert.equal(lives.length, 2);
  for (const [i, policy] of [engine, next].entries()) {
    const live = lives[i]!;
    assert.deepEqual([live.kind!.policy, live.since], [policy.hash, 1_000]);
    const early = ledger.beginLive(live, 1_200);
    if (policy === engine) assert.deepEqual(early, counts);
    else assert.equal(ledger.end(live.key, counts, 1_300), live);
    const end = flowEndBegun(live.kind!.end, live.ends);
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
    // To the letter as the record writes an event.
    const { verdict, rule } = flow(i + 1);
    const whole = { kind: "flow_end", verdict, enforced: true, ...endpoints(flow(i + 1), policy) } as const;
    assert.equal(end, bodyText({ ...whole, rule: { name: rule, tier: 2, mode: "enforce", policy: policy.hash } }));
  }
});

test("flows of one kind keep their own ends, whatever the ports, the protocol, the group and the process", () => {
  const engine = engineOf("web");
  const outbox = new Outbox();
  const process = { step: 'a"b', action: null, exe: "/bin/é\u2028", runner: false };
  const who = { pid: 7, comm: "c\\" } as unknown as EventProcess;
  const v4 = { source: parseAddress("10.0.0.2")!, destination: parseAddress("0.255.34.92")! };
  const v6 = { source: parseAddress("2001:db8::22")!, destination: parseAddress("::ffff:0:5c5c")! };
  const flows: LiveFlow[] = [];
  for (const ends of [v4, { ...v4, source: parseAddress("192.0.2.1")! }, v6]) {
    for (const sourcePort of [0, 34, 0xd800, 65_535]) {
      for (const other of [{}, { process, who }, { monitored: ['x"'], application: null, name: null }]) {
        flows.push({ ...flow(sourcePort), ...ends, destinationPort: 0xdfff, ...other, since: flows.length });
        flows.push({ ...flows.at(-1)!, protocol: 17, transport: "udp" });
      }
    }
    // The kernel's id and type of an echo.
    flows.push({ ...flow(4_711), ...ends, destinationPort: 2_048, protocol: 1, transport: "icmp", names: [] });
  }
  for (const each of flows) outbox.settle(allowed(each, engine), each, engine);
  const lives: Live[] = [];
  const known = new FlowKinds();
  while (outbox.size > 0) lives.push(...unpacked(outbox.take().flows, known));
  assert.deepEqual(
    lives.map((live) => live.copy),
    flows,
  );
  for (const [i, live] of lives.entries()) {
    const each = flows[i]!;
    const text = flowEndBegun(live.kind!.end, live.ends);
    assert.equal(text, flowEndBegun(flowEndParts(each, engine), each));
    const { source, process: told, destination } = JSON.parse(`{${text}}`) as EventBody;
    const wanted = endpoints(each, engine);
    assert.deepEqual([source, told, destination], [wanted.source, wanted.process, wanted.destination]);
  }
  // Two kinds of them for each of three ways, two transports and two groups, and the echoes'.
  assert.ok(new Set(lives.map((live) => live.kind)).size <= 3 * 2 * 2 + 2 * 1);
});

test("a live flow of a kind that is known takes less than 200 bytes", () => {
  const engine = engineOf("web");
  const count = 20_000;
  const measured = (begin: number) => {
    const [outbox, known, ledger] = [new Outbox(), new FlowKinds(), new Ledger()];
    for (let i = begin; i < begin + count; i++) {
      const source = addressFromBytes(Uint8Array.of(10, 1, i >> 16, (i >> 8) & 255), 0, 4);
      const destination = addressFromBytes(Uint8Array.of(198, 51, 100, i & 15), 0, 4);
      const each = { ...flow(1_024 + (i % 60_000)), source, destination, since: 1_800_000_000_000 + i };
      outbox.settle(allowed(each, engine), each, engine);
      if (outbox.size < batchSize) continue;
      // As it crosses between threads.
      for (const live of unpacked(structuredClone(outbox.take().flows), known)) ledger.beginLive(live, 0);
    }
    return ledger;
  };
  measured(0);
  const heap = () => {
    gc();
    gc();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  const ledger = measured(count);
  const each = (heap() - before) / ledger.size;
  assert.ok(ledger.size > count - batchSize);
  assert.ok(each < 200, `${each} bytes`);
  assert.ok(each > 50, `${each} bytes: nothing was measured`);
});

test("kinds without end take no more than some megabytes, however long the names of an address are", () => {
  const engine = engineOf("web");
  // As the address book keeps them for one address; each name as long as DNS has them.
  const names = Array.from({ length: 1_024 }, (_, i) => `${String(i).padStart(60, "n")}.${"x".repeat(180)}.example`);
  const [outbox, known] = [new Outbox(), new FlowKinds()];
  const heap = () => {
    gc();
    gc();
    return process.memoryUsage().heapUsed;
  };
  const connect = (first: number, count: number) => {
    for (let pid = first; pid < first + count; pid++) {
      // A process each: a kind each.
      const who = { pid, comm: "curl" } as unknown as EventProcess;
      const live = { ...flow(pid), names, who };
      outbox.settle(allowed(live, engine), live, engine);
      while (outbox.size >= batchSize)
        for (const each of unpacked(structuredClone(outbox.take().flows), known)) void each.ends;
    }
  };
  connect(1, 8);
  const before = heap();
  connect(9, 200);
  const kept = heap() - before;
  assert.ok(kept < 32 * 1024 * 1024, `${kept} bytes`);
  // What nobody takes is as much as many short ones.
  for (let pid = 1; pid <= 8; pid++) {
    const live = { ...flow(pid), names, who: { pid, comm: "wget" } as unknown as EventProcess };
    outbox.settle(allowed(live, engine), live, engine);
  }
  assert.ok(outbox.size >= 4 * batchSize, String(outbox.size));
});

test("a kind that is long is found again and does not displace those that are short", () => {
  const known = new FlowKinds();
  const [short, long] = ["{}", JSON.stringify("x".repeat(1_000_000))];
  const kinds = [known.of(short), known.of(long)];
  assert.deepEqual([known.of(short) === kinds[0], known.of(long) === kinds[1]], [true, true]);
  for (let i = 0; i < 20; i++) known.of(`${i}${long}`);
  assert.deepEqual([known.of(short) === kinds[0], known.of(long) === kinds[1]], [true, false]);
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
