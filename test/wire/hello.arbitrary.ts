/** Random ClientHellos as trees of their lengths, and the records around them. For fuzzing. */
import fc from "fast-check";
import { number, prefixed, render, structured, type Node } from "../support/structure.ts";
import { ascii, bytes } from "./hello.ts";

const raw = (maxLength: number, minLength = 0) => fc.uint8Array({ maxLength, minLength });
const u16 = fc.nat(0xffff).map((value) => number(2, value));

/** Names as clients, attackers and broken clients write them. */
export const shownNames = fc.oneof(
  fc.constantFrom(
    "pypi.org",
    "PyPI.org",
    "a.example",
    "evil.example",
    "pypi.org.",
    "xn--bcher-kva.example",
    "_x.example",
  ),
  fc.constantFrom(
    "203.0.113.5",
    "2001:db8::1",
    "127.1",
    "0x7f.1",
    "",
    ".",
    "a..b",
    "pypi.org\0.evil.example",
    "*.example",
  ),
  fc.string({ maxLength: 12 }),
  fc.nat(260).map((size) => "a".repeat(size)),
);

const nameEntry = fc
  .tuple(fc.constantFrom(0, 0, 0, 0, 1, 255), shownNames)
  .map(([type, name]): Node => [bytes(type), prefixed(2, ascii(name))]);

const extensionOf = (type: number, data: fc.Arbitrary<Node>) =>
  data.map((each): Node => [number(2, type), prefixed(2, each)]);

const list = (size: 1 | 2, of: fc.Arbitrary<Node>, maxLength = 6) =>
  fc.array(of, { maxLength }).map((items) => prefixed(size, ...items));

const serverName = extensionOf(0, fc.oneof({ weight: 5, arbitrary: list(2, nameEntry, 1) }, list(2, nameEntry, 3)));

const extension = fc.oneof(
  { weight: 2, arbitrary: serverName },
  extensionOf(
    16,
    list(
      2,
      raw(12, 1).map((each) => prefixed(1, each)),
    ),
  ),
  extensionOf(
    43,
    list(
      1,
      fc.constantFrom(0x0304, 0x0303, 0x0301, 0x7f1c, 0x0a0a, 0xfafa).map((each) => number(2, each)),
    ),
  ),
  extensionOf(13, list(2, u16)),
  extensionOf(10, list(2, u16)),
  extensionOf(
    51,
    list(
      2,
      fc.tuple(u16, raw(40)).map(([group, key]): Node => [group, prefixed(2, key)]),
    ),
  ),
  extensionOf(
    41,
    list(
      2,
      raw(20).map((each) => prefixed(2, each)),
    ),
  ),
  extensionOf(42, fc.constant([])),
  fc.constantFrom(0xfe0d, 0xffce, 0xfe08, 21, 0x0a0a).chain((type) => extensionOf(type, raw(60))),
  fc.nat(0xffff).chain((type) => extensionOf(type, raw(30))),
);

const extensions = fc.oneof(
  { weight: 8, arbitrary: fc.array(extension, { maxLength: 9 }) },
  {
    weight: 4,
    arbitrary: fc.tuple(serverName, fc.array(extension, { maxLength: 4 })).map(([one, more]) => [one, ...more]),
  },
);

const body = fc
  .record({
    version: fc.constantFrom(0x0303, 0x0303, 0x0303, 0x0301, 0x0300, 0x0304, 0x0203),
    random: raw(32, 32),
    session: raw(33),
    suites: fc.array(fc.nat(0xffff), { maxLength: 12 }),
    compression: raw(3),
    extensions: fc.option(extensions, { freq: 12 }),
  })
  .map((hello): Node => [
    number(2, hello.version),
    hello.random,
    prefixed(1, hello.session),
    prefixed(2, ...hello.suites.map((suite) => number(2, suite))),
    prefixed(1, hello.compression),
    hello.extensions === null ? [] : prefixed(2, ...hello.extensions),
  ]);

const message = body.map((each): Node => [bytes(1), prefixed(3, each)]);

/** Handshake messages of type ClientHello, header included, as often right as damaged at one place. */
export const helloMessages = structured(message);

/** The same cut into TLS records, whose headers are right or damaged. */
export const helloRecords: fc.Arbitrary<Uint8Array> = fc
  .record({
    hello: helloMessages,
    cuts: fc.array(fc.nat(0xffff), { maxLength: 4 }),
    many: fc.boolean(),
    damage: fc.option(fc.record({ at: fc.nat(6), delta: fc.integer({ min: -3, max: 3 }) }), { freq: 3 }),
    types: fc.constantFrom(22, 22, 22, 22, 22, 20, 21, 23),
    after: fc.oneof({ weight: 4, arbitrary: fc.constant(new Uint8Array(0)) }, raw(12)),
  })
  .map(({ hello, cuts, many, damage, types, after }) => {
    const places =
      many && hello.length > 0
        ? cuts.map((cut) => cut % hello.length)
        : cuts.slice(0, 1).map((cut) => cut % (hello.length + 1));
    const edges = [0, ...places.toSorted((a, b) => a - b), hello.length];
    const records = edges
      .slice(1)
      .map((to, i): Node => [
        bytes(i === 1 ? types : 22, 3, i === 0 ? 1 : 3),
        prefixed(2, hello.subarray(edges[i], to)),
      ]);
    return render([records, after], damage);
  });
