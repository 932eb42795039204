/** Random frames, Initial packets and datagrams of a QUIC client, right ones and damaged ones. For fuzzing. */
import fc from "fast-check";
import { joinParts } from "../support/parts.ts";
import { number, prefixed, render, structured, type Node } from "../support/structure.ts";
import { helloMessages } from "./hello.arbitrary.ts";
import { buildHello, bytes, filler, serverNames } from "./hello.ts";
import { datagram, firstId, sealInitial, type InitialParts } from "./initial.ts";

const raw = (maxLength: number, minLength = 0) => fc.uint8Array({ maxLength, minLength });
const small = fc.nat(80).map((value) => number("v", value));

/** A right hello most of the time; a random one else. */
const hellos = fc.oneof(
  { weight: 3, arbitrary: fc.constant(buildHello({ extensions: [serverNames("pypi.org"), filler(57, 30)] })) },
  helloMessages.filter((hello) => hello.length < 900),
);

const noise: fc.Arbitrary<Node> = fc.oneof(
  fc.nat(6).map((size) => new Uint8Array(size)),
  fc.constant(bytes(1)),
  fc
    .tuple(small, small, fc.array(fc.tuple(small, small), { maxLength: 4 }), small, fc.boolean())
    .map(([largest, delay, ranges, first, ecn]): Node => [
      bytes(ecn ? 3 : 2),
      [largest, delay, number("v", ranges.length), first, ranges],
      ecn ? [number("v", 0), number("v", 1), number("v", 70)] : [],
    ]),
  fc.tuple(small, small, raw(9)).map(([code, type, reason]): Node => [bytes(0x1c), code, type, prefixed("v", reason)]),
  { weight: 1, arbitrary: fc.nat(255).map((type) => bytes(type)) },
);

/** The hello in CRYPTO frames in any order with other frames between them: the payloads of one to three packets. */
const payloadTrees: fc.Arbitrary<Node[]> = fc
  .record({
    hello: hellos,
    cuts: fc.array(fc.nat(0xffff), { maxLength: 5 }),
    order: fc.array(fc.nat(0xffff), { minLength: 6, maxLength: 6 }),
    between: fc.array(noise, { maxLength: 3 }),
    packets: fc.integer({ min: 1, max: 3 }),
    overlap: fc.integer({ min: -1, max: 3 }),
    shift: fc.constantFrom(0, 0, 0, 0, 1, 70_000),
  })
  .map(({ hello, cuts, order, between, packets, overlap, shift }) => {
    const edges = [0, ...cuts.map((cut) => cut % (hello.length + 1)).toSorted((a, b) => a - b), hello.length];
    const frames = edges.slice(1).map((to, i): Node => {
      const from = Math.max(0, edges[i]! - (i % 2 === 0 ? 0 : Math.max(0, overlap)));
      return [bytes(6), number("v", from + shift), prefixed("v", hello.subarray(from, to))];
    });
    const all = [...frames, ...between].map((frame, i) => ({ frame, rank: order[i % order.length]! }));
    const mixed = all.toSorted((a, b) => a.rank - b.rank).map(({ frame }) => frame);
    const size = Math.ceil(mixed.length / packets);
    return Array.from({ length: packets }, (_, i) => mixed.slice(i * size, (i + 1) * size));
  });

const damage = fc.option(fc.record({ at: fc.nat(40), delta: fc.integer({ min: -3, max: 3 }) }), { freq: 2 });

const payloads = fc
  .tuple(payloadTrees, damage)
  .map(([trees, wrong]) => trees.map((tree, i) => render(tree, i === 0 ? wrong : null)));

/** Payloads of Initial packets in parts, to be sealed by whoever reads them. */
export const framePayloads: fc.Arbitrary<Uint8Array> = payloads.map(joinParts);

const packetParts: fc.Arbitrary<InitialParts> = fc.record(
  {
    version: fc.constantFrom(1 as const, 2 as const),
    dcid: fc.oneof({ weight: 4, arbitrary: fc.constant(firstId) }, raw(20, 8), raw(7)),
    scid: raw(20),
    token: raw(90),
    number: fc.oneof(fc.nat(3), fc.nat(0xffff)),
    numberSize: fc.constantFrom(1 as const, 2 as const, 4 as const),
    reserved: fc.constantFrom(0, 0, 0, 0, 0, 1),
  },
  { requiredKeys: [] },
);

/** A long header of any type around bytes that no key opens, its lengths right or damaged. */
const bareHeader = structured(
  fc
    .record({
      first: fc.constantFrom(0xc0, 0xd0, 0xe0, 0xf0, 0xc3, 0x80, 0x40),
      version: fc.constantFrom([0, 0, 0, 1], [0x6b, 0x33, 0x43, 0xcf], [0, 0, 0, 0], [0xff, 0, 0, 29]),
      dcid: raw(21),
      scid: raw(21),
      token: fc.option(raw(30)),
      rest: raw(60),
    })
    .map(({ first, version, dcid, scid, token, rest }): Node => [
      bytes(first, version),
      prefixed(1, dcid),
      prefixed(1, scid),
      token === null ? [] : prefixed("v", token),
      prefixed("v", rest),
    ]),
);

/** A client's datagrams in parts: sealed Initials, one or several in a datagram, and headers of other packets. */
export const datagrams: fc.Arbitrary<Uint8Array> = fc
  .record({
    payloads,
    parts: packetParts,
    retry: fc.option(raw(20, 1), { freq: 3 }),
    coalesce: fc.boolean(),
    bare: fc.option(bareHeader, { freq: 3 }),
    bareFirst: fc.boolean(),
    short: fc.constantFrom(false, false, false, false, true),
  })
  .map(({ payloads, parts, retry, coalesce, bare, bareFirst, short }) => {
    const id = parts.dcid ?? firstId;
    const sealed = payloads.map((payload, i) => {
      const later = retry !== null && i > 0;
      const keysOf = later ? retry : id;
      return sealInitial(payload.length === 0 && i > 0 ? bytes(1) : payload, {
        ...parts,
        number: (parts.number ?? 0) + i,
        dcid: later ? retry : id,
        keysOf,
      });
    });
    const beside = bare === null ? [] : [bare];
    const packets = bareFirst ? [...beside, ...sealed] : [...sealed, ...beside];
    const wrap = (...each: Uint8Array[]) => (short ? bytes(...each) : datagram(...each));
    return joinParts(coalesce ? [wrap(...packets)] : packets.map((packet) => wrap(packet)));
  });
