/**
 * DNS messages as trees of labels, lengths and counts, right ones and damaged ones: what `arbitrary.ts` cannot make, because
 * our encoder would never write it. For fuzzing.
 */
import fc from "fast-check";
import { number, prefixed, structured, type Node } from "../support/structure.ts";
import { ascii, bytes } from "../wire/hello.ts";

const raw = (maxLength: number, minLength = 0) => fc.uint8Array({ maxLength, minLength });

const label = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("pypi", "org", "example", "www", "_tcp", "WWW", "a").map(ascii) },
  raw(64, 1),
);
const pointer = fc.oneof(
  { weight: 4, arbitrary: fc.constant(number(2, 0xc00c)) },
  fc.nat(200).map((target) => number(2, 0xc000 | target)),
);
/** Labels and then the root or a pointer, mostly backwards to the question. */
const name = fc
  .tuple(fc.array(label, { maxLength: 4 }), fc.oneof({ weight: 3, arbitrary: fc.constant(bytes(0)) }, pointer))
  .map(([labels, end]): Node => [labels.map((each) => prefixed(1, each)), end]);

const u16 = fc.nat(0xffff).map((value) => number(2, value));
const param = fc.tuple(fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 65400), raw(16)).map(([key, value]) => ({ key, value }));
const params = fc
  .array(param, { maxLength: 4 })
  .map((list) => list.toSorted((a, b) => a.key - b.key).map(({ key, value }) => [number(2, key), prefixed(2, value)]));

const data: fc.Arbitrary<readonly [type: number, data: Node]> = fc.oneof(
  raw(4, 4).map((address) => [1, address] as const),
  raw(16, 16).map((address) => [28, address] as const),
  fc.tuple(fc.constantFrom(2, 5, 12, 39), name).map(([type, target]) => [type, target] as const),
  fc.tuple(name, name, raw(20, 20)).map(([primary, mailbox, rest]) => [6, [primary, mailbox, rest]] as const),
  fc.tuple(u16, name).map((parts) => [15, parts] as const),
  fc
    .array(
      raw(9).map((text) => prefixed(1, text)),
      { maxLength: 3 },
    )
    .map((texts) => [16, texts] as const),
  fc.tuple(u16, u16, u16, name).map((parts) => [33, parts] as const),
  fc.tuple(fc.constantFrom(64, 65), u16, name, params).map(([type, ...parts]) => [type, parts] as const),
  fc.tuple(fc.nat(300), raw(20)).map((each) => each as readonly [number, Node]),
);

const record = fc
  .record({ owner: name, data, klass: fc.constantFrom(1, 1, 1, 3, 255), ttl: raw(4, 4) })
  .map(({ owner, data: [type, value], klass, ttl }): Node => [
    owner,
    number(2, type),
    number(2, klass),
    ttl,
    prefixed(2, value),
  ]);

const option = fc.tuple(u16, raw(9)).map(([code, value]): Node => [code, prefixed(2, value)]);
const opt = fc
  .record({
    owner: fc.constantFrom(bytes(0), bytes(0), bytes(0), bytes(1, 0x61, 0)),
    options: fc.array(option, { maxLength: 3 }),
  })
  .map(({ owner, options }): Node => [owner, number(2, 41), number(2, 1232), new Uint8Array(4), prefixed(2, options)]);

const question = fc
  .tuple(name, u16, fc.constantFrom(1, 1, 3))
  .map(([asked, type, klass]): Node => [asked, type, number(2, klass)]);
const section = fc.array(record, { maxLength: 3 });

/** Messages of any kind, as often right as damaged at one place. */
export const wireMessages: fc.Arbitrary<Uint8Array> = structured(
  fc
    .record({
      id: raw(2, 2),
      flags: fc.oneof(fc.constantFrom(0x0100, 0x8180, 0x8183, 0x2800), fc.nat(0xffff)),
      questions: fc.oneof({ weight: 5, arbitrary: fc.tuple(question) }, fc.array(question, { maxLength: 2 })),
      sections: fc.tuple(section, section, section),
      opts: fc.array(opt, { maxLength: 1 }),
      misplaced: fc.option(opt, { freq: 8 }),
      trailing: fc.option(raw(3), { freq: 6 }),
    })
    .map(({ id, flags, questions, sections: [answers, authorities, additionals], opts, misplaced, trailing }): Node => {
      const first = misplaced === null ? answers : [...answers, misplaced];
      const last = [...additionals, ...opts];
      return [
        id,
        number(2, flags),
        [questions, first, authorities, last].map((each) => number(2, each.length)),
        [questions, first, authorities, last],
        trailing ?? [],
      ];
    }),
);
