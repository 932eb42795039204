/**
 * Addresses that a name rule may never reach, whatever DNS says: the networks a job stands in, the machine itself, the
 * clouds' metadata services, and every IPv6 form that embeds an IPv4 address and so could smuggle one of these past a
 * check made on the other form. Only a CIDR rule can allow them. IANA's special-purpose registries (RFC 6890) name the
 * ranges. Documentation (RFC 5737, RFC 3849) and benchmarking (RFC 2544) ranges are ordinary: nothing of a network's own
 * lives there.
 */
import type { Address } from "./ip.ts";

export type SpecialClass =
  | "unspecified"
  | "loopback"
  | "private"
  | "link_local"
  | "metadata"
  | "multicast"
  | "broadcast"
  | "reserved"
  | "embedded";

/** The class of a special address, or null for an ordinary one. */
export function specialClass(address: Address): SpecialClass | null {
  if (address.length === 4) {
    return v4Class(address.charCodeAt(0), address.charCodeAt(1), address.charCodeAt(2), address.charCodeAt(3));
  }
  return v6Class(address);
}

function v4Class(a: number, b: number, c: number, d: number): SpecialClass | null {
  // Most public destinations leave by this line.
  if (a > 0 && a < 224 && a !== 10 && a !== 100 && a !== 127 && a !== 168 && a !== 169 && a !== 172 && a !== 192) {
    return null;
  }
  if (a === 10) return "private";
  if (a === 0) return (b | c | d) === 0 ? "unspecified" : "reserved";
  if (a === 100) return b >= 64 && b < 128 ? "private" : null;
  if (a === 127) return "loopback";
  // Azure's WireServer, the one metadata address in public space.
  if (a === 168) return b === 63 && c === 129 && d === 16 ? "metadata" : null;
  if (a === 169) {
    if (b !== 254) return null;
    return (c === 169 && d === 254) || (c === 170 && d === 2) ? "metadata" : "link_local";
  }
  if (a === 172) return b >= 16 && b < 32 ? "private" : null;
  if (a === 192) {
    if (b === 168) return "private";
    return b === 0 && c === 0 ? "reserved" : null;
  }
  if (a < 240) return "multicast";
  return a === 255 && b === 255 && c === 255 && d === 255 ? "broadcast" : "reserved";
}

function v6Class(address: Address): SpecialClass | null {
  const first = (address.charCodeAt(0) << 8) | address.charCodeAt(1);
  if (first >= 0xff00) return "multicast";
  if (first >= 0xfec0) return "private"; // Site-local, RFC 3879: deprecated, still routed in places.
  if (first >= 0xfe80) return "link_local";
  if (first >= 0xfc00 && first < 0xfe00) return address === ec2Metadata ? "metadata" : "private";
  if (first === 0x2002) return "embedded"; // 6to4, RFC 3056.
  if (first === 0x2001) return address.charCodeAt(2) === 0 && address.charCodeAt(3) === 0 ? "embedded" : null; // Teredo.
  if (first === 0x0064) return nat64Class(address);
  if (first !== 0) return null;
  return lowClass(address);
}

/** NAT64: the well-known /96 is as ordinary as the IPv4 address in it (RFC 6052); the local-use /48 is not (RFC 8215). */
function nat64Class(address: Address): SpecialClass | null {
  if (address.charCodeAt(2) !== 0xff || address.charCodeAt(3) !== 0x9b) return null;
  if (address.charCodeAt(4) === 0 && address.charCodeAt(5) === 1) return "embedded";
  for (let i = 4; i < 12; i++) if (address.charCodeAt(i) !== 0) return null;
  const inner = v4Class(address.charCodeAt(12), address.charCodeAt(13), address.charCodeAt(14), address.charCodeAt(15));
  return inner === null ? null : "embedded";
}

/** `::/16`: unspecified, loopback, IPv4-mapped and IPv4-compatible (RFC 4291 section 2.5.5). */
function lowClass(address: Address): SpecialClass | null {
  for (let i = 2; i < 10; i++) if (address.charCodeAt(i) !== 0) return null;
  const word = (address.charCodeAt(10) << 8) | address.charCodeAt(11);
  if (word === 0xffff) return "embedded";
  if (word !== 0) return null;
  if (address.charCodeAt(12) === 0 && address.charCodeAt(13) === 0 && address.charCodeAt(14) === 0) {
    if (address.charCodeAt(15) === 0) return "unspecified";
    if (address.charCodeAt(15) === 1) return "loopback";
  }
  return "embedded";
}

/** fd00:ec2::254 */
const ec2Metadata = "\xfd\x00\x0e\xc2\0\0\0\0\0\0\0\0\0\0\x02\x54";
