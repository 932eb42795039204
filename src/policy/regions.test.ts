/** One address speaks for a region only if it is in the region, and every set of prefixes that an address can be in has one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cidrContains, formatCidr, isCidrDefect, maskAddress, parseCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { addressFromBytes, parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import { specialClass } from "../address/special.ts";
import { addressOutside, regionsOf, specialPrefixes } from "./regions.ts";

/** Addresses of few distinct bits, so that prefixes nest, touch and fill each other. */
const addresses: fc.Arbitrary<Address> = fc
  .record({ v6: fc.boolean(), head: fc.nat(3), tail: fc.nat(255), middle: fc.constantFrom(0, 255) })
  .map(({ v6, head, tail, middle }) => {
    const bytes = new Uint8Array(v6 ? 16 : 4).fill(middle);
    bytes[0] = head << 6;
    bytes[bytes.length - 1] = tail;
    return addressFromBytes(bytes, 0, bytes.length as 4 | 16);
  });
const cidrs: fc.Arbitrary<Cidr> = fc
  .record({ address: addresses, from: fc.constantFrom(0, 1, 2), low: fc.nat(8), isLow: fc.boolean() })
  .map(({ address, from, low, isLow }) => {
    const length = isLow ? address.length * 8 - low : from;
    return { address: maskAddress(address, length), length };
  });
const lists = fc.array(cidrs, { maxLength: 12 });

function holders(list: readonly Cidr[], address: Address): string {
  return list
    .filter((cidr) => cidrContains(cidr, address))
    .map(formatCidr)
    .toSorted()
    .join(" ");
}

test("every address shares its set of prefixes with the address of a region, or with one outside", () => {
  fc.assert(
    fc.property(lists, fc.array(addresses, { minLength: 20, maxLength: 20 }), (list, some) => {
      const regions = regionsOf(list);
      for (const { cidr, address } of regions) {
        const narrower = list.filter((c) => cidrContains(c, address) && c.length > cidr.length);
        assert.ok(cidrContains(cidr, address));
        assert.deepEqual(narrower, []);
      }
      const known = new Set(regions.map(({ address }) => holders(list, address)));
      for (const address of some) assert.ok(holders(list, address) === "" || known.has(holders(list, address)));
    }),
    { numRuns: 2000 },
  );
});

test("an address outside is in no prefix, and there is one unless everything is covered", () => {
  fc.assert(
    fc.property(lists, fc.array(addresses, { minLength: 20, maxLength: 20 }), (list, some) => {
      const outside = addressOutside(list, []);
      if (outside !== null) assert.equal(holders(list, outside), "");
      else for (const address of some) assert.notEqual(holders(list, address), "");
    }),
    { numRuns: 2000 },
  );
  assert.equal(addressOutside(["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"].map(cidr), []), null);
});

test("the special prefixes are exactly the addresses with a special class", () => {
  const edges = specialPrefixes.flatMap(({ address, length }) => [
    address,
    step(address, length, 1),
    step(address, length, -1),
  ]);
  const others = ["8.8.8.8", "203.0.113.7", "2001:db8::1", "2600::1", "64:ff9b::808:808", "168.63.129.17", "::1:0:0:0"];
  for (const address of [...edges, ...others.map((text) => parseAddress(text)!)]) {
    if (address === null) continue;
    const isListed = specialPrefixes.some((prefix) => cidrContains(prefix, address));
    assert.equal(isListed, specialClass(address) !== null, formatCidr({ address, length: address.length * 8 }));
  }
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(
      bytes,
      fc.constantFrom<4 | 16>(4, 16),
      fc.constantFrom(...specialPrefixes),
      fc.nat(128),
      (random, size, near, bits) => {
        // A random address that shares its first bits with a special prefix more often than not.
        const address = addressFromBytes(random, 0, size);
        const mixed = near.address.length === size ? (blend(near.address, address, bits) as Address) : address;
        const isListed = specialPrefixes.some((prefix) => cidrContains(prefix, mixed));
        assert.equal(isListed, specialClass(mixed) !== null);
      },
    ),
    { numRuns: 20_000 },
  );
});

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  assert.ok(!isCidrDefect(parsed));
  return parsed;
}

/** The address just after or before a prefix; null past the end. */
function step(address: Address, length: number, by: 1 | -1): Address | null {
  const bits = BigInt(address.length * 8 - length);
  const value = address.split("").reduce((sum, char) => sum * 256n + BigInt(char.charCodeAt(0)), 0n);
  const moved = by > 0 ? value + (1n << bits) : value - 1n;
  if (moved < 0n || moved >= 1n << BigInt(address.length * 8)) return null;
  const bytes = Uint8Array.from({ length: address.length }, (_, i) =>
    Number((moved >> BigInt((address.length - 1 - i) * 8)) & 255n),
  );
  return addressFromBytes(bytes, 0, bytes.length as 4 | 16);
}

/** The first `bits` of one address, the rest of the other. */
function blend(head: Address, tail: Address, bits: number): string {
  return head
    .split("")
    .map((char, i) => {
      const keep = 0xff & (0xff00 >> Math.min(8, Math.max(0, bits - i * 8)));
      return String.fromCharCode((char.charCodeAt(0) & keep) | (tail.charCodeAt(i) & ~keep & 0xff));
    })
    .join("");
}
