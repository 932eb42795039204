/**
 * The thread of `flood.ts`: messages as two threads of the data path send them, at a steady rate. Settled connections, 256 a message,
 * most allowed (with the live flow and the name they showed) and some refused; and 40 ms later the ends of the allowed ones. Their
 * events are made by the product's own code from the policy in force; names and runners are drawn like a build farm's. It
 * waits for the main thread as they do; beyond a second, what is due is counted and not offered.
 */
import { readFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { type Address, parseAddress } from "../../src/address/ip.ts";
import type { EventBody } from "../../src/audit/event.ts";
import { behindBy, mostBehind, type Progress } from "../../src/audit/progress.ts";
import { connectionEvent, judgedName, liveFlow } from "../../src/datapath/event.ts";
import { EndedBatch } from "../../src/datapath/ended-batch.ts";
import {
  type FromConntrack,
  type FromWorker,
  type LiveFlow,
  mostUntaken,
  type ShownName,
} from "../../src/datapath/messages.ts";
import { batchSize, Outbox } from "../../src/datapath/outbox.ts";
import type { FlowReport } from "../../src/flow/effects.ts";
import { isPolicyProblems, loadPolicy } from "../../src/policy/load.ts";
import { HANDLED, HELD_BACK, OFFERED, RATE, type FloodCounts } from "./flood-counts.ts";

/** As `queue-worker.ts` and `conntrack-worker.ts` gather. */
const settledInMessage = batchSize;
const gatherMs = 20;
const liveMs = 40;
const refusedShare = 1 / 11;
const runners = 400;
const names = 4_000;
/** It stands for two threads. */
const mostWaiting = 2 * mostUntaken;
/** What both kinds of message bring: one event for each that is settled, one for each end. */
const eventsInMessage = settledInMessage * (2 - refusedShare);

const { counts, policy: file, recorded } = workerData as { counts: FloodCounts; policy: string; recorded: Progress };
const loaded = loadPolicy(readFileSync(file, "utf8"), file, new Date());
if (isPolicyProblems(loaded)) throw new Error(JSON.stringify(loaded));
const { engine } = loaded;

interface Template {
  event: EventBody;
  live: LiveFlow | null;
  name: ShownName;
}

/** A connection, its event and its live flow, but for the port and the time. */
function template(i: number, refused: boolean): Template {
  const runner = i % runners;
  const index = Math.floor(Math.random() ** 4 * names);
  const name = refused ? `tracker${index % 50}.example` : `host${index}.packages.example`;
  const source = parseAddress(`10.99.${runner >> 8}.${runner & 255}`)!;
  const destination = parseAddress(`198.51.${(index >> 8) & 255}.${index & 255}`)!;
  const facts = {
    source,
    process: null,
    destination,
    local: false,
    transport: "tcp",
    port: 443,
    names: [name],
  } as const;
  const decision = engine.name({ ...facts, application: "tls", name, ech: false });
  if (decision.passes === refused) throw new Error(`${name} was to be ${refused ? "refused" : "allowed"}`);
  const ja4 = "t13d1516h2_8daaf6152771_e5627efa2ab1";
  const report: FlowReport = {
    ...{ decision, source, sourcePort: 1, destination, destinationPort: 443, local: false, transport: "tcp" as const },
    ...{ protocol: 6, application: "tls" as const, name, names: [name], live: !refused, owner: null, speaks: null },
    hello: { version: "1.3", alpn: ["h2", "http/1.1"], ech: false, ja4, bytes: 1684, segments: 2 },
  };
  return {
    event: connectionEvent(report, engine),
    live: refused ? null : liveFlow(report, true, 0),
    name: judgedName(report),
  };
}

// An odd number of them, so that a port that comes round again meets another runner.
const templates = Array.from({ length: 4_999 }, (_, i) => template(i, i % 11 === 0));
const outbox = new Outbox();
/** Ends that are due at a time. */
let ending: { at: number; ended: EndedBatch }[] = [];
let made = 0;
let posted = 0;

function settle(now: number): void {
  const ended = new EndedBatch();
  const since = Date.now();
  for (let i = 0; i < settledInMessage; i++) {
    const { event, live, name } = templates[made % templates.length]!;
    const port = 1_024 + (made++ % 64_000);
    event.source!.port = port;
    if (live !== null) {
      live.sourcePort = port;
      live.since = since;
      ended.add(end(live.source, port, live.destination));
    }
    outbox.show(name, since);
    outbox.settle(event, live, engine);
  }
  while (outbox.size > 0) {
    parentPort!.postMessage({ kind: "settled", told: outbox.take(), ...unused } satisfies FromWorker);
    posted++;
  }
  Atomics.add(counts, OFFERED, settledInMessage);
  ending.push({ at: now + liveMs, ended });
}

/** `flood.ts` puts the real thread's in their place. */
const unused = {
  statistics: {
    ...{ packets: 0, pending: 0, pendingBytes: 0, allowed: 0, denied: 0, wouldDeny: 0, lateVerdicts: 0, failures: 0 },
  },
  verdictTimes: { counts: Array.from({ length: 16 }, () => 0), sum: 0 },
};

function end(source: Address, sourcePort: number, destination: Address): Parameters<EndedBatch["add"]>[0] {
  const [bytesUp, bytesDown] = [800 + (made % 5_000), 4_000 + (made % 500_000)];
  const tuple = { source, sourcePort, destination, destinationPort: 443, protocol: 6 };
  const counters = { original: { bytes: bytesUp, packets: 12 }, reply: { bytes: bytesDown, packets: 40 } };
  return { original: tuple, protocol: 6, counters };
}

function tellEnded(now: number): void {
  const due = ending.filter(({ at }) => at <= now);
  ending = ending.filter(({ at }) => at > now);
  for (const { ended } of due) {
    Atomics.add(counts, OFFERED, ended.size);
    parentPort!.postMessage({ kind: "ended", ended: ended.take(), lost: false } satisfies FromConntrack);
  }
}

/** As `queue-worker.ts` asks. */
function isHeard(): boolean {
  return posted - Atomics.load(counts, HANDLED) < mostWaiting && behindBy(recorded) < mostBehind;
}

let owed = 0;
let last = performance.now();
let gathered = last;
for (;;) {
  const rate = Atomics.load(counts, RATE);
  const idle = rate === 0 && ending.length === 0;
  // What is due waits for the main thread, which says when it has been through a message; nothing due, for its time.
  if (owed < eventsInMessage) Atomics.wait(counts, RATE, rate, idle ? 1_000 : 1);
  else Atomics.wait(counts, HANDLED, posted - mostWaiting, 1);
  const now = performance.now();
  owed += (rate * (now - last)) / 1000;
  last = now;
  while (owed >= eventsInMessage && isHeard()) {
    owed -= eventsInMessage;
    settle(now);
  }
  if (owed > rate) {
    Atomics.add(counts, HELD_BACK, Math.round(owed - rate));
    owed = rate;
  }
  if (now - gathered < gatherMs) continue;
  gathered = now;
  tellEnded(now);
}
