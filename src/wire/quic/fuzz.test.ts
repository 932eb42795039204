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
import { QuicInitial, quicLimits, type ClientHello, type QuicDefect, type QuicResult } from "./initial.ts";
import { readVarint } from "./varint.ts";

type HelloWord = HelloDefect | "name" | "no_name" | "bad_name";
type PacketWord = Exclude<QuicDefect, HelloDefect | FrameDefect>;
type State = Exclude<QuicResult["state"], "malformed" | "hello">;

/** What becomes of datagrams; the defects of hellos and frames are the other target's. */
type DatagramWord = State | PacketWord | "hello" | "bad_hello" | "bad_frames";
/** Before a flow is let go nothing passes by itself. */
type FirstWord = Exclude<DatagramWord, "pass">;

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
  unknown_connection: true,
  unknown_version: true,
  pass: true,
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

const { pass, ...firstWords } = packetWords;

fuzzTarget<FirstWord>({
  name: "quic-datagrams",
  grammar: [datagrams],
  outcomes: { ...firstWords, bad_hello: true, bad_frames: true },
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
    assert.ok(word !== "pass");
    if (isPacketWord(word)) return word;
    return word in frameDefects ? "bad_frames" : "bad_hello";
  },
});

const shownBy = ({ sni }: ClientHello): string | null => (sni.kind === "name" ? sni.raw : null);

/** On a flow that was let go: what passes begins no connection that was not judged. */
fuzzTarget<"pass" | "hello" | "waits" | "refused">({
  name: "quic-following",
  grammar: [datagrams],
  outcomes: { pass, hello: true, waits: true, refused: true },
  check: (bytes) => {
    const quic = new QuicInitial(true);
    const judged = new Set<string | null>();
    let last: QuicResult = { state: "pass" };
    for (const part of splitParts(bytes)) {
      last = quic.add(part);
      // What a reader that begins anew takes for a hello is judged here, unless it repeats one that was.
      const fresh = new QuicInitial().add(part);
      if (last.state === "pass" && fresh.state === "hello") assert.ok(judged.has(shownBy(fresh.hello)));
      if (last.state === "hello") {
        judged.add(shownBy(last.hello));
        quic.letGo(shownBy(last.hello));
      } else if (last.state !== "pass" && last.state !== "need_more") break;
    }
    if (last.state === "pass" || last.state === "hello") return last.state;
    return last.state === "need_more" ? "waits" : "refused";
  },
});

type FrameWord =
  | HelloWord
  | FrameDefect
  | Exclude<State, "not_quic" | "pass">
  | "not_client_hello"
  | "bytes_after_hello";

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
        // The first to come counts: what follows a whole hello is not read any more.
        for (const [i, byte] of data.entries()) if (!stream.has(offset + i)) stream.set(offset + i, byte);
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
