/**
 * D7 under fuzz: whatever the bytes, decoding ends without throwing, its work is bounded by the message's length, and what it
 * accepts means the same when it is written again.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { arbitraryMessage } from "../../../test/dns/arbitrary.ts";
import { wireMessages } from "../../../test/dns/wire.arbitrary.ts";
import { fuzzTarget } from "../../../test/support/fuzz.ts";
import { assertLinear } from "../../../test/support/work.ts";
import { canonicalName } from "../../address/name.ts";
import { encode } from "./encode.ts";
import { decode, decodeHeader } from "./message.ts";
import { formatName, fromHostName, fromLabels, hostName, labelsOf } from "./name.ts";
import { isDefect, type DefectKind } from "./types.ts";

fuzzTarget<DefectKind | "query" | "response">({
  name: "dns-message",
  grammar: [wireMessages, arbitraryMessage.map((message) => encode(message)), fc.uint8Array({ maxLength: 300 })],
  outcomes: {
    query: true,
    response: true,
    short_header: true,
    oversized: true,
    truncated: true,
    trailing_bytes: true,
    label_type: true,
    name_too_long: true,
    pointer_forward: true,
    pointer_header: true,
    pointer_limit: true,
    pointer_forbidden: true,
    question_count: true,
    rdata_length: true,
    svc_params: true,
    opt: true,
  },
  large: { oversized: new Uint8Array(65_536) },
  check: (bytes, pick) => {
    const message = decode(bytes);
    // Each record of at least 11 bytes may read one name of 255 bytes by 127 pointers.
    if (pick(8) === 0) assertLinear(bytes, 60, 700, decode);
    const header = decodeHeader(bytes);
    if (isDefect(message)) {
      assert.ok(message.offset >= 0 && message.offset <= bytes.length);
      assert.equal(message.header === null, bytes.length < 12);
      return message.defect;
    }
    assert.deepEqual({ ...message.header, rcode: message.header.rcode & 15 }, header);
    assert.deepEqual(decode(encode(message)), message);
    for (const { name } of [...message.questions, ...message.answers]) {
      assert.ok(name.length <= 255);
      assert.equal(fromLabels(labelsOf(name)) ?? "\0", name);
      assert.match(formatName(name), /^[\x21-\x7e]+$/);
      const host = hostName(name);
      if (host === null) continue;
      // A name that the policy judges is the very name that is asked, but for its case.
      assert.equal(canonicalName(host), host);
      assert.equal(fromHostName(host), name.toLowerCase());
    }
    return message.header.response ? "response" : "query";
  },
});
