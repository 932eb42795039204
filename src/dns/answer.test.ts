/** Whatever an upstream says: what is kept is bounded, acyclic, starts at the question, and holds no address that is not permitted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzzing } from "../../test/support/fuzz.ts";
import type { Address } from "../address/ip.ts";
import { specialClass } from "../address/special.ts";
import { arbitraryMessage } from "../../test/dns/arbitrary.ts";
import { encode } from "../wire/dns/encode.ts";
import { decode } from "../wire/dns/message.ts";
import { foldCase, fromLabels, type WireName } from "../wire/dns/name.ts";
import { Class, isDefect, type Message, type ResourceRecord, SvcKey, Type } from "../wire/dns/types.ts";
import { admit, readAnswer } from "./answer.ts";

const names = ["a", "b", "c", "A", "d"].map((label) => fromLabels([label])!);
const name = fc.constantFrom(...names);
const ttl = fc.nat(0x7fffffff);
const record: fc.Arbitrary<ResourceRecord> = fc.oneof(
  fc.tuple(name, name, ttl).map(([owner, target, time]): ResourceRecord => ({
    name: owner,
    type: Type.CNAME,
    class: Class.IN,
    ttl: time,
    data: { kind: "name", target },
  })),
  fc.tuple(name, fc.uint8Array({ minLength: 4, maxLength: 4 }), ttl).map(([owner, bytes, time]): ResourceRecord => ({
    name: owner,
    type: Type.A,
    class: Class.IN,
    ttl: time,
    data: { kind: "address", address: String.fromCharCode(...bytes) as Address },
  })),
);

const messageOf = (answers: ResourceRecord[]): Message => ({
  header: {
    id: 0,
    response: true,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: true,
    reserved: false,
    authenticData: false,
    checkingDisabled: false,
    rcode: 0,
  },
  questions: [{ name: names[0]!, type: Type.A, class: Class.IN }],
  answers,
  authorities: [],
  additionals: [],
  edns: null,
});

/** The end of the chain by the plainest walk there is, or null where it loops. */
function walk(start: WireName, answers: readonly ResourceRecord[]): WireName | null {
  const seen = new Set<WireName>([start]);
  for (let at = start; ;) {
    const alias = answers.find((one) => one.type === Type.CNAME && foldCase(one.name) === at);
    if (alias === undefined) return at;
    if (alias.data.kind !== "name") return null;
    at = foldCase(alias.data.target);
    if (seen.has(at)) return null;
    seen.add(at);
  }
}

test("the chain ends where a plain walk ends, and exactly the records there are kept", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 12 }), (answers) => {
      const start = names[0]!;
      const answer = readAnswer(start, Type.A, messageOf(answers));
      const end = walk(start, answers);
      assert.equal(answer === null, end === null);
      if (answer === null || end === null) return;
      assert.equal(answer.chain[0]?.name ?? end, start);
      const kept = answers.filter((one) => one.type === Type.A && foldCase(one.name) === end);
      assert.deepEqual(
        answer.records.map(({ data }) => data),
        kept.map(({ data }) => data),
      );
      assert.ok(answer.ttl <= 86_400);
      for (const one of [...answer.chain, ...answer.records]) assert.ok(answer.ttl <= one.ttl);
    }),
    fuzzing,
  );
});

test("no record of any kind hands out an address that is not permitted, and no ECH keys", () => {
  const permitted = (address: Address) => specialClass(address) === null;
  fc.assert(
    fc.property(arbitraryMessage, (message) => {
      const all = [...message.answers, ...message.authorities, ...message.additionals];
      const admitted = admit(all, permitted);
      assert.deepEqual(
        admitted.addresses.filter((address) => !permitted(address)),
        [],
      );
      const written = decode(encode({ ...message, answers: admitted.records, authorities: [], additionals: [] }));
      assert.ok(!isDefect(written), isDefect(written) ? written.defect : "");
      for (const { data } of written.answers) {
        if (data.kind === "address") assert.ok(admitted.addresses.includes(data.address));
        if (data.kind === "svcb")
          assert.ok(data.params.every(({ key }) => key !== SvcKey.ech && key <= SvcKey.ipv6hint));
      }
    }),
  );
});

test("an answer of the largest size costs little and binds a bounded number of addresses", () => {
  const value = Uint8Array.from({ length: 60_000 }, (_, i) => (i % 4 === 0 ? 192 : (i * 7) & 255));
  const service: ResourceRecord = {
    name: names[0]!,
    type: Type.HTTPS,
    class: Class.IN,
    ttl: 1,
    data: { kind: "svcb", priority: 1, target: fromLabels([])!, params: [{ key: SvcKey.ipv4hint, value }] },
  };
  const started = performance.now();
  const { addresses } = admit([service], () => true);
  assert.ok(addresses.length > 0 && addresses.length <= 256);
  assert.ok(performance.now() - started < 500);
});
