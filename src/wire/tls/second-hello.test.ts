/** N10: what follows a ClientHello is told apart from a second one, however it is cut and whatever stands before it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzzing, mutated } from "../../../test/support/fuzz.ts";
import { buildHello, bytes, records, serverNames, vector } from "../../../test/wire/hello.ts";
import { readAfterHello } from "./second-hello.ts";

const hello = records(buildHello({ extensions: [serverNames("evil.example")] }));
const record = (type: number, data: Uint8Array) => bytes(type, 3, 3, vector(2, data));
const ccs = record(20, bytes(1));
const early = record(23, new Uint8Array(100).fill(0xee));
const alert = record(21, bytes(1, 90));

const state = (prefix: Uint8Array, earlyData = false) => readAfterHello(prefix, earlyData).state;

test("N10: a hello is found behind all that a server passes over, and at every cut of it more is waited for", () => {
  for (const [before, offered] of [
    [bytes(), false],
    [ccs, false],
    [bytes(ccs, ccs, alert), false],
    [bytes(early, early, ccs), true],
  ] as const) {
    const stream = bytes(before, hello);
    const read = readAfterHello(stream, offered);
    assert.ok(read.state === "hello");
    assert.deepEqual(read.hello.sni, { kind: "name", raw: "evil.example" });
    assert.equal(read.end, stream.length);
    for (let cut = 0; cut < stream.length; cut++) {
      assert.equal(state(stream.subarray(0, cut), offered), cut <= before.length ? "nothing_yet" : "need_more");
    }
  }
  const message = buildHello({ extensions: [serverNames("evil.example")] });
  assert.equal(state(records(message, 1, 3, 30)), "hello", "in several records");
});

test("what ordinary clients say next is no hello, and known by its first bytes", () => {
  for (const [next, offered] of [
    [bytes(ccs, record(23, new Uint8Array(50))), false],
    [record(23, new Uint8Array(50)), false],
    [record(22, bytes(16, 0, 0, 33, new Uint8Array(33))), false],
    [record(22, bytes(11, 0, 0, 3, 0, 0, 0)), false],
    [bytes("x".charCodeAt(0)), true],
    [record(22, bytes(16, 0, 0, 33, new Uint8Array(33))), true],
  ] as const) {
    const read = readAfterHello(next, offered);
    assert.ok(read.state === "no_hello");
    assert.equal(state(next.subarray(0, read.end), offered), "no_hello");
    assert.notEqual(state(next.subarray(0, read.end - 1), offered), "no_hello");
  }
});

test("early data is ambiguous only where it was offered", () => {
  assert.equal(state(bytes(early, hello), false), "no_hello");
  assert.equal(state(early, true), "nothing_yet");
});

test("a resumed session's Finished, whatever its ciphertext looks like, is not taken for a hello in the end", () => {
  const finished = (...start: number[]) => record(22, bytes(start, new Uint8Array(40 - start.length).fill(0x77)));
  assert.equal(state(bytes(ccs, finished(0x55))), "no_hello");
  assert.equal(state(bytes(ccs, finished(1, 0xa0))), "no_hello");
  assert.equal(state(bytes(ccs, finished(1, 0, 0x20))), "need_more");
  assert.equal(state(bytes(ccs, finished(1, 0, 0x20), early)), "no_hello");
  assert.equal(state(bytes(ccs, finished(1, 0, 0x20), early), true), "malformed");
});

test("a hello cut by other records, behind an empty one, or followed by more: refused", () => {
  const message = buildHello({ extensions: [serverNames("evil.example")] });
  const [a, b] = [records(message.subarray(0, 30)), records(message.subarray(30))];
  assert.equal(state(bytes(a, ccs, b)), "malformed");
  assert.equal(state(bytes(record(22, bytes()), hello)), "malformed");
  assert.equal(state(records(bytes(message, 0))), "malformed");
  assert.equal(state(record(22, bytes(1, 0, 0x90, 0, new Uint8Array(60)))), "too_large");
});

test("never throws, and no cut of a stream contradicts the whole of it", () => {
  const seeds = [
    bytes(ccs, hello),
    bytes(early, ccs, hello),
    bytes(ccs, early),
    record(22, new Uint8Array(60).fill(1)),
  ];
  fc.assert(
    fc.property(mutated(seeds), fc.boolean(), fc.nat(400), (stream, offered, cut) => {
      const whole = state(stream, offered);
      const part = state(stream.subarray(0, cut), offered);
      const isFinal = part !== "nothing_yet" && part !== "need_more";
      if (isFinal && part !== "malformed") assert.equal(whole, part);
    }),
    fuzzing,
  );
});
