/**
 * TCP options under fuzz: the walk ends inside the header, and a signed or broken list is never taken for a clean one. And what
 * follows a hello: no second one is missed that a patient server would find.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { fuzzTarget } from "../../test/support/fuzz.ts";
import { assertLinear } from "../../test/support/work.ts";
import { helloMessages, helloRecords } from "../../test/wire/hello.arbitrary.ts";
import { buildHello, bytes, records, vector } from "../../test/wire/hello.ts";
import { optionPackets } from "../../test/wire/packet.arbitrary.ts";
import { Packet, parsePacket } from "../wire/ip/packet.ts";
import { parseHello } from "../wire/tls/hello.ts";
import { readAfterHello } from "../wire/tls/second-hello.ts";
import { type After, AfterHello } from "./after-hello.ts";
import { BROKEN, couldMiss, MULTIPATH, SIGNED, tcpOptions } from "./insertion.ts";

type Word = "not_tcp" | "clean" | "multipath" | "signed" | "broken";

/** The kinds in the list, slowly: null where it is broken before its end. */
function kindsOf(options: Uint8Array): { kinds: number[]; broken: boolean } {
  const kinds: number[] = [];
  let rest = [...options];
  while (rest.length > 0 && rest[0] !== 0) {
    const [kind, length] = rest;
    if (kind === 1) rest = rest.slice(1);
    else {
      if (length === undefined || length < 2 || length > rest.length) return { kinds, broken: true };
      kinds.push(kind!);
      rest = rest.slice(length);
    }
  }
  return { kinds, broken: false };
}

fuzzTarget<Word>({
  name: "tcp-options",
  grammar: [optionPackets],
  outcomes: { not_tcp: true, clean: true, multipath: true, signed: true, broken: true },
  check: (bytes) => {
    const packet = new Packet();
    parsePacket(bytes, 0, bytes.length, packet);
    if (packet.defect !== null || packet.transport !== "tcp") return "not_tcp";
    const found = tcpOptions(bytes, packet);
    const options = bytes.subarray(packet.transportOffset + 20, packet.payloadOffset);
    const { kinds, broken } = kindsOf(options);
    const expected =
      (kinds.includes(30) ? MULTIPATH : 0) |
      (kinds.some((kind) => kind === 19 || kind === 29) ? SIGNED : 0) |
      (broken ? BROKEN : 0);
    assert.equal(found, expected);
    if ((found & (SIGNED | BROKEN)) !== 0) assert.ok(couldMiss(bytes, 0, packet));
    assertLinear(bytes, 0, 90, (view) => tcpOptions(view, packet));
    if ((found & BROKEN) !== 0) return "broken";
    return (found & SIGNED) !== 0 ? "signed" : (found & MULTIPATH) !== 0 ? "multipath" : "clean";
  },
});

/** No server takes a longer hello: OpenSSL takes 131396 bytes, Go 65536. */
const longestHello = 262_144;

/**
 * A server that waits for a second hello and is as patient as any: it passes over what RFC 8446 lets it pass over, joins
 * handshake records whatever stands between them and whatever their version says, and minds nothing that comes after.
 */
function waitingServer(
  stream: Uint8Array,
  earlyData: boolean,
): { state: "waits" | "begun" | "broke" | "hello"; body: Uint8Array } {
  const message: number[] = [];
  const answer = (state: "waits" | "begun" | "broke" | "hello", to = 4) => ({
    state,
    body: Uint8Array.from(message.slice(4, to)),
  });
  for (let at = 0; at < stream.length;) {
    const type = stream[at]!;
    if (type !== 22 && type !== 20 && type !== 21 && !(type === 23 && earlyData)) return answer("broke");
    if (at + 5 > stream.length) break;
    const end = at + 5 + stream[at + 3]! * 256 + stream[at + 4]!;
    if (type === 22) message.push(...stream.subarray(at + 5, end));
    at = end;
    if (message.length > 0 && message[0] !== 1) return answer("broke");
    if (message.length < 4) continue;
    const size = 4 + message[1]! * 65_536 + message[2]! * 256 + message[3]!;
    if (size > longestHello + 4) return answer("broke");
    if (message.length >= size) return answer("hello", size);
  }
  return answer(message.length > 0 ? "begun" : "waits");
}

const record = (type: number, size: number): Uint8Array =>
  bytes(type, 3, 3, vector(2, new Uint8Array(size).fill(0x99)));

/** What honest clients, and others, say after the hello. Its first byte: whether early data was offered. */
const followers = fc
  .tuple(
    fc.boolean(),
    fc.array(
      fc
        .tuple(fc.constantFrom(20, 20, 20, 21, 22, 23, 23, 24), fc.constantFrom(0, 1, 2, 30))
        .map((each) => record(...each)),
      { maxLength: 4 },
    ),
    fc.oneof(
      helloRecords,
      helloMessages.map((message) => records(message, Math.min(40, message.length))),
      fc.constantFrom(records(buildHello()), records(bytes(1, 0, 0x90, 0, new Uint8Array(20))), new Uint8Array(0)),
    ),
    fc.array(
      fc.constantFrom(20, 22, 23).map((type) => record(type, 9)),
      { maxLength: 2 },
    ),
  )
  .map(([early, before, hello, behind]) => bytes(early ? 1 : 0, ...before, hello, ...behind));

type AfterWord = Exclude<After["state"], "over" | "ahead" | "pass"> | "passed" | "no_hello" | "hello";

/** N10: what is let go by itself begins no hello to any server, and none comes behind "there is none", however it is cut. */
fuzzTarget<AfterWord>({
  name: "second-hello",
  grammar: [followers],
  outcomes: { passed: true, wait: true, no_hello: true, hello: true, malformed: true, too_large: true, overlap: true },
  check: (input, pick) => {
    const isEarly = (input[0]! & 1) === 1;
    const stream = input.subarray(1, 60_001);
    if (pick(8) === 0) assertLinear(stream, 8, 600, (view) => readAfterHello(view, isEarly));
    const first = [1, 0xffff_fff0, 0x7fff_fff8][pick(3)]!;
    const after = new AfterHello(first, isEarly);
    const edges = [0, ...Array.from({ length: pick(6) }, () => pick(stream.length + 1)), stream.length].toSorted(
      (a, b) => a - b,
    );
    const segments = edges
      .slice(1)
      .map((to, i) => ({ at: edges[i]!, data: stream.slice(edges[i], to) }))
      .filter(({ data }) => data.length > 0);
    const order = pick(2) === 0 ? segments : segments.toSorted(() => pick(3) - 1);
    const damaged = pick(3) === 0 ? segments[pick(segments.length)] : undefined;
    if (damaged !== undefined) {
      const data = damaged.data.slice();
      data[pick(data.length)]! ^= 1 + pick(255);
      order.splice(pick(order.length + 1), 0, { at: damaged.at, data });
    }
    // The first to come counts for a receiver, or the last: where they differ nothing may pass after it.
    const seen = new Map<number, number>();
    let word: AfterWord = "passed";
    let passed = 0;
    for (const { at, data } of order) {
      for (const [i, byte] of data.entries()) if (!seen.has(at + i)) seen.set(at + i, byte);
      const said = after.add((first + at) >>> 0, data);
      assert.notEqual(said.state, "ahead");
      if (said.state === "pass") {
        const end = (said.end - first) | 0;
        assert.ok(end >= passed, "what was let go comes back");
        passed = end;
        assert.equal(
          waitingServer(runOf(seen, 0, end), isEarly).state,
          "waits",
          "a hello has begun in what was let go",
        );
        word = "passed";
      } else if (said.state === "over") {
        const run = runOf(seen, 0, said.shown.length);
        assert.deepEqual(run, Uint8Array.from(said.shown));
        const server = waitingServer(run, isEarly);
        assert.equal(server.state, said.hello === null ? "broke" : "hello");
        if (said.hello !== null) assert.deepEqual(parseHello(server.body), said.hello);
        return said.hello === null ? "no_hello" : "hello";
      } else if (said.state === "wait") word = "wait";
      else return said.state as AfterWord;
    }
    // All has come: a server that has its hello now is not behind something that still waits.
    assert.notEqual(waitingServer(runOf(seen, 0, stream.length), isEarly).state, "hello");
    return word;
  },
});

function runOf(seen: ReadonlyMap<number, number>, from: number, to: number): Uint8Array {
  return Uint8Array.from({ length: to - from }, (_, i) => {
    const byte = seen.get(from + i);
    assert.ok(byte !== undefined, "a gap was taken for bytes");
    return byte;
  });
}
