/** SSH banners under fuzz: never throws, reads at most one line, and once it has answered more bytes change nothing. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { fuzzTarget } from "../../../test/support/fuzz.ts";
import { assertLinear } from "../../../test/support/work.ts";
import { ascii } from "../../../test/wire/hello.ts";
import { parseBanner, type BannerResult } from "./banner.ts";

const software = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.nat(260).map((size) => "x".repeat(size)),
);

const line = fc
  .record({
    opening: fc.constantFrom("SSH-2.0-", "SSH-2.0-", "SSH-1.99-", "SSH-1.5-", "SSH-3.0-", "SS", "ssh-2.0-"),
    software,
    end: fc.constantFrom("\r\n", "\n", "\r", "", "\r\r\n", "\0\r\n"),
    after: fc.string({ maxLength: 8 }),
  })
  .map(({ opening, software, end, after }) => ascii(opening + software + end + after));

fuzzTarget<BannerResult["state"]>({
  name: "ssh-banner",
  grammar: [line],
  outcomes: { need_more: true, ssh: true, not_ssh: true },
  check: (bytes, pick) => {
    const result = parseBanner(bytes);
    const early = parseBanner(bytes.subarray(0, pick(bytes.length + 1)));
    if (early.state !== "need_more") assert.deepEqual(early, result);
    if (result.state === "ssh") assert.match(result.software, /^[\x20-\x7e]{1,246}$/);
    assertLinear(bytes, 0, 300, parseBanner);
    return result.state;
  },
});
