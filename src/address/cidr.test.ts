/** A prefix covers exactly its addresses, and the table finds exactly the prefixes that cover an address. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CidrTable, cidrContains, cidrCovers, formatCidr, isCidrDefect, maskAddress, parseCidr } from "./cidr.ts";
import type { Cidr } from "./cidr.ts";
import { addressFromBytes, addressToBytes, formatAddress, parseAddress } from "./ip.ts";
import type { Address } from "./ip.ts";

// Few distinct bytes, so that prefixes nest and collide.
const byte = fc.constantFrom(0, 1, 2, 127, 128, 254, 255);
const address = fc
  .oneof(fc.array(byte, { minLength: 4, maxLength: 4 }), fc.array(byte, { minLength: 16, maxLength: 16 }))
  .map((raw) => addressFromBytes(Uint8Array.from(raw), 0, raw.length as 4 | 16));
const prefix: fc.Arbitrary<Cidr> = fc.tuple(address, fc.nat({ max: 128 })).map(([a, n]) => {
  const length = n % (a.length * 8 + 1);
  return { address: maskAddress(a, length), length };
});

function bits(a: Address): string {
  return Array.from(addressToBytes(a), (b) => b.toString(2).padStart(8, "0")).join("");
}

/** The definition, on text. */
function covers(cidr: Cidr, a: Address): boolean {
  return a.length === cidr.address.length && bits(a).startsWith(bits(cidr.address).slice(0, cidr.length));
}

test("a prefix contains the addresses that share its bits, of its own family", () => {
  fc.assert(fc.property(prefix, address, (cidr, a) => assert.equal(cidrContains(cidr, a), covers(cidr, a))));
});

test("a prefix covers another when it contains every address of it", () => {
  fc.assert(
    fc.property(prefix, prefix, (outer, inner) => {
      assert.equal(cidrCovers(outer, inner), outer.length <= inner.length && covers(outer, inner.address));
    }),
  );
});

test("text of a prefix reads back as itself", () => {
  fc.assert(fc.property(prefix, (cidr) => assert.deepEqual(parseCidr(formatCidr(cidr)), cidr)));
});

test("host bits are an error that says what to write, never masked away", () => {
  const defect = parseCidr("203.0.113.7/24");
  assert.ok(isCidrDefect(defect));
  assert.equal(defect.defect, "host_bits");
  assert.match(defect.fix, /203\.0\.113\.0\/24.*203\.0\.113\.7/);
  for (const text of [
    "203.0.113.0/33",
    "2001:db8::/129",
    "203.0.113.0/",
    "203.0.113.0/024",
    "203.0.113.0/-1",
    "x/8",
    "/8",
  ]) {
    assert.ok(isCidrDefect(parseCidr(text)), text);
  }
});

test("the table finds every covering prefix, most specific first, and no other", () => {
  fc.assert(
    fc.property(
      fc.array(prefix, { maxLength: 60 }),
      fc.array(address, { minLength: 1, maxLength: 20 }),
      (list, asked) => {
        const table = new CidrTable<string>();
        const expected = new Map(list.map((cidr) => [formatCidr(cidr), cidr]));
        for (const cidr of list) table.getOrAdd(cidr, () => formatCidr(cidr));
        assert.equal(table.size, expected.size);
        assert.deepEqual([...table.entries()].map((e) => e.value).toSorted(), [...expected.keys()].toSorted());
        for (const a of [...asked, ...list.map((cidr) => cidr.address)]) {
          const naive = [...expected.values()]
            .filter((cidr) => covers(cidr, a))
            .toSorted((x, y) => y.length - x.length);
          assert.deepEqual(
            [...table.covering(a)].map((e) => e.value),
            naive.map(formatCidr),
          );
        }
      },
    ),
    { numRuns: 400 },
  );
});

test("a large table, with its first step over 16 bits, answers like a small one", () => {
  const table = new CidrTable<number>();
  const cidrs: Cidr[] = [];
  // A fixed walk over the address space with prefix lengths on both sides of 16.
  const at = (i: number): Address => {
    const hash = Math.imul(i, 2654435761);
    return addressFromBytes(Uint8Array.of((hash >>> 24) & 15, hash >>> 16, hash >>> 8, hash), 0, 4);
  };
  for (let i = 0; i < 12_000; i++) {
    const length = 6 + (i % 27);
    cidrs.push({ address: maskAddress(at(i), length), length });
  }
  cidrs.push({ address: parseAddress("2001:db8::")!, length: 32 });
  for (const [i, cidr] of cidrs.entries()) table.getOrAdd(cidr, () => i);
  assert.ok(table.size > 4096);
  for (let i = 0; i < 40; i++) {
    const a = at(i * 299);
    const found = [...table.covering(a)].map((e) => formatCidr(e.cidr)).toSorted();
    assert.deepEqual(
      found,
      [...new Set(cidrs.filter((c) => covers(c, a)).map(formatCidr))].toSorted(),
      formatAddress(a),
    );
  }
  assert.equal(formatCidr(table.longest(parseAddress("2001:db8::1")!)!.cidr), "2001:db8::/32");
  assert.equal(table.longest(parseAddress("2001:db9::1")!), null);
});
