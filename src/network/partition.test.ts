/**
 * Every address leads where its longest prefix says: the partition of random tables, in both families, against looking at every route
 * for one address; and the regions are whole, in order and without gaps.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { maskAddress, parseCidr, isCidrDefect } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { addressFromBytes } from "../address/ip.ts";
import type { Route, TargetKind } from "./model.ts";
import { addressNumber, addressOf, cidrsOf, naiveRoute, partition, spanOf, wholeSpan } from "./partition.ts";
import type { Family } from "./partition.ts";

const runs = 400;

/** Prefixes that nest and meet often: few bits that differ. */
const cidrs: fc.Arbitrary<Cidr> = fc
  .tuple(
    fc.boolean(),
    fc.array(fc.constantFrom(0, 0, 10, 128, 255), { minLength: 16, maxLength: 16 }),
    fc.nat(128),
    fc.nat(9),
  )
  .map(([v6, bytes, length, whole]) => {
    const size = v6 ? 16 : 4;
    const bits = whole === 0 ? 0 : length % (size * 8 + 1);
    const address = addressFromBytes(Uint8Array.from(bytes), 0, size);
    return { address: maskAddress(address, bits), length: bits };
  });
const kinds: readonly TargetKind[] = ["nat", "transit", "internet", "blackhole", "firewall"];
const tables: fc.Arbitrary<Route[]> = fc
  .array(
    fc.tuple(
      fc.option(fc.array(cidrs, { minLength: 1, maxLength: 3 }), { freq: 9 }),
      fc.constantFrom(...kinds),
      fc.constantFrom(0, 1, 2, 3),
    ),
    { maxLength: 12 },
  )
  .map((routes) =>
    routes.map(([list, kind, rank], i) => ({
      cidrs: list,
      destination: `d${i}`,
      target: { kind, id: `${kind}-${i}` },
      rank,
      place: { file: "t", pointer: `/${i}` },
    })),
  );

describe("the partition", () => {
  test("agrees with the longest prefix of every address at and beside its edges, and of random ones", () => {
    fc.assert(
      fc.property(tables, fc.array(fc.bigInt(0n, (1n << 128n) - 1n), { maxLength: 8 }), (routes, random) => {
        for (const family of [4, 6] as const) {
          const regions = partition(routes, family);
          const whole = wholeSpan(family);
          assert.equal(regions[0]!.first, whole.first);
          assert.equal(regions.at(-1)!.last, whole.last);
          for (const [i, region] of regions.entries()) {
            assert.ok(region.first <= region.last);
            if (i > 0) assert.equal(region.first, regions[i - 1]!.last + 1n);
            if (i > 0) assert.notEqual(region.route, regions[i - 1]!.route, "two regions that are one");
          }
          const spans = routes
            .flatMap((route) => (route.cidrs ?? []).map(spanOf))
            .filter((span) => span.family === family);
          const edges = spans.flatMap(({ first, last }) => [first - 1n, first, last, last + 1n]);
          for (const value of [...edges, ...regions.map(({ first }) => first), ...random]) {
            if (value < whole.first || value > whole.last) continue;
            const region = regions.find(({ first, last }) => first <= value && value <= last)!;
            assert.equal(region.route?.target.id ?? null, winner(routes, family, value));
          }
        }
      }),
      { numRuns: runs },
    );
  });

  test("is one region without a route where a table is empty", () => {
    assert.deepEqual(partition([], 4), [{ ...wholeSpan(4), route: null }]);
  });
});

function winner(routes: Route[], family: Family, value: bigint): string | null {
  return naiveRoute(routes, addressOf(family, value))?.target.id ?? null;
}

describe("spans", () => {
  test("are the prefixes that they are made of", () => {
    fc.assert(
      fc.property(cidrs, cidrs, (a, b) => {
        assert.deepEqual(cidrsOf(spanOf(a), 1), [a]);
        assert.equal(addressOf(a.address.length === 4 ? 4 : 6, addressNumber(a.address)), a.address);
        const [x, y] = [spanOf(a), spanOf(b)];
        if (x.family !== y.family || x.first > y.last) return;
        const parts = cidrsOf({ family: x.family, first: x.first, last: y.last }, 300)!.map(spanOf);
        assert.equal(parts[0]!.first, x.first);
        assert.equal(parts.at(-1)!.last, y.last);
        for (const [i, part] of parts.entries()) if (i > 0) assert.equal(part.first, parts[i - 1]!.last + 1n);
      }),
      { numRuns: runs },
    );
    const ten = parseCidr("10.0.0.0/8");
    assert.ok(!isCidrDefect(ten));
    assert.equal(spanOf(ten).last - spanOf(ten).first, 0xffffffn);
  });
});
