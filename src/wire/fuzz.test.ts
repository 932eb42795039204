/**
 * N5, N6, N7 under fuzz: a stream's first bytes are one protocol or none and never change their answer, and the stream itself is
 * put together as a map from offset to byte would be, within its bounds.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { connections, plainConnections } from "../../test/http/requests.arbitrary.ts";
import { fuzzTarget } from "../../test/support/fuzz.ts";
import { joinParts, splitParts } from "../../test/support/parts.ts";
import { assertLinear } from "../../test/support/work.ts";
import { helloRecords } from "../../test/wire/hello.arbitrary.ts";
import { canonicalName } from "../address/name.ts";
import { classify, type FirstBytes } from "./first-bytes.ts";
import { isStratum } from "./stratum.ts";
import { Reassembly, type Written } from "./reassembly.ts";
import { StreamHead, streamLimits } from "./stream.ts";

type Application = Extract<FirstBytes, { state: "done" }>["application"];
type FirstWord = "need_more" | "tls_malformed" | "tls_too_large" | "http_malformed" | "http_too_large" | Application;

const wordOf = (first: FirstBytes): FirstWord =>
  first.state === "need_more"
    ? first.state
    : first.state === "done"
      ? first.application
      : `${first.application}_${first.reason}`;

fuzzTarget<FirstWord>({
  name: "first-bytes",
  grammar: [helloRecords, connections, plainConnections, fc.uint8Array({ maxLength: 40 })],
  outcomes: {
    need_more: true,
    tls: true,
    http: true,
    ssh: true,
    other: true,
    tls_malformed: true,
    tls_too_large: true,
    http_malformed: true,
    http_too_large: true,
  },
  large: { http_too_large: new Uint8Array(17_000).fill(0x41).fill(0x20, 3, 4) },
  check: (bytes, pick) => {
    const result = classify(bytes);
    assert.equal(typeof isStratum(bytes), "boolean");
    if (result.state === "done") {
      if (result.name.kind === "name") assert.equal(canonicalName(result.name.name), result.name.name);
      assert.equal(result.tls !== null, result.application === "tls");
      assert.equal(result.http !== null, result.application === "http");
    }
    const early = classify(bytes.subarray(0, pick(bytes.length + 1)));
    if (early.state !== "need_more") assert.deepEqual(early, result);
    if (pick(8) === 0) assertLinear(bytes, 9, 600, classify);
    return wordOf(result);
  },
});

/** Slow and obvious: every byte in a map; ranges counted by looking. */
class Naive {
  bytes = new Map<number, number>();

  write(offset: number, data: Uint8Array, limit: number, maxRanges: number): Written {
    if (data.length === 0) return "ok";
    if (offset + data.length > limit) return "too_large";
    for (const [i, byte] of data.entries()) {
      const there = this.bytes.get(offset + i);
      if (there !== undefined && there !== byte) return "overlap";
    }
    const next = new Map(this.bytes);
    for (const [i, byte] of data.entries()) next.set(offset + i, byte);
    if ([...next.keys()].filter((at) => !next.has(at - 1)).length > maxRanges) return "too_large";
    this.bytes = next;
    return "ok";
  }

  contiguous(): number[] {
    const out: number[] = [];
    for (let at = 0; this.bytes.has(at); at++) out.push(this.bytes.get(at)!);
    return out;
  }
}

// Few byte values and a small space, so that overlaps, repeats and neighbours are common.
const writes = fc
  .array(
    fc
      .tuple(fc.nat(40), fc.uint8Array({ maxLength: 12, max: 1 }))
      .map(([offset, data]) => Uint8Array.of(offset, ...data)),
    { maxLength: 30 },
  )
  .map(joinParts);

fuzzTarget<Written>({
  name: "reassembly",
  grammar: [writes],
  outcomes: { ok: true, overlap: true, too_large: true },
  check: (bytes, pick) => {
    const ranges = 1 + pick(4);
    const real = new Reassembly(48, ranges);
    const stream = new StreamHead(0xffff_fff0, { ...streamLimits, bytes: 48, ranges });
    const naive = new Naive();
    let first: Written = "ok";
    for (const [offset = 0, ...rest] of splitParts(bytes)) {
      const data = Uint8Array.from(rest);
      const wanted = naive.write(offset, data, 48, ranges);
      assert.equal(real.write(offset, data), wanted);
      assert.equal(stream.add((0xffff_fff1 + offset) >>> 0, data), wanted);
      if (first === "ok") first = wanted;
      assert.deepEqual([...real.contiguous()], naive.contiguous());
      assert.deepEqual([...stream.contiguous()], naive.contiguous());
      assert.ok(real.capacity <= 48 && stream.capacity <= 48);
      const probe = Uint8Array.from({ length: 20 }, (_, i) => naive.bytes.get(i) ?? 7);
      assert.ok(real.agreesWith(probe));
      const some = [...naive.bytes.keys()].find((at) => at < 20);
      if (some === undefined) continue;
      probe[some]! ^= 1;
      assert.ok(!real.agreesWith(probe));
    }
    return first;
  },
});
