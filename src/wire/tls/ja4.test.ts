/** JA4 in the record means what it means in other tools: the specification's worked example comes out the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { alpn, ascii, buildHello, bytes, filler, supportedVersions, vector } from "../../../test/wire/hello.ts";
import { ja4 } from "./ja4.ts";
import { parseHello } from "./hello.ts";

const words = (text: string) => text.split(",").map((word) => Number.parseInt(word, 16));

/** The specification's example: a Chrome, with GREASE where Chrome puts it. */
function chrome() {
  const algorithms = words("0403,0804,0401,0503,0805,0501,0806,0601").flatMap((value) => [value >> 8, value & 255]);
  const plain = words("0005,000a,000b,0012,0015,0017,001b,0023,002d,0033,4469,ff01").map((type) => filler(type, 3));
  const name = vector(2, bytes(0, vector(2, ascii("example.com"))));
  return buildHello({
    cipherSuites: [0x2a2a, ...words("1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035")],
    extensions: [
      filler(0x3a3a, 0),
      [0, name],
      ...plain,
      [13, vector(2, bytes(algorithms))],
      alpn("h2", "http/1.1"),
      supportedVersions(0x4a4a, 0x0304, 0x0303),
      filler(0x5a5a, 1),
    ],
  });
}

test("the specification's example hello has the specification's fingerprint", () => {
  const hello = parseHello(chrome().subarray(4));
  assert.ok(typeof hello !== "string");
  assert.equal(ja4(hello, "tcp"), "t13d1516h2_8daaf6152771_e5627efa2ab1");
  assert.equal(ja4(hello, "quic")[0], "q");
});

test("a hello without a name, ALPN or extensions has a fingerprint too", () => {
  const hello = parseHello(buildHello({ legacyVersion: 0x0301, extensions: null }).subarray(4));
  assert.ok(typeof hello !== "string");
  assert.match(ja4(hello, "tcp"), /^t10i020000_[0-9a-f]{12}_000000000000$/);
});

test("an ALPN of arbitrary bytes cannot write arbitrary text into the fingerprint", () => {
  const hello = parseHello(buildHello({ extensions: [alpn("\u00ab-\u00cd")] }).subarray(4));
  assert.ok(typeof hello !== "string");
  assert.match(ja4(hello, "tcp"), /^t12i0201ad_/);
});
