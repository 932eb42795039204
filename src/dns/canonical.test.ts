/**
 * Threats D2 and D3 as a property: of all a policed client can write into a query, the upstream hears a name in lower case
 * and a type, or nothing. Every other bit is a bit of a message: ID, case, flags, opcode, class, EDNS version, size, options
 * and flags, records beside the question, bytes after it, and whether it came over TCP.
 */
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { answerTo, exchange, policed, queryBytes, read, server, stand } from "../../test/dns/peers.ts";
import { mutated } from "../../test/support/fuzz.ts";
import { encode } from "../wire/dns/encode.ts";
import { labelsOf } from "../wire/dns/name.ts";
import { Type } from "../wire/dns/types.ts";
import { frame } from "./frames.ts";
import { isForwarded } from "./query.ts";

const types = [Type.A, Type.AAAA, Type.HTTPS, Type.SVCB, Type.CNAME, Type.SRV, Type.TXT, Type.MX] as const;
const names = ["allowed.example", "a.wild.example", "some-data.b.wild.example"];

/** What the upstream may hear of a name and a type, from the third byte on: behind the ID. */
const ours = (name: string, type: number): string =>
  Buffer.from(queryBytes(name, type, { udpSize: 1232, version: 0, dnssecOk: false, options: [] }).subarray(2)).toString(
    "hex",
  );

/** A plain query's bytes with everything in it that a client is free to choose. */
const chosen = fc
  .record({
    name: fc.constantFrom(...names),
    type: fc.constantFrom(...types),
    upper: fc.bigInt({ min: 0n, max: (1n << 30n) - 1n }),
    id: fc.nat(65535),
    recursionDesired: fc.boolean(),
    checkingDisabled: fc.boolean(),
    authenticData: fc.boolean(),
    authoritative: fc.boolean(),
    recursionAvailable: fc.boolean(),
    reserved: fc.boolean(),
    rcode: fc.nat(15),
    edns: fc.option(
      fc.record({
        udpSize: fc.nat(65535),
        version: fc.constant(0),
        dnssecOk: fc.boolean(),
        options: fc.array(fc.record({ code: fc.nat(65535), data: fc.uint8Array({ maxLength: 40 }) }), { maxLength: 3 }),
      }),
    ),
    tcp: fc.boolean(),
  })
  .map(({ name, type, upper, edns, tcp, ...flags }) => {
    const { questions, header } = read(queryBytes(name, type));
    const bytes = encode({
      header: { ...header, ...flags },
      questions,
      answers: [],
      authorities: [],
      additionals: [],
      edns,
    });
    // The name begins at the twelfth byte; a length byte is never a letter here.
    for (let i = 0; i < name.length + 1; i++) {
      const at = 12 + i;
      if ((upper >> BigInt(i)) & 1n && bytes[at]! >= 0x61 && bytes[at]! <= 0x7a) bytes[at]! -= 0x20;
    }
    return { name, type, bytes, tcp };
  });

async function overTcp(port: number, bytes: Uint8Array): Promise<void> {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress: policed });
  socket.on("error", () => {});
  socket.write(frame(bytes));
  // A reset is an end like any other: the server may close before it has read everything.
  await new Promise<void>((resolve) => void socket.once("data", () => resolve()).once("close", () => resolve()));
  socket.destroy();
}

test("D2, D3: queries for one name and type cannot be told apart at the upstream", async (t) => {
  // No records: nothing is cached, and every question goes upstream.
  const far = await server(t, ({ bytes }, answer) => answer(answerTo(bytes, [])));
  const { port } = await stand(t, [far.endpoint]);
  await fc.assert(
    fc.asyncProperty(chosen, async ({ name, type, bytes, tcp }) => {
      far.received.length = 0;
      if (tcp) await overTcp(port, bytes);
      else assert.notEqual(await exchange(port, bytes), null);
      assert.deepEqual(
        far.received.map((query) => [query.transport, Buffer.from(query.bytes.subarray(2)).toString("hex")]),
        [["udp", ours(name, type)]],
      );
    }),
    { numRuns: 300 },
  );
});

test("D3: nor does anything else that a client writes beside a name and a type get there, however it is deformed", async (t) => {
  const far = await server(t, ({ bytes }, answer) => answer(answerTo(bytes, [])));
  const { port } = await stand(t, [far.endpoint], {
    limits: { namesPerDomain: 1_000_000, namesPerSource: 1_000_000, idle: 100 },
  });
  const edns = {
    udpSize: 4096,
    version: 0,
    dnssecOk: true,
    options: [{ code: 10, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }],
  };
  const seeds = names.flatMap((name) => types.map((type) => queryBytes(name, type, edns)));
  let reached = 0;
  await fc.assert(
    fc.asyncProperty(mutated(seeds), async (bytes) => {
      far.received.length = 0;
      // Over TCP it is answered, or the connection ends: what is ignored need not be waited for.
      await overTcp(port, bytes);
      for (const query of far.received) {
        reached++;
        const { questions } = read(query.bytes);
        const name = labelsOf(questions[0]!.name).join(".");
        assert.equal(name, name.toLowerCase());
        assert.match(name, /^[a-z0-9_.-]*\.example$/);
        assert.ok(isForwarded(questions[0]!.type));
        assert.equal(Buffer.from(query.bytes.subarray(2)).toString("hex"), ours(name, questions[0]!.type));
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(reached > 10, "some of them must have been asked, or nothing was tested");
});

test("D3: opcode, class, EDNS version, a second question and records beside it: not asked at all", async (t) => {
  const far = await server(t, ({ bytes }, answer) => answer(answerTo(bytes, [])));
  const { port } = await stand(t, [far.endpoint]);
  const plain = read(queryBytes("allowed.example"));
  const question = plain.questions[0]!;
  const record = {
    name: question.name,
    type: Type.TXT,
    class: 1,
    ttl: 0,
    data: { kind: "opaque" as const, bytes: Uint8Array.of(3, 1, 2, 3) },
  };
  const variants = [
    ...[1, 2, 4, 5, 6, 15].map((opcode) => ({ ...plain, header: { ...plain.header, opcode } })),
    ...[2, 3, 4, 254, 255, 0].map((of) => ({ ...plain, questions: [{ ...question, class: of }] })),
    ...[1, 7, 255].map((version) => ({ ...plain, edns: { udpSize: 1232, version, dnssecOk: false, options: [] } })),
    { ...plain, questions: [question, question] },
    { ...plain, questions: [] },
    { ...plain, answers: [record] },
    { ...plain, authorities: [record] },
    { ...plain, additionals: [record] },
    { ...plain, header: { ...plain.header, truncated: true } },
  ];
  for (const variant of variants) await overTcp(port, encode(variant));
  await overTcp(port, Uint8Array.from([...encode(plain), 0x41]));
  assert.deepEqual(far.received, []);
  await overTcp(port, encode(plain));
  assert.equal(far.received.length, 1);
});
