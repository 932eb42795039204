/** D1, D3, D7 under fuzz: messages out of streams however they are cut, and judgements of any bytes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { arbitraryMessage } from "../../test/dns/arbitrary.ts";
import { engineOf, queryBytes } from "../../test/dns/peers.ts";
import { wireMessages } from "../../test/dns/wire.arbitrary.ts";
import { fuzzTarget, pieces } from "../../test/support/fuzz.ts";
import { joinParts, splitParts } from "../../test/support/parts.ts";
import { parseAddress } from "../address/ip.ts";
import { encode } from "../wire/dns/encode.ts";
import { decode } from "../wire/dns/message.ts";
import { foldCase } from "../wire/dns/name.ts";
import { isDefect, Rcode, Type } from "../wire/dns/types.ts";
import { maxTtl, readAnswer } from "./answer.ts";
import { frame, FrameReader } from "./frames.ts";
import { judge, type Judgement } from "./judge.ts";
import { isForwarded } from "./query.ts";

/** Frames one after the other, as `joinParts` happens to write them. */
const frames = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }).map(joinParts);
const large = fc.nat(0xffff).map((size) => frame(new Uint8Array(size)));

fuzzTarget<"whole" | "partial">({
  name: "dns-frames",
  grammar: [frames, large],
  outcomes: { whole: true, partial: true },
  check: (bytes, pick) => {
    const all = splitParts(bytes);
    const end = all.reduce((sum, part) => sum + 2 + part.length, 0);
    const last = all.at(-1);
    const isCut =
      last !== undefined &&
      end - last.length - 2 + 2 + ((bytes[end - last.length - 2]! << 8) | bytes[end - last.length - 1]!) > end;
    const expected = isCut ? all.slice(0, -1) : all;
    const reader = new FrameReader();
    const views = pieces(bytes, pick, pick(2) === 0 ? 6 : 200);
    const got: Uint8Array[] = [];
    let came = 0;
    for (const view of views) {
      came += view.length;
      got.push(...reader.push(view).map((message) => Uint8Array.from(message)));
      assert.ok(
        reader.capacity <= Math.max(64, 2 * came) && reader.capacity <= 2 * 65_537,
        `${reader.capacity} bytes held`,
      );
    }
    assert.deepEqual(
      got.map((each) => [...each]),
      expected.map((each) => [...each]),
    );
    assert.equal(reader.partial, isCut || end < bytes.length);
    return reader.partial ? "partial" : "whole";
  },
});

const engine = engineOf('version: 1\nrules:\n  - { name: r, to: ["**.wild.example"] }\ndefault: { mode: enforce }\n');
const source = parseAddress("192.0.2.1")!;
const bound = ["a.wild.example", "b.evil.example"];

const asked = fc
  .tuple(
    fc.constantFrom(
      "a.wild.example",
      "b.evil.example",
      "_s._tcp.c.wild.example",
      "7.2.0.192.in-addr.arpa",
      "wild.example",
    ),
    fc.constantFrom(Type.A, Type.SRV, Type.PTR, Type.ANY, Type.HTTPS, Type.NULL),
  )
  .map(([name, type]) => queryBytes(name, type));

fuzzTarget<Judgement["kind"]>({
  name: "dns-judgement",
  grammar: [asked, wireMessages],
  outcomes: { ignore: true, refuse: true, reverse: true, forward: true },
  check: (bytes) => {
    const judgement = judge(
      { engine, source, denyRcode: Rcode.NXDOMAIN, namesOf: () => bound, aliasOf: () => null },
      bytes,
    );
    if (judgement.kind === "forward") {
      assert.ok(isForwarded(judgement.asked.question.type));
      assert.match(judgement.host, /^(?:[a-z0-9_-]+\.)+wild\.example$/);
      assert.ok(judgement.asked.name.endsWith("\x04wild\x07example\0"));
    }
    if (judgement.kind === "reverse") assert.deepEqual(judgement.names, ["a.wild.example"]);
    return judgement.kind;
  },
});

fuzzTarget<"no_message" | "no_question" | "refused" | "empty" | "records">({
  name: "dns-answer",
  grammar: [arbitraryMessage.map((message) => encode(message)), wireMessages],
  outcomes: { no_message: true, no_question: true, refused: true, empty: true, records: true },
  check: (bytes) => {
    const message = decode(bytes);
    if (isDefect(message)) return "no_message";
    const question = message.questions[0];
    if (question === undefined) return "no_question";
    const answer = readAnswer(foldCase(question.name), question.type, message);
    if (answer === null) return "refused";
    assert.ok(answer.chain.length <= 16 && answer.records.length <= 256 && answer.ttl <= maxTtl);
    for (const record of answer.records) assert.equal(record.type, question.type);
    return answer.records.length > 0 ? "records" : "empty";
  },
});
