/**
 * Prefixes cut the address space into regions in which every address is in the same prefixes. One address of a region
 * speaks for all of it: reports ask about that one instead of 2^128. Used by `question.ts` and `universe.ts`, never on packets.
 */
import { cidrContains, cidrCovers, formatCidr, isCidrDefect, maskAddress, parseCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { addressFromBytes, addressToBytes, parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";

/** What is in `cidr` and in no narrower prefix of the list, and an address there. */
export interface Region {
  readonly cidr: Cidr;
  readonly address: Address;
}

/** The regions of a list of prefixes, in the order of the address space; prefixes that narrower ones fill have none. */
export function regionsOf(cidrs: readonly Cidr[]): Region[] {
  const sorted = distinct(cidrs);
  return sorted.flatMap((cidr, i) => {
    const address = gapIn(cidr, sorted, i + 1);
    return address === null ? [] : [{ cidr, address }];
  });
}

/**
 * An address that is in none of the prefixes: the first of `preferred` that is free, else the lowest free IPv4 address,
 * else the lowest free IPv6 address, else null.
 */
export function addressOutside(cidrs: readonly Cidr[], preferred: readonly Address[]): Address | null {
  const free = preferred.find((address) => !cidrs.some((cidr) => cidrContains(cidr, address)));
  if (free !== undefined) return free;
  const sorted = distinct(cidrs);
  return gapIn(everyV4, sorted, 0) ?? gapIn(everyV6, sorted, 0);
}

/** Wider before narrower, by address, each once. IPv4 and IPv6 addresses have different lengths and never mix. */
function distinct(cidrs: readonly Cidr[]): Cidr[] {
  const byText = new Map(cidrs.map((cidr) => [formatCidr(cidr), cidr]));
  return [...byText.values()].toSorted(
    (a, b) =>
      a.address.length - b.address.length ||
      (a.address < b.address ? -1 : a.address > b.address ? 1 : 0) ||
      a.length - b.length,
  );
}

/** An address of `outer` that no prefix of `sorted` from index `from` on covers, or null. */
function gapIn(outer: Cidr, sorted: readonly Cidr[], from: number): Address | null {
  let free: Address | null = outer.address;
  let end: Address | null = null;
  for (let i = from; i < sorted.length && free !== null; i++) {
    const inner = sorted[i]!;
    if (inner.address.length !== outer.address.length) continue;
    if (!cidrCovers(outer, inner)) break;
    if (inner.address > free) {
      end = inner.address;
      break;
    }
    // Inside a prefix that was passed already.
    if (inner.address < free) continue;
    free = after(inner);
    if (free !== null && !cidrContains(outer, free)) return null;
  }
  if (free === null) return null;
  // The network's own address reads badly where a host's is free as well.
  const host = free === maskAddress(free, free.length * 8 - 8) ? next(free) : null;
  return host !== null && cidrContains(outer, host) && (end === null || host < end) ? host : free;
}

/** The address after the last one of a prefix; null at the end of the address space. */
function after({ address, length }: Cidr): Address | null {
  const bytes = addressToBytes(address);
  for (let i = 0; i < bytes.length; i++) bytes[i]! |= 0xff >> Math.min(8, Math.max(0, length - i * 8));
  return next(addressFromBytes(bytes, 0, bytes.length as 4 | 16));
}

function next(address: Address): Address | null {
  const bytes = addressToBytes(address);
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = (bytes[i]! + 1) & 0xff;
    if (bytes[i] !== 0) return addressFromBytes(bytes, 0, bytes.length as 4 | 16);
  }
  return null;
}

function prefix(text: string): Cidr {
  const cidr = parseCidr(text);
  if (isCidrDefect(cidr)) throw new TypeError(cidr.message);
  return cidr;
}

const everyV4 = prefix("0.0.0.0/0");
const everyV6 = prefix("::/0");

const specialV4 = [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16", "169.254.0.0/16"],
  ...["172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "224.0.0.0/3"],
].map(prefix);

/** Exactly the addresses for which `specialClass` is not null, as prefixes; a test holds the two together. */
export const specialPrefixes: readonly Cidr[] = [
  ...specialV4,
  ...["::/96", "::ffff:0:0/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fc00::/7", "fe80::/10"].map(prefix),
  ...["fec0::/10", "ff00::/8"].map(prefix),
  ...specialV4.map(({ address, length }) => ({
    address: (parseAddress("64:ff9b::")!.slice(0, 12) + address) as Address,
    length: length + 96,
  })),
];
