/** A canary is found in every form that a probe sends it in, and only the holder of the token can make one. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { echoOf, findCanaries, isCanary, isOfTechnique, newCanary, newToken, toBase32 } from "./canary.ts";

const token = newToken();
const hex = (text: string) => Buffer.from(text).toString("hex");
const base64 = (text: string) => Buffer.from(text).toString("base64");

describe("a canary", () => {
  const forms: [string, (canary: string) => string, string][] = [
    ["itself", (canary) => canary, "plain"],
    ["upper case, as DNS and TLS may carry it", (canary) => canary.toUpperCase(), "plain"],
    ["hex", hex, "hex"],
    ["base64", base64, "base64"],
    ["double base64", (canary) => base64(base64(canary)), "base64"],
    ["base64 for URLs", (canary) => Buffer.from(canary).toString("base64url"), "base64"],
    ["base32", toBase32, "base32"],
    ["labels of DNS", (canary) => `${canary.slice(0, 9)}.${canary.slice(9)}`, "split"],
    ["labels on the wire", (canary) => `\x09${canary.slice(0, 9)}\x0c${canary.slice(9)}\0`, "split"],
    ["hex over two labels", (canary) => hex(canary).replace(/^.{18}/, "$&."), "hex"],
  ];
  for (const [title, encode, form] of forms) {
    test(`is found as ${title}, whatever stands around it`, () => {
      fc.assert(
        fc.property(fc.string({ maxLength: 40 }), fc.string({ maxLength: 40 }), (before, after) => {
          const canary = newCanary(token, "some-technique");
          // What stands beside an encoded text is not of its alphabet.
          const found = findCanaries(token, `${before}/?${encode(canary)}"${after}`);
          assert.deepEqual([...found], [[canary, form]]);
        }),
        { numRuns: 200 },
      );
    });
  }

  test("of another token is not one, nor is anything near one", () => {
    const foreign = newCanary(newToken(), "some-technique");
    assert.equal(isCanary(token, foreign), false);
    assert.equal(findCanaries(token, [foreign, hex(foreign), base64(foreign), toBase32(foreign)].join(" ")).size, 0);
    const own = newCanary(token, "some-technique");
    for (let i = 0; i < own.length; i++) {
      const changed = own.slice(0, i) + (own[i] === "a" ? "b" : "a") + own.slice(i + 1);
      assert.equal(isCanary(token, changed), false, `letter ${i}`);
    }
  });

  test("tells its technique, and its echo needs the token", () => {
    const canary = newCanary(token, "dns-label");
    assert.ok(isOfTechnique(canary, "dns-label"));
    assert.ok(!isOfTechnique(canary, "dns-label-tcp"));
    assert.notEqual(echoOf(token, canary), echoOf(newToken(), canary));
  });

  test("is not found in noise, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
        assert.equal(findCanaries(token, Buffer.from(bytes).toString("latin1")).size, 0);
      }),
    );
  });
});
