/**
 * Random connections against simple oracles. An attacker with raw sockets: any segments, SYNs, acknowledgements the server never
 * gave cause for (downwards: upwards the kernel calls them invalid), and packets that are lost behind us at will. The far
 * end is a server that keeps the first copy of each byte that reaches it. Whatever it reads must begin with a hello for an
 * allowed name. An honest client must always get through; a monitored one must never notice.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { fuzzing } from "../../test/support/fuzz.ts";
import { classify } from "../wire/first-bytes.ts";
import { ACK, FIN, Packet, parsePacket, PSH, RST, SYN, URG } from "../wire/ip/packet.ts";
import { captureHello } from "./testing/hellos.ts";
import { ascii, joined } from "./testing/packets.ts";
import { enforced, monitored, onlyDenied } from "./testing/policies.ts";
import { Client, policy, Scene } from "./testing/scene.ts";

const allowed = await captureHello("allowed.example");
const denied = await captureHello("denied.example");
const engines = { enforced: policy(enforced), monitored: policy(monitored), onlyDenied: policy(onlyDenied) };

/** The bytes an attacker draws from: hellos, an early one, and noise. */
const sources = { allowed: joined(allowed, ascii("after")), denied, noise: ascii("\x16\x03\x01 noise".repeat(40)) };

const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("segment" as const),
      of: fc.constantFrom("allowed" as const, "allowed" as const, "denied" as const, "noise" as const),
      /** Where it is cut from its source, and where it is put, relative to there. */
      from: fc.constantFrom(0, 0, 0, 1, 100, 800, 1500, allowed.length),
      size: fc.constantFrom(1, 50, 700, 800, 1600, 3000),
      shift: fc.constantFrom(0, 0, 0, 0, -1, 1, -800, 800, -allowed.length, 1 << 30),
      flags: fc.constantFrom(PSH | ACK, PSH | ACK, PSH | ACK, FIN | ACK, RST, URG | ACK, PSH, SYN | ACK),
      ack: fc.constantFrom("true" as const, "true" as const, "low" as const),
      lost: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("bare" as const),
      flags: fc.constantFrom(ACK, ACK, FIN | ACK, RST, RST | ACK),
      shift: fc.constantFrom(0, allowed.length, 500),
      ack: fc.constantFrom("true" as const, "low" as const),
      lost: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("syn" as const),
      shift: fc.constantFrom(0, 0, 0, -allowed.length, -1, 5000),
      data: fc.boolean(),
      lost: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(100, 3_000, 11_000, 40_000) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The far end, and what connection tracking makes of the client's SYNs and resets. */
class World {
  readonly scene: Scene;
  readonly client: Client;
  /** The server's connection: the client's first sequence number, its own, and the bytes that reached it. */
  connection: { initial: number; own: number; bytes: Map<number, number> } | null = null;
  #closed = false;
  #own = 5_000;
  #delivered = 0;
  readonly #packet = new Packet();

  constructor(scene: Scene) {
    this.scene = scene;
    this.client = new Client(scene);
  }

  /** What the server reads; it speaks when it has read a whole hello. */
  get read(): Uint8Array {
    const bytes = this.connection?.bytes;
    const read: number[] = [];
    while (bytes?.has(read.length) === true) read.push(bytes.get(read.length)!);
    return Uint8Array.from(read);
  }

  take(step: Step): void {
    if (step.kind === "pass") {
      this.scene.pass(step.ms);
      return this.#deliver(false);
    }
    const own = this.connection?.own ?? 5_000;
    const spoken = this.read.length >= allowed.length ? 3_000 : 0;
    if (step.kind === "syn") {
      // A SYN of a connection that was reset begins a new one for the kernel; of any other it is passed as it is.
      if (this.#closed) this.scene.marks.clear();
      this.#closed = false;
      this.client.syn({ seq: this.client.initial + step.shift, ...(step.data ? { payload: allowed } : {}) });
      return this.#deliver(step.lost);
    }
    const ack = own + 1 + (step.ack === "low" ? -60_000 : spoken);
    const payload =
      step.kind === "bare" ? new Uint8Array(0) : sources[step.of].subarray(step.from, step.from + step.size);
    const at = step.kind === "bare" ? step.shift : step.from + step.shift;
    this.client.segment(at, payload, { flags: step.flags, ack });
    if ((step.flags & RST) !== 0) this.#closed = true;
    this.#deliver(step.lost);
  }

  /** Carries what left to the server, or loses it. */
  #deliver(isLost: boolean): void {
    for (; this.#delivered < this.scene.left.length; this.#delivered++) {
      const bytes = this.scene.left[this.#delivered]!;
      if (isLost) continue;
      parsePacket(bytes, 0, bytes.length, this.#packet);
      if (this.#packet.sourcePort === this.client.tuple.sourcePort) this.#receive(bytes, this.#packet);
    }
  }

  #receive(bytes: Uint8Array, packet: Packet): void {
    const { flags, seq } = packet;
    if ((flags & SYN) !== 0) {
      if (this.connection !== null || (flags & ACK) !== 0) return;
      this.#own += 100_000;
      this.connection = { initial: seq, own: this.#own, bytes: new Map() };
    }
    if (this.connection === null) return;
    const { initial, own } = this.connection;
    // The answer to a SYN goes out for each that it gets, through us.
    if ((flags & SYN) !== 0) return void this.client.answer({ seq: own, ack: initial + 1 });
    const next = (initial + 1 + this.read.length) >>> 0;
    if ((flags & RST) !== 0) {
      if (seq === next) this.connection = null;
      return;
    }
    for (let i = 0; i < packet.payloadLength; i++) {
      const at = (seq + i - initial - 1) | 0;
      if (at >= 0 && !this.connection.bytes.has(at)) this.connection.bytes.set(at, bytes[packet.payloadOffset + i]!);
    }
  }
}

/** The name in what a server reads; null while it cannot know. */
function shownIn(read: Uint8Array): string | null {
  const first = classify(read);
  if (first.state === "need_more") return null;
  return first.state === "done" && first.name.kind === "name" ? first.name.name : "something without a name";
}

describe("an attacker", () => {
  const handshake: Step[] = [{ kind: "syn", shift: 0, data: false, lost: false }];

  test("under an enforced policy makes the server read nothing but an allowed hello", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(step, { maxLength: 25, size: "max" }), (begins, steps) => {
        const scene = new Scene(engines.enforced, { answersSeen: true }).bind("allowed.example");
        const world = new World(scene);
        for (const each of [...(begins ? handshake : []), ...steps]) {
          world.take(each);
          const shown = shownIn(world.read);
          assert.ok(shown === null || shown === "allowed.example", `the server reads ${shown}`);
          const isAllowed = scene.reports.some(
            ({ decision }) => decision.verdict === "allow" && decision.reason === "rule",
          );
          if (!isAllowed) assert.equal(scene.payloadLeft, 0, "payload left before any verdict");
        }
        scene.pass(12_000);
        assert.deepEqual(scene.held, []);
      }),
      fuzzing,
    );
  });

  test("under a denied name does not make the server read that name, wherever the rest may go", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25, size: "max" }), (steps) => {
        const world = new World(new Scene(engines.onlyDenied, { answersSeen: true }));
        for (const each of [...handshake, ...steps]) {
          world.take(each);
          assert.notEqual(shownIn(world.read), "denied.example");
        }
        world.scene.pass(12_000);
        assert.deepEqual(world.scene.held, []);
      }),
      fuzzing,
    );
  });

  test("whatever the policy does meanwhile, each packet gets one verdict, and no flow is kept for ever", () => {
    const change = fc.constantFrom("enforced" as const, "monitored" as const, "onlyDenied" as const);
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 4, arbitrary: step }, change), { maxLength: 25 }),
        fc.boolean(),
        (steps, answersSeen) => {
          const scene = new Scene(engines.enforced, { answersSeen }).bind("allowed.example");
          const world = new World(scene);
          for (const each of [...handshake, ...steps]) {
            if (typeof each === "string") {
              scene.flows.setPolicy(engines[each], scene.now);
              if (each === "monitored") assert.deepEqual(scene.held, []);
            } else world.take(each);
          }
          scene.pass(12_000);
          assert.deepEqual(scene.held, []);
          for (let i = 0; i < 8_000; i++) scene.pass(1_000);
          assert.deepEqual(scene.flows.load, { flows: 0, bytes: 0 });
          const unsaid = [...scene.verdicts.values()].filter((verdict) => verdict === "refuse").length;
          assert.ok(unsaid === 0 || scene.reports.length > 0, "refused without an event");
        },
      ),
      { ...fuzzing, numRuns: 300 },
    );
  });
});

describe("an honest client", () => {
  test("gets through: cut, reordered, doubled, delayed within reason; each byte once, one event", () => {
    const piece = fc.record({
      cut: fc.integer({ min: 1, max: allowed.length - 1 }),
      repeat: fc.boolean(),
      rank: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.nat(5_000), fc.boolean(), (pieces, delay, answersSeen) => {
        const scene = new Scene(engines.enforced, { answersSeen }).bind("allowed.example");
        const client = new Client(scene);
        client.syn();
        if (answersSeen) client.answer();
        const cuts = [...new Set([0, ...pieces.map(({ cut }) => cut), allowed.length])].toSorted((a, b) => a - b);
        const segments = cuts.slice(0, -1).map((from, i) => ({ from, to: cuts[i + 1]!, rank: pieces[i]?.rank ?? 0 }));
        const order = [...segments, ...segments.filter((_, i) => pieces[i]?.repeat)].toSorted(
          (a, b) => a.rank - b.rank,
        );
        const ids = new Map<number, number>();
        order.forEach(({ from, to }, i) => {
          if (i === order.length - 1) scene.pass(delay);
          const id = scene.send(client.packet(from, allowed.subarray(from, to)));
          if (scene.verdict(id) !== "drop") ids.set(from, id);
        });
        assert.deepEqual(scene.held, []);
        for (const { from } of segments) assert.notEqual(scene.verdict(ids.get(from)!), "refuse");
        assert.equal(client.read, Buffer.from(allowed).toString("latin1"));
        client.ack += 2_000;
        assert.equal(client.segment(allowed.length, ascii("finished")), "allow");
        assert.deepEqual(
          scene.reports.map(({ decision, name }) => [decision.verdict, name]),
          [["allow", "allowed.example"]],
        );
        assert.deepEqual(scene.flows.load, { flows: 0, bytes: 0 });
      }),
      fuzzing,
    );
  });
});

test("a monitored client sees every packet go on at once and in order, whatever it sends", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const scene = new Scene(engines.monitored);
      const client = new Client(scene);
      let sent = 0;
      for (const each of steps) {
        if (each.kind === "pass") scene.pass(each.ms);
        else if (each.kind === "syn")
          client.syn({ seq: client.initial + each.shift, ...(each.data ? { payload: denied } : {}) });
        else if (each.kind === "bare") client.bare({ flags: each.flags, seq: client.initial + 1 + each.shift });
        else {
          const payload = sources[each.of].subarray(each.from, each.from + each.size);
          client.segment(each.from + each.shift, payload, { flags: each.flags });
        }
        if (each.kind !== "pass") sent++;
        assert.equal(scene.left.length, sent, "it went on, and at once");
      }
      assert.deepEqual(scene.resets, []);
      assert.ok(scene.reports.every(({ decision }) => decision.passes));
    }),
    fuzzing,
  );
});
