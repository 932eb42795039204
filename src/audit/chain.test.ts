/**
 * One line of the record: made once, checked from its bytes alone. Every way of changing a line, or of moving it, has
 * its own name, and no bytes make the check throw.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { GENESIS, genesis, openLine, sealLine, verifyLine } from "./chain.ts";
import type { Link } from "./chain.ts";
import type { EventBody } from "./event.ts";
import { denial } from "./test-support.ts";

const time = "2026-01-31T08:00:00.000001Z";
const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

function seal(body: EventBody, before: Link): { bytes: Buffer; link: Link } {
  const { line, hash } = sealLine(body, before.seq + 1, before.hash, time, id);
  return { bytes: Buffer.from(line), link: { seq: before.seq + 1, hash } };
}

function kindOf(bytes: Buffer, before: Link): string {
  const check = verifyLine(bytes, before);
  return check.ok ? "ok" : check.defect.kind;
}

test("the line is JSON in the documented order, and its hash is what the documentation says", () => {
  const { line, hash } = sealLine({ message: "start", kind: "lifecycle" }, 1, GENESIS, time, id);
  const open = `{"schema":"sallyport.event/1","time":"${time}","id":"${id}","seq":1,"prev":"${GENESIS}","kind":"lifecycle","message":"start"`;
  assert.equal(hash, createHash("sha256").update(`${GENESIS}${open}}`).digest("hex"));
  assert.equal(line, `${open},"hash":"${hash}"}`);
});

test("whatever an event holds, the line is one line, comes back as it was, and verifies", () => {
  const text = fc.string({ unit: "binary", maxLength: 200 });
  fc.assert(
    fc.property(text, fc.json(), fc.nat(), (message, json, seq) => {
      const body: EventBody = {
        kind: "lifecycle",
        message,
        data: { json: JSON.parse(json) as unknown, hash: message },
      };
      const before = { seq, hash: createHash("sha256").update(message).digest("hex") };
      const { bytes, link } = seal(body, before);
      assert.equal(bytes.includes(10), false);
      const { kind, message: back, data } = JSON.parse(bytes.toString()) as EventBody;
      assert.deepEqual({ kind, message: back, data }, JSON.parse(JSON.stringify(body)));
      const check = verifyLine(bytes, before);
      assert.ok(check.ok);
      assert.deepEqual({ seq: check.line.seq, hash: check.line.hash }, link);
    }),
  );
});

test("one changed byte anywhere is found", () => {
  const first = seal(denial(443), genesis);
  fc.assert(
    fc.property(fc.nat(first.bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bytes = Buffer.from(first.bytes);
      bytes[at]! ^= flip;
      assert.match(kindOf(bytes, genesis), /^(edited|not_json)$/);
    }),
    { numRuns: 1000 },
  );
});

test("each way of moving a line has its name", () => {
  const first = seal(denial(1), genesis);
  const second = seal(denial(2), first.link);
  const third = seal(denial(3), second.link);
  assert.equal(kindOf(second.bytes, first.link), "ok");
  assert.equal(kindOf(third.bytes, first.link), "removed");
  assert.equal(kindOf(first.bytes, first.link), "inserted");
  assert.equal(kindOf(first.bytes, second.link), "inserted");
  assert.equal(kindOf(second.bytes, { seq: 1, hash: GENESIS }), "unlinked");
  assert.equal(kindOf(Buffer.from("{"), first.link), "not_json");
  assert.equal(kindOf(Buffer.from("{}"), first.link), "edited");
  assert.equal(kindOf(Buffer.alloc(0), first.link), "not_json");
  assert.equal(kindOf(Buffer.concat([second.bytes, Buffer.from(" ")]), first.link), "edited");
});

test("a line re-serialised with the same members in another order is not the line", () => {
  const { bytes } = seal(denial(1), genesis);
  const { seq, ...rest } = JSON.parse(bytes.toString()) as Record<string, unknown>;
  assert.equal(kindOf(Buffer.from(JSON.stringify({ seq, ...rest })), genesis), "edited");
});

test("no bytes make the check throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      assert.equal(openLine(Buffer.from(bytes)), null);
      assert.equal(verifyLine(Buffer.from(bytes), genesis).ok, false);
    }),
  );
});
