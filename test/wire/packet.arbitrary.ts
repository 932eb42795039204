/** Random IP packets with their headers, extension headers and options, right ones and damaged ones. For fuzzing. */
import fc from "fast-check";
import { number, render, structured, type Node } from "../support/structure.ts";
import { bytes } from "./hello.ts";

const raw = (maxLength: number, minLength = 0) => fc.uint8Array({ maxLength, minLength });

/** Options of TCP and of IPv4: kind, length with both of these bytes, data. */
const option = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(bytes(1), bytes(1), bytes(0)) },
  fc
    .tuple(
      fc.constantFrom(2, 3, 4, 5, 8, 19, 29, 30, 7, 68, 131, 137, 148, 253),
      raw(8),
      fc.constantFrom(2, 2, 2, 2, 1, 3),
    )
    .map(([kind, data, extra]) => bytes(kind, data.length + extra, data)),
);

/** Options filled up to a whole number of 32-bit words. */
const options = fc.array(option, { maxLength: 4 }).map((list) => {
  const all = bytes(...list).subarray(0, 40);
  return bytes(all, new Uint8Array((4 - (all.length % 4)) % 4));
});

const tcp = fc
  .record({
    ports: raw(4, 4),
    numbers: raw(8, 8),
    options,
    flags: fc.nat(255),
    off: fc.constantFrom(0, 0, 0, 0, 0, -1, 1),
    payload: raw(20),
  })
  .map(({ ports, numbers, options, flags, off, payload }): Node => [
    ports,
    numbers,
    bytes(((5 + options.length / 4 + off) & 15) << 4, flags, 255, 255, 0, 0, 0, 0),
    options,
    payload,
  ]);

const udp = raw(20).map((payload): Node => [bytes(0, 53, 1, 187), number(2, payload.length + 8), bytes(0, 0), payload]);

const transport = fc.oneof(
  { weight: 3, arbitrary: tcp.map((body) => ({ protocol: 6, body })) },
  { weight: 2, arbitrary: udp.map((body) => ({ protocol: 17, body })) },
  raw(9).map((body) => ({ protocol: 1, body: body as Node })),
  raw(9).map((body) => ({ protocol: 58, body: body as Node })),
  fc.tuple(fc.nat(255), raw(30)).map(([protocol, body]) => ({ protocol, body: body as Node })),
);

const v4 = fc
  .record({
    transport,
    options: fc.option(options, { freq: 3 }),
    fragment: fc.constantFrom(0, 0, 0, 0x4000, 0x2000, 0x0010),
    off: fc.constantFrom(0, 0, 0, 0, -1, 1),
    link: raw(6),
  })
  .map(({ transport: { protocol, body }, options, fragment, off, link }): Node => {
    const extra = options ?? new Uint8Array(0);
    const inner = render(body);
    const header = 20 + extra.length;
    return [
      bytes(0x40 | ((header / 4 + off) & 15), 0),
      number(2, header + inner.length),
      bytes(0, 0),
      number(2, fragment),
      bytes(64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7),
      extra,
      body,
      link,
    ];
  });

const extension = fc
  .tuple(fc.constantFrom(0, 43, 44, 51, 60, 60, 60), fc.constantFrom(0, 0, 0, 1, 200), raw(6, 6), fc.boolean())
  .map(([type, units, rest, zero]) => ({ type, units, rest: zero ? new Uint8Array(6) : rest }));

const v6 = fc
  .record({ transport, extensions: fc.array(extension, { maxLength: 10 }), source: raw(16, 16), link: raw(6) })
  .map(({ transport: { protocol, body }, extensions, source, link }): Node => {
    const chain = extensions.map(({ units, rest }, i): Node => {
      const size = Math.min(units, 2);
      return bytes(extensions[i + 1]?.type ?? protocol, units, rest, new Uint8Array(size * 8));
    });
    return [
      bytes(0x60, 0, 0, 0),
      number(2, render([chain, body]).length),
      bytes(extensions[0]?.type ?? protocol, 64, source, new Uint8Array(16)),
      chain,
      body,
      link,
    ];
  });

export const packets: fc.Arbitrary<Uint8Array> = fc.oneof(structured(v4), structured(v6));

/** TCP over IPv4 with options, whose lengths are right or not. */
export const optionPackets: fc.Arbitrary<Uint8Array> = fc.tuple(tcp, raw(3)).map(([body, link]) => {
  const inner = render(body);
  const fixed = bytes(64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7);
  return render([bytes(0x45, 0), number(2, 20 + inner.length), bytes(0, 0, 0, 0), fixed, inner, link]);
});
