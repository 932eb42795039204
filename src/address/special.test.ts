/** No spelling of an internal address passes for an ordinary one (threats: rebinding, metadata, mapped and NAT64 forms). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cidrContains, isCidrDefect, parseCidr } from "./cidr.ts";
import type { Cidr } from "./cidr.ts";
import { addressFromBytes, formatAddress, parseAddress } from "./ip.ts";
import { specialClass } from "./special.ts";
import type { SpecialClass } from "./special.ts";

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  assert.ok(!isCidrDefect(parsed), text);
  return parsed;
}

/** The definition as a table; the first row that holds an address says its class. Metadata before the wider ranges. */
const table: [string, SpecialClass][] = [
  ["0.0.0.0", "unspecified"],
  ["0.0.0.0/8", "reserved"],
  ["10.0.0.0/8", "private"],
  ["100.64.0.0/10", "private"],
  ["127.0.0.0/8", "loopback"],
  ["168.63.129.16", "metadata"],
  ["169.254.169.254", "metadata"],
  ["169.254.170.2", "metadata"],
  ["169.254.0.0/16", "link_local"],
  ["172.16.0.0/12", "private"],
  ["192.0.0.0/24", "reserved"],
  ["192.168.0.0/16", "private"],
  ["224.0.0.0/4", "multicast"],
  ["255.255.255.255", "broadcast"],
  ["240.0.0.0/4", "reserved"],
  ["::", "unspecified"],
  ["::1", "loopback"],
  ["::/96", "embedded"],
  ["::ffff:0:0/96", "embedded"],
  ["64:ff9b:1::/48", "embedded"],
  ["2001::/32", "embedded"],
  ["2002::/16", "embedded"],
  ["fd00:ec2::254", "metadata"],
  ["fc00::/7", "private"],
  ["fe80::/10", "link_local"],
  ["fec0::/10", "private"],
  ["ff00::/8", "multicast"],
];
const rows = table.map(([text, name]) => ({ cidr: cidr(text), name }));

function defined(text: string): SpecialClass | null {
  const address = parseAddress(text)!;
  return rows.find((row) => cidrContains(row.cidr, address))?.name ?? null;
}

/** Every range's ends and the addresses just outside. */
function edges(row: Cidr): string[] {
  const width = row.address.length * 8;
  let value = 0n;
  for (const c of row.address) value = (value << 8n) | BigInt(c.charCodeAt(0));
  const size = 1n << BigInt(width - row.length);
  const all = 1n << BigInt(width);
  return [value - 1n, value, value + size - 1n, value + size]
    .filter((n) => n >= 0n && n < all)
    .map((n) => {
      const bytes = Uint8Array.from({ length: width / 8 }, (_, i) => Number((n >> BigInt(width - 8 * (i + 1))) & 255n));
      return formatAddress(addressFromBytes(bytes, 0, (width / 8) as 4 | 16));
    });
}

test("every special range is special to its last address, and its neighbours are not by mistake", () => {
  for (const row of rows) {
    for (const text of edges(row.cidr)) assert.equal(specialClass(parseAddress(text)!), defined(text), text);
  }
});

test("any address has the class of the table", () => {
  const v4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((p) => p.join("."));
  const group = fc.oneof(
    fc.constantFrom("0", "1", "ffff", "2001", "2002", "fe80", "fd00", "ec2", "db8"),
    fc.nat(65535).map((n) => n.toString(16)),
  );
  const v6 = fc.array(group, { minLength: 8, maxLength: 8 }).map((g) => g.join(":"));
  fc.assert(
    fc.property(fc.oneof(v4, v6), (text) => assert.equal(specialClass(parseAddress(text)!), defined(text), text)),
    { numRuns: 20_000 },
  );
});

test("NAT64 is as special as the IPv4 address inside", () => {
  for (const inner of ["10.0.0.1", "127.0.0.1", "169.254.169.254", "168.63.129.16", "0.0.0.0", "255.255.255.255"]) {
    assert.equal(specialClass(parseAddress(`64:ff9b::${inner}`)!), "embedded", inner);
  }
  assert.equal(specialClass(parseAddress("64:ff9b::203.0.113.5")!), null);
  assert.equal(specialClass(parseAddress("64:ff9b:0:1::203.0.113.5")!), null, "outside the well-known prefix");
});

test("documentation and benchmark addresses are ordinary", () => {
  for (const text of ["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "2001:db8::1"]) {
    assert.equal(specialClass(parseAddress(text)!), null, text);
  }
});
