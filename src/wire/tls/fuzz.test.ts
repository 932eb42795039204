/**
 * N5, N6, N7 under fuzz: whatever the bytes, the TLS reader answers within its bounds, answers the same whatever comes after,
 * and never gives a name that the bytes do not spell.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { fuzzTarget } from "../../../test/support/fuzz.ts";
import { assertLinear } from "../../../test/support/work.ts";
import { helloRecords } from "../../../test/wire/hello.arbitrary.ts";
import { buildHello, filler, records, serverNames } from "../../../test/wire/hello.ts";
import { maxRecords, parseTls, type TlsDefect, type TlsResult } from "./client-hello.ts";
import { maxAlpn, maxExtensions } from "./extensions.ts";
import { maxHelloBytes, type ClientHello, type SniDefect } from "./hello.ts";
import { computeJa4, ja4 } from "./ja4.ts";

type Outcome = Exclude<TlsResult["state"], "malformed" | "hello"> | TlsDefect | `sni_${SniDefect}` | "name" | "no_name";

const outcomes: Record<Outcome, true> = {
  need_more: true,
  not_tls: true,
  too_large: true,
  name: true,
  no_name: true,
  empty_record: true,
  record_too_long: true,
  record_type: true,
  record_version: true,
  not_client_hello: true,
  bytes_after_hello: true,
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
  sni_syntax: true,
  sni_empty: true,
  sni_not_host_name: true,
  sni_two_names: true,
  sni_trailing_bytes: true,
  sni_not_ascii: true,
  sni_too_long: true,
};

function outcomeOf(result: TlsResult): Outcome {
  if (result.state === "malformed") return result.defect;
  if (result.state !== "hello") return result.state;
  const { sni } = result.hello;
  return sni.kind === "invalid" ? `sni_${sni.defect}` : sni.kind === "name" ? "name" : "no_name";
}

/** One number of the hello is another: what is remembered of the first must not be found for it. */
function changed(hello: ClientHello, pick: (below: number) => number): ClientHello {
  const lists = ["cipherSuites", "extensions", "supportedVersions", "signatureAlgorithms"] as const;
  const list = lists[pick(lists.length)]!;
  const values = [...hello[list]];
  if (values.length === 0) return { ...hello, alpnEnds: hello.alpnEnds === null ? [0x68, 0x32] : null };
  const at = pick(values.length);
  if (pick(2) === 0) values[at] = (values[at]! + 1 + pick(0xffff)) & 0xffff;
  else values.splice(at, 1);
  return { ...hello, [list]: values };
}

const large = (size: number) => records(buildHello({ extensions: [serverNames("pypi.org"), filler(21, size)] }), 16384);

fuzzTarget<Outcome>({
  name: "tls-hello",
  grammar: [helloRecords, fc.integer({ min: 16000, max: 33000 }).map(large)],
  outcomes,
  check: (bytes, pick) => {
    const result = parseTls(bytes);
    if (result.state === "hello") {
      const { hello } = result;
      assert.ok(result.end <= bytes.length && result.records <= maxRecords && hello.bytes <= maxHelloBytes + 4);
      assert.ok(hello.alpn.length <= maxAlpn && hello.extensions.length <= maxExtensions);
      assert.equal(new Set(hello.extensions).size, hello.extensions.length);
      // A name stands in the bytes, letter by letter, unless records cut it.
      if (hello.sni.kind === "name" && result.records === 1) {
        assert.ok(Buffer.from(bytes).includes(Buffer.from(hello.sni.raw, "latin1")));
      }
      for (const text of hello.alpn) assert.match(text, /^[\x21-\x7e]+$/);
      // A fingerprint that is remembered is the one that would be worked out.
      for (const each of [hello, changed(hello, pick), { ...hello }]) {
        for (const transport of ["tcp", "quic"] as const)
          assert.equal(ja4(each, transport), computeJa4(each, transport));
      }
    }
    const early = parseTls(bytes.subarray(0, pick(bytes.length + 1)));
    if (early.state !== "need_more") assert.deepEqual(early, result);
    if (pick(8) === 0) assertLinear(bytes, 6, 400, parseTls);
    return outcomeOf(result);
  },
});
