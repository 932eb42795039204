/**
 * What comes to a simulation from the network or another process, under fuzz: whatever it is, no reader of it throws, and no
 * word is believed that was not signed with the token (a forged testimony would turn "reached" into "blocked").
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { assertGrowsLinearly } from "../../test/support/work.ts";
import { readOutcomes } from "./agent.ts";
import { readTestimony } from "./contact.ts";
import {
  helloOf,
  proofOf,
  readHello,
  readRequest,
  type Serving,
  sign,
  type Unsigned,
  verify,
} from "./sink/testimony.ts";

const token = "a-token-of-this-test";
const strangers = "another-token";
const nonce = "0123456789abcdef";

const folder = mkdtempSync(join(tmpdir(), "sallyport-sink-words-"));
after(() => rmSync(folder, { recursive: true }));

const serving: Serving = { tcp: [443], udp: [53], zone: null, capture: true };
const canary = "sp000000000000000000";
const base: Unsigned = {
  schema: "sallyport.testimony/1",
  sink: "0011223344556677",
  since: "2026-01-01T00:00:00.000Z",
  until: "2026-01-01T01:00:00.000Z",
  nonce: null,
  serving,
  sightings: [{ canary, form: "plain", channel: "udp", where: "203.0.113.1:9100", at: "2026-01-01T00:30:00.000Z" }],
  incomplete: false,
};
/** Everything that was ever signed with the token, as testimony. */
const words: readonly Unsigned[] = [
  base,
  { ...base, sightings: [] },
  { ...base, nonce },
  { ...base, incomplete: true, serving: { ...serving, capture: false } },
];
const sinks = ["0011223344556677", "s"];
const purposes = ["hello", "testimony"] as const;

/** Text that is put where a signed word says something else: none of it may ever be believed. */
const forged = fc
  .tuple(
    fc.constantFrom(...words),
    fc.constantFrom("schema", "sink", "until", "nonce", "serving", "sightings", "incomplete", "signature", "__proto__"),
    fc.oneof(
      fc.constantFrom<unknown>(null, [], {}, "", "f".repeat(64), true, 0, -0, "é".repeat(32), nonce, [[[]]]),
      fc.json().map((text): unknown => JSON.parse(text)),
    ),
  )
  .map(([said, key, value]) => {
    const text = JSON.stringify(sign(token, said));
    // Written behind the right one, and in place of it: a doubled key, of which readers take one or the other.
    return [
      text.replace(/\}$/, `,${JSON.stringify(key)}:${JSON.stringify(value)}}`),
      { ...sign(token, said), [key]: value },
    ];
  })
  .chain(([doubled, replaced]) => fc.constantFrom(doubled as string, JSON.stringify(replaced)));

const holders = fc.constantFrom(token, token, token, strangers);
const requests = fc
  .tuple(holders, fc.constantFrom(...purposes, "sink"), fc.constantFrom(nonce, "", "x"))
  .map(([holder, purpose, asked]) => JSON.stringify({ nonce: asked, proof: proofOf(holder, purpose, asked) }));
const hellos = fc
  .tuple(holders, fc.constantFrom(nonce, nonce, ""), fc.constantFrom(...sinks))
  .map(([holder, asked, sink]) => helloOf(holder, asked, sink, serving));
const testimonies = fc
  .tuple(holders, fc.constantFrom(...words), fc.nat(3))
  .map(([holder, said, indent]) => JSON.stringify(sign(holder, said), null, indent));
const outcomeLines = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '{"technique":"udp-datagram","fired":true,"saw":"no answer"}',
        '{"technique":"dns-label","fired":false,"why":"EPERM"}',
        '{"technique":"dns-label","fired":true,"why":"EPERM"}',
        '{"technique":1,"fired":true,"saw":"x"}',
        '{"technique":"udp-data',
        "null",
        "[]",
        "",
      ),
      fc.json(),
    ),
    { maxLength: 4 },
  )
  .map((lines) => lines.join("\n"));

type Word = "testimony" | "forged" | "no_testimony" | "request" | "hello" | "outcomes" | "no_json";

fuzzTarget<Word>({
  name: "sink-words",
  grammar: [testimonies, forged, requests, hellos, outcomeLines, fc.json()].map(asBytes),
  outcomes: {
    testimony: true,
    forged: true,
    no_testimony: true,
    request: true,
    hello: true,
    outcomes: true,
    no_json: true,
  },
  check: async (bytes, pick) => {
    const text = textOf(bytes);
    const said = verify(token, text);
    if (pick(16) === 0) {
      const file = join(folder, "testimony");
      writeFileSync(file, text);
      assert.deepEqual(await readTestimony(file, token), said);
    }
    const outcomes = readOutcomes(text);
    for (const fired of outcomes.values()) assert.equal(typeof (fired.fired ? fired.saw : fired.why), "string");
    if (typeof said === "object") {
      const { signature, ...unsigned } = said;
      // Byte for byte what was signed, in its order: no key more, none changed, and none behind a prototype.
      assert.ok(
        words.some((each) => JSON.stringify(each) === JSON.stringify(unsigned)),
        text,
      );
      assert.ok(words.some((each) => sign(token, each).signature === signature));
      assert.equal(Object.getPrototypeOf(said), Object.prototype);
      return "testimony";
    }
    const asked = purposes.filter((purpose) => readRequest(token, purpose, text) !== null);
    for (const purpose of asked) assert.ok(text.includes(proofOf(token, purpose, readRequest(token, purpose, text)!)));
    const sink = readHello(token, nonce, text);
    if (sink !== null) assert.ok(sinks.includes(sink), "an answer that no sink gave");
    if (sink !== null) return "hello";
    if (asked.length > 0) {
      // The proof of one question is that of no other.
      assert.equal(asked.length, 1);
      return "request";
    }
    if (outcomes.size > 0) return "outcomes";
    if (said === "it is not JSON") return "no_json";
    return said.startsWith("its signature") ? "forged" : "no_testimony";
  },
});

test("the work on a sink's words grows with their length, and nesting is no way to end the reader", () => {
  const families: Record<string, (size: number) => string> = {
    nesting: (size) => `{"schema":"sallyport.testimony/1","x":${"[".repeat(size)}${"]".repeat(size)},"signature":"x"}`,
    "the same key": (size) => `{"schema":"sallyport.testimony/1",${'"sink":"s",'.repeat(size)}"signature":"x"}`,
    lines: (size) => "{}\n".repeat(size),
    "open strings": (size) => '"'.repeat(size),
  };
  for (const [title, make] of Object.entries(families)) {
    assertGrowsLinearly(title, 20_000, make, (text) => [
      verify(token, text),
      readOutcomes(text),
      readHello(token, nonce, text),
      readRequest(token, "hello", text),
    ]);
  }
});
