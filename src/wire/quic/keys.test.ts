/** The keys of Initial packets are the RFCs' own: RFC 9001 appendix A.1 and A.2, RFC 9369 appendix A.1. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { firstId, padded, sealInitial } from "../../../test/wire/initial.ts";
import { readHeader } from "./header.ts";
import { deriveClientKeys, openInitial } from "./keys.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("version 1: client keys of RFC 9001 appendix A.1", () => {
  const keys = deriveClientKeys(1, firstId);
  assert.equal(hex(keys.key), "1f369613dd76d5467730efcbe3b1a22d");
  assert.equal(hex(keys.iv), "fa044b2f42a3fd3b46fb255c");
  assert.equal(hex(keys.hp), "9f50449e04a0e810283a1e9933adedd2");
});

test("version 2: client keys of RFC 9369 appendix A.1", () => {
  const keys = deriveClientKeys(2, firstId);
  assert.equal(hex(keys.key), "8b1a0bc121284290a29e0971b5cd045d");
  assert.equal(hex(keys.iv), "91f73e2351d8fa91660e909f");
  assert.equal(hex(keys.hp), "45b95e15235d6f45a6b19cbcb0294ba9");
});

const cryptoFrame = Buffer.from(
  "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c0" +
    "00000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e00050005010000" +
    "0000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010" +
    "000e0403050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff08" +
    "01100104800075300901100f088394c8f03e51570806048000ffff",
  "hex",
);

test("the client Initial of RFC 9001 appendix A.2 is sealed to the RFC's bytes and opened again", () => {
  const packet = sealInitial(padded(cryptoFrame, 1162), { number: 2 });
  assert.equal(packet.length, 1200);
  assert.equal(hex(packet.subarray(0, 22)), "c000000001088394c8f03e5157080000449e7b9aec34");
  assert.equal(hex(packet.subarray(22, 38)), "d1b1c98dd7689fb8ec11d242b123dc9b");
  const header = readHeader(packet, 0);
  assert.ok(typeof header !== "string");
  const opened = openInitial(packet, header, deriveClientKeys(1, header.dcid), 0);
  assert.ok(opened !== null);
  assert.equal(opened.number, 2);
  assert.equal(hex(opened.payload.subarray(0, cryptoFrame.length)), hex(cryptoFrame));
});

test("shortened packet numbers are completed as in RFC 9000 appendix A.3", () => {
  for (const size of [1, 2, 3, 4] as const) {
    const number = 0xa82f9b32 >>> 0;
    const packet = sealInitial(padded(Uint8Array.of(1), 64), { number, numberSize: size });
    const header = readHeader(packet, 0);
    assert.ok(typeof header !== "string");
    const opened = openInitial(packet, header, deriveClientKeys(1, header.dcid), 0xa82f9b30);
    assert.equal(opened?.number, number);
  }
});
