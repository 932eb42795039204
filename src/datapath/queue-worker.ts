/**
 * One data-path thread: one NFQUEUE, one flow engine, one copy of the policy and of the address book. A blocking loop, not
 * an event loop: wait for packets or a message, take the messages first (a binding is in force before the packets it
 * allows are judged), judge a batch, send the verdicts.
 *
 * If this thread dies its queue has no listener and the kernel drops: fail closed. `pool.ts` starts it again.
 */
import { type MessagePort, parentPort, receiveMessageOnPort } from "node:worker_threads";
import { Aggregator } from "../audit/aggregate.ts";
import type { EventBody } from "../audit/event.ts";
import { AddressBook } from "../flow/book.ts";
import type { Effects, FlowMark, FlowReport, Reset } from "../flow/effects.ts";
import { FlowEngine, type KernelFacts } from "../flow/engine.ts";
import {
  ALLOW,
  BACK,
  BROADCAST,
  DENY,
  FORGED,
  INVALID,
  LOCAL,
  OUR_BITS,
  PENDING,
  QUIC,
  stateOf,
  withState,
} from "../kernel/mark.ts";
import { inNamespace } from "../kernel/namespace.ts";
import { QueueSocket } from "../kernel/nfqueue.ts";
import { RawSender } from "../kernel/raw.ts";
import { Waiter } from "../kernel/wait.ts";
import { Histogram } from "../metrics/histogram.ts";
import type { Engine } from "../policy/decision.ts";
import { compile } from "../policy/compile.ts";
import { buildReset } from "../wire/ip/build.ts";
import { Packet, parsePacket } from "../wire/ip/packet.ts";
import type { Attribution } from "./attribution.ts";
import { connectionEvent, judgedName, liveFlow } from "./event.ts";
import {
  type FromWorker,
  type LiveFlow,
  noStatistics,
  type QueueWorkerData,
  type ToWorker,
  verdictBounds,
} from "./messages.ts";
import { NextPolicy } from "./next-policy.ts";
import { whenTold } from "./preparation.ts";
import { takeBindings } from "./take-bindings.ts";
import { Teller, tellMs } from "./teller.ts";

/** Longest wait, ms: the deadlines of undecided flows are looked at this often. */
const tickMs = 250;
/** On a machine datagrams of a flow's next socket may be dropped until it is seen that there is one. */
const machineTickMs = 50;
const sweepMs = 30_000;
/**
 * What one window tells the main thread of one by one: more than it can take would pile up between the threads, without a bound.
 * The rest is counted by source and reason.
 */
const floodBounds = { maxKeys: 1_500, maxKeysPerSource: 500 };
/** Defects of our own told with their text; all are counted. */
const tellFailures = 10;
/** Batches judged before messages are looked at again. */
const batchesPerTurn = 8;
const stateNames = new Map<number, KernelFacts["state"]>([
  [PENDING, "pending"],
  [ALLOW, "allow"],
  [DENY, "deny"],
  [QUIC, "quic"],
]);
const marks: Readonly<Record<FlowMark, number>> = { pending: PENDING, allow: ALLOW, quic: QUIC };

class QueueWorker implements Effects {
  readonly #port: MessagePort;
  readonly #names: MessagePort;
  readonly #queue: QueueSocket;
  readonly #raw: RawSender;
  readonly #waiter: Waiter;
  readonly #who: Attribution | null;
  readonly #book: AddressBook;
  readonly #flows: FlowEngine;
  readonly #aggregator = new Aggregator(floodBounds);
  readonly #packet = new Packet();
  readonly #statistics = noStatistics();
  readonly #verdictTimes = new Histogram(verdictBounds);
  /** Bits of waiting packets' marks that are not ours, where there are any. */
  readonly #foreign = new Map<number, number>();
  #engine: Engine;
  readonly #next = new NextPolicy();
  readonly #teller: Teller;
  #now = Date.now();
  #toldPackets = 0;
  #stop: number | null = null;
  readonly #beats: Int32Array<SharedArrayBuffer>;

  constructor(port: MessagePort, data: QueueWorkerData, attribute: () => Attribution | null) {
    this.#port = port;
    this.#names = data.names;
    this.#beats = data.beats;
    const { taken, recorded } = data;
    const post = this.#post.bind(this);
    this.#teller = new Teller({ post, taken, recorded, figures: () => this.#figures() });
    this.#engine = compile(data.policy.policy, data.policy.at);
    this.#book = new AddressBook({ oneSource: data.oneSource });
    for (const binding of data.bindings) this.#book.bind(binding);
    const open = () => ({ queue: QueueSocket.open(data.queue), raw: new RawSender(), who: attribute() });
    const { queue, raw, who } = data.namespace === null ? open() : inNamespace(data.namespace, open);
    this.#queue = queue;
    this.#raw = raw;
    this.#who = who;
    who?.setPolicy(this.#engine);
    this.#waiter = new Waiter(who === null ? [queue.fd] : [queue.fd, who.fd]);
    const owners = who === null ? {} : { owners: { find: who.find, always: true } };
    this.#flows = new FlowEngine(this.#engine, this.#book, this, { answersSeen: true, ...owners }, data.queues);
    this.#flows.setOverdrawn(data.overdrawn);
    this.#post({ kind: "ready", wake: this.#waiter.wakeDescriptor, queue: queue.fd });
  }

  run(): void {
    let nextTick = 0;
    let nextSweep = this.#now + sweepMs;
    const tick = this.#who === null ? tickMs : machineTickMs;
    while (this.#stop === null) {
      const behind = this.#teller.isBehind;
      // With packets waiting there is nothing to wait for in the kernel.
      const most = this.#next.isWaiting ? 0 : behind || !this.#teller.isEmpty ? tellMs : tick;
      if (behind) this.#teller.waitUntilTaken(most);
      else this.#waiter.wait(most);
      Atomics.add(this.#beats, 0, 1);
      this.#now = Date.now();
      this.#messages();
      this.#nextPolicy();
      this.#who?.drain();
      const batches = behind ? 0 : batchesPerTurn;
      for (let batch = 0; batch < batches && this.#batch(); batch++);
      this.#notices();
      if (this.#now >= nextTick) {
        nextTick = this.#now + tick;
        this.#flows.tick(this.#now);
        this.#who?.tick();
        for (const flow of this.#who?.changed() ?? []) this.#flows.forgetDatagrams(flow);
        this.#aggregated(this.#aggregator.tick(this.#now));
        this.#queue.flush();
        // Packets that settled nothing (SYNs that wait for their hello) show in the statistics all the same.
        if (this.#teller.isEmpty && this.#statistics.packets !== this.#toldPackets) this.#teller.tell();
      }
      if (this.#now >= nextSweep) {
        nextSweep = this.#now + sweepMs;
        this.#book.sweep(this.#now);
      }
      this.#teller.tellDue(this.#now);
    }
    this.#queue.close();
    this.#raw.close();
    this.#who?.close();
    this.#aggregated(this.#aggregator.tick(Number.POSITIVE_INFINITY));
    this.#teller.tellAll();
    this.#post({ kind: "done", sequence: this.#stop });
  }

  accept(id: number, mark: FlowMark): void {
    this.#verdict(id, marks[mark]);
  }

  refuse(id: number): void {
    this.#verdict(id, DENY);
  }

  drop(id: number): void {
    this.#foreign.delete(id);
    this.#queue.verdict(id, "drop");
  }

  reset(reset: Reset): void {
    this.#raw.send(buildReset({ ...reset, seq: reset.sequence, ack: reset.acknowledgement }), reset.destination);
  }

  report(report: FlowReport): void {
    const event = connectionEvent(report, this.#engine);
    if (report.name !== null) this.#teller.named(judgedName(report), this.#now);
    // Each packet of a forged source is a report of its own, also where it is let pass.
    if (report.decision.verdict === "deny" || report.decision.reason === "forged_source") {
      if (report.decision.verdict === "deny") this.#statistics.denied++;
      else this.#statistics.wouldDeny++;
      return this.#aggregated(this.#aggregator.push(event, this.#now));
    }
    if (report.decision.verdict === "allow") this.#statistics.allowed++;
    else this.#statistics.wouldDeny++;
    this.#settle(event, report.live ? liveFlow(report, this.#engine.enforcedFor(report.source), this.#now) : null);
  }

  #verdict(id: number, state: number): void {
    const foreign = this.#foreign.get(id) ?? 0;
    if (foreign !== 0) this.#foreign.delete(id);
    this.#queue.verdict(id, "accept", withState(foreign, state));
  }

  /** Judges one batch; false when the queue was empty. */
  #batch(): boolean {
    const queue = this.#queue;
    const began = performance.now();
    const count = queue.receive();
    for (let i = 0; i < count; i++) {
      const id = queue.packetId(i);
      const mark = queue.mark(i);
      const foreign = (mark & ~OUR_BITS) >>> 0;
      if (foreign !== 0) this.#foreign.set(id, foreign);
      const start = queue.payloadOffset(i);
      parsePacket(queue.bytes, start, queue.payloadLength(i), this.#packet);
      const state = stateOf(mark);
      const forged = (mark & FORGED) === FORGED;
      this.#statistics.packets++;
      Atomics.add(this.#beats, 0, 1);
      try {
        this.#flows.packet(
          id,
          queue.bytes,
          start,
          this.#packet,
          {
            state: stateNames.get(state) ?? "none",
            local: (mark & LOCAL) !== 0,
            invalid: (mark & INVALID) !== 0,
            broadcast: (mark & BROADCAST) !== 0,
            back: (mark & BACK) !== 0 && !forged,
            forged,
          },
          this.#now,
        );
      } catch (error) {
        // A defect of ours must not end enforcement for everybody, nor let the packet through.
        this.#statistics.failures++;
        this.drop(id);
        if (this.#statistics.failures <= tellFailures)
          this.#post({ kind: "failure", message: String((error as Error).stack) });
      }
    }
    queue.flush();
    // Once a batch, not once a packet: each of them waited for the last.
    if (count > 0) this.#verdictTimes.observe((performance.now() - began) / 1000, count);
    else this.#who?.caughtUp();
    return count > 0;
  }

  #messages(): void {
    takeBindings(this.#names, this.#book);
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      const message = received.message as ToWorker;
      switch (message.kind) {
        case "bind":
          for (const binding of message.bindings) this.#book.bind(binding);
          break;
        case "policy":
          if (this.#next.take(message.part, message.sequence)) break;
          continue;
        case "overdrawn":
          this.#flows.setOverdrawn(message.overdrawn);
          break;
        case "stop":
          this.#stop = message.sequence;
          return;
      }
      this.#post({ kind: "done", sequence: message.sequence });
    }
  }

  #nextPolicy(): void {
    const next = this.#next.work();
    if (next === null) return;
    const engine = (this.#engine = next.engine);
    this.#flows.setPolicy(engine, this.#now);
    this.#who?.setPolicy(engine);
    this.#queue.flush();
    // The main thread judges live flows again once it hears "done": it must know them all by then.
    this.#teller.tellAll();
    this.#post({ kind: "done", sequence: next.sequence });
  }

  #notices(): void {
    const noticed = this.#who?.noticed() ?? [];
    if (noticed.length > 0) this.#post({ kind: "noticed", noticed });
  }

  #aggregated(events: EventBody[]): void {
    for (const event of events) this.#settle(event, null);
  }

  #settle(event: EventBody, live: LiveFlow | null): void {
    this.#teller.settle(event, live, this.#engine, this.#now);
  }

  #figures() {
    const { flows, bytes } = this.#flows.load;
    this.#statistics.pending = flows;
    this.#statistics.pendingBytes = bytes;
    this.#statistics.lateVerdicts = this.#queue.lateVerdicts;
    this.#toldPackets = this.#statistics.packets;
    return { statistics: { ...this.#statistics }, verdictTimes: this.#verdictTimes.counts() };
  }

  #post(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

whenTold(parentPort!, (data, attribute) => new QueueWorker(parentPort!, data, attribute).run());
