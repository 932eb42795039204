/**
 * The whole address space, IPv4 and IPv6, cut where the longest prefix that matches changes: every address is in exactly one region,
 * and a region has one route or none. Prefixes nest or are apart, so one pass over them in order, with the open ones on a stack, is
 * enough: n log n, whatever the tables look like. `naiveRoute` says the same one address at a time.
 */
import { cidrContains } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import type { Address } from "../address/ip.ts";
import type { Route } from "./model.ts";

export type Family = 4 | 6;

/** Addresses as numbers from `first` to `last`, both in it. */
export interface Span {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

export interface Region extends Span {
  /** Null: no route, the packet is dropped. */
  readonly route: Route | null;
}

const bitsOf = (family: Family): bigint => (family === 4 ? 32n : 128n);

export function addressNumber(address: Address): bigint {
  let value = 0n;
  for (let i = 0; i < address.length; i++) value = (value << 8n) | BigInt(address.charCodeAt(i));
  return value;
}

export function addressOf(family: Family, value: bigint): Address {
  let text = "";
  for (let shift = bitsOf(family) - 8n; shift >= 0n; shift -= 8n)
    text += String.fromCharCode(Number((value >> shift) & 255n));
  return text as Address;
}

export function spanOf({ address, length }: Cidr): Span {
  const family: Family = address.length === 4 ? 4 : 6;
  const first = addressNumber(address);
  return { family, first, last: first + (1n << (bitsOf(family) - BigInt(length))) - 1n };
}

export function wholeSpan(family: Family): Span {
  return { family, first: 0n, last: (1n << bitsOf(family)) - 1n };
}

/** The prefixes that make up a span, at most `most` of them; null: more. */
export function cidrsOf({ family, first, last }: Span, most: number): Cidr[] | null {
  const out: Cidr[] = [];
  for (let at = first; at <= last;) {
    if (out.length === most) return null;
    let size = 0n;
    while (size < bitsOf(family) && (at & ((1n << (size + 1n)) - 1n)) === 0n && at + (1n << (size + 1n)) - 1n <= last)
      size++;
    out.push({ address: addressOf(family, at), length: Number(bitsOf(family) - size) });
    at += 1n << size;
  }
  return out;
}

/** The regions of one family in order, without gaps. Routes whose prefixes are not known have no region. */
export function partition(routes: readonly Route[], family: Family): Region[] {
  const best = new Map<string, { span: Span; route: Route }>();
  for (const route of routes) {
    for (const cidr of route.cidrs ?? []) {
      const span = spanOf(cidr);
      if (span.family !== family) continue;
      const key = `${span.first}-${span.last}`;
      const known = best.get(key);
      if (known === undefined || route.rank < known.route.rank) best.set(key, { span, route });
    }
  }
  const order = [...best.values()].toSorted(
    (a, b) => compare(a.span.first, b.span.first) || compare(b.span.last, a.span.last),
  );
  const out: Region[] = [];
  const open: { span: Span; route: Route }[] = [];
  const whole = wholeSpan(family);
  let at = whole.first;
  const emit = (last: bigint, route: Route | null): void => {
    if (last < at) return;
    const before = out.at(-1);
    if (before !== undefined && before.route === route) out[out.length - 1] = { ...before, last };
    else out.push({ family, first: at, last, route });
    at = last + 1n;
  };
  const closeBefore = (first: bigint): void => {
    for (let top = open.at(-1); top !== undefined && top.span.last < first; top = open.at(-1)) {
      emit(top.span.last, top.route);
      open.pop();
    }
  };
  for (const entry of order) {
    closeBefore(entry.span.first);
    emit(entry.span.first - 1n, open.at(-1)?.route ?? null);
    open.push(entry);
  }
  closeBefore(whole.last + 1n);
  emit(whole.last, null);
  return out;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The route for one address, by looking at all of them: the reference that `partition` is held against. */
export function naiveRoute(routes: readonly Route[], address: Address): Route | null {
  let found: { route: Route; length: number } | null = null;
  for (const route of routes) {
    for (const cidr of route.cidrs ?? []) {
      if (!cidrContains(cidr, address)) continue;
      const better =
        found === null || cidr.length > found.length || (cidr.length === found.length && route.rank < found.route.rank);
      if (better) found = { route, length: cidr.length };
    }
  }
  return found?.route ?? null;
}
