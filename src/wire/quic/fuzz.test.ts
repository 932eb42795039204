/**
 * N9 under fuzz: any datagrams, and any frames inside packets that open. The reader answers within its bounds, and a hello is
 * that of the CRYPTO stream put together naively.
 */
import assert from "node:assert/strict";
import { fuzzTarget } from "../../../test/support/fuzz.ts";
import { splitParts } from "../../../test/support/parts.ts";
import { assertLinear } from "../../../test/support/work.ts";
import { datagrams, framePayloads } from "../../../test/wire/initial.arbitrary.ts";
import { datagram, sealInitial } from "../../../test/wire/initial.ts";
import { maxHelloBytes, parseHello, type HelloDefect } from "../tls/hello.ts";
import { readFrames, type FrameDefect } from "./frames.ts";
import { readHeader } from "./header.ts";
import { QuicInitial, quicLimits, type QuicDefect, type QuicResult } from "./initial.ts";
import { readVarint } from "./varint.ts";

type HelloWord = HelloDefect | "name" | "no_name" | "bad_name";
type PacketWord = Exclude<QuicDefect, HelloDefect | FrameDefect>;
type State = Exclude<QuicResult["state"], "malformed" | "hello">;

/** What becomes of datagrams; the defects of hellos and frames are the other target's. */
type DatagramWord = State | PacketWord | "hello" | "bad_hello" | "bad_frames";

const frameDefects: Record<FrameDefect, true> = { frame_truncated: true, frame_type: true, no_frames: true };

function wordOf(result: QuicResult): Exclude<DatagramWord, "bad_hello" | "bad_frames"> | HelloDefect | FrameDefect {
  return result.state === "malformed" ? result.defect : result.state;
}

const packetWords: Record<Exclude<DatagramWord, "bad_hello" | "bad_frames">, true> = {
  need_more: true,
  not_quic: true,
  overlap: true,
  too_large: true,
  hello: true,
  header: true,
  short_connection_id: true,
  small_datagram: true,
  mixed_connections: true,
  undecryptable: true,
  reserved_bits: true,
  retry_from_client: true,
  not_client_hello: true,
  bytes_after_hello: true,
};
const isPacketWord = (word: string): word is keyof typeof packetWords => word in packetWords;

/** Answers are final, and every answer comes within the bounds. */
function read(parts: readonly Uint8Array[]): QuicResult {
  const quic = new QuicInitial();
  let result: QuicResult = { state: "need_more" };
  for (const [i, part] of parts.entries()) {
    const next = quic.add(part);
    if (result.state !== "need_more") assert.equal(next, result);
    result = next;
    if (i >= quicLimits.datagrams) assert.notEqual(result.state, "need_more");
  }
  if (result.state === "hello") assert.ok(result.hello.bytes <= maxHelloBytes + 4);
  return result;
}

fuzzTarget<DatagramWord>({
  name: "quic-datagrams",
  grammar: [datagrams],
  outcomes: { ...packetWords, bad_hello: true, bad_frames: true },
  check: (bytes, pick) => {
    const parts = splitParts(bytes);
    for (const part of parts.slice(0, 2)) {
      if (part.length === 0) continue;
      const at = pick(part.length);
      const header = readHeader(part, at);
      if (typeof header !== "string") {
        assert.ok(header.packetNumber <= header.end && header.end <= part.length && header.end > at);
        assert.ok(header.dcid.length <= 20 && header.scid.length <= 20);
      }
      assertLinear(part.subarray(at), 0, 40 + 12, (view) => readHeader(view, 0));
      const cursor = { bytes: part, at, end: part.length };
      const value = readVarint(cursor);
      assert.ok(value === -1 ? cursor.at === at : cursor.at > at && cursor.at <= part.length && value >= 0);
    }
    const word = wordOf(read(parts));
    if (isPacketWord(word)) return word;
    return word in frameDefects ? "bad_frames" : "bad_hello";
  },
});

type FrameWord = HelloWord | FrameDefect | Exclude<State, "not_quic"> | "not_client_hello" | "bytes_after_hello";

fuzzTarget<FrameWord>({
  name: "quic-frames",
  grammar: [framePayloads],
  outcomes: {
    ...frameDefects,
    need_more: true,
    overlap: true,
    too_large: true,
    not_client_hello: true,
    bytes_after_hello: true,
    name: true,
    no_name: true,
    bad_name: true,
    hello_truncated: true,
    hello_trailing_bytes: true,
    hello_version: true,
    session_id_length: true,
    cipher_suites_length: true,
    compression_methods_length: true,
    extensions_length: true,
    duplicate_extension: true,
    too_many_extensions: true,
    alpn_syntax: true,
    supported_versions_syntax: true,
    signature_algorithms_syntax: true,
    psk_not_last: true,
  },
  check: (bytes) => {
    const payloads = splitParts(bytes);
    const stream = new Map<number, number>();
    for (const payload of payloads) {
      assertLinear(payload, 2, 8, (view) => readFrames(view, () => true));
      readFrames(payload, (offset, data) => {
        for (const [i, byte] of data.entries()) stream.set(offset + i, byte);
        return true;
      });
    }
    const result = read(payloads.map((payload, number) => datagram(sealInitial(payload, { number }))));
    if (result.state === "hello") {
      const message = Uint8Array.from({ length: result.hello.bytes }, (_, at) => stream.get(at)!);
      assert.deepEqual(parseHello(message.subarray(4)), result.hello);
      const { kind } = result.hello.sni;
      return kind === "name" ? "name" : kind === "none" ? "no_name" : "bad_name";
    }
    const word = wordOf(result);
    assert.ok(word !== "hello");
    return word as FrameWord;
  },
});
