/**
 * CIDR prefixes and a table of them. A lookup costs the length of the prefixes, not their number, and yields the most
 * specific prefix that covers an address; its `parent` links lead to every wider one. IPv4 and IPv6 are separate number
 * spaces here: `::ffff:192.0.2.1` is not `192.0.2.1` (see `special.ts` for why no rule should need that).
 */
import { formatAddress, parseAddress } from "./ip.ts";
import type { Address } from "./ip.ts";

/** A prefix: `address` has no bit set beyond `length` (0–32 for IPv4, 0–128 for IPv6). */
export interface Cidr {
  readonly address: Address;
  readonly length: number;
}

/** Why a text is not a CIDR, and the text that was probably meant. */
export interface CidrDefect {
  readonly defect: "not_an_address" | "bad_length" | "host_bits";
  readonly message: string;
  readonly fix: string;
}

/** Parses `203.0.113.0/24` or a bare address (a host prefix). Host bits beyond the length are an error, never masked. */
export function parseCidr(text: string): Cidr | CidrDefect {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) {
    return {
      defect: "not_an_address",
      message: `“${text}” is not an IPv4 or IPv6 prefix`,
      fix: "Write an address and a length, for example 203.0.113.0/24 or 2001:db8::/32.",
    };
  }
  const bits = address.length * 8;
  if (slash < 0) return { address, length: bits };
  const lengthText = text.slice(slash + 1);
  const length = /^(0|[1-9][0-9]{0,2})$/.test(lengthText) ? Number(lengthText) : Infinity;
  if (length > bits) {
    return {
      defect: "bad_length",
      message: `“/${lengthText}” is not a prefix length of an IPv${bits === 32 ? 4 : 6} address`,
      fix: `Write a length from 0 to ${bits}.`,
    };
  }
  const network = maskAddress(address, length);
  if (network !== address) {
    return {
      defect: "host_bits",
      message: `“${text}” has bits set beyond its length of ${length}`,
      fix: `Write ${formatAddress(network)}/${length} for the network, or ${formatAddress(address)} for the one address.`,
    };
  }
  return { address, length };
}

/** True for the failure arm of {@link parseCidr}. */
export function isCidrDefect(value: Cidr | CidrDefect): value is CidrDefect {
  return "defect" in value;
}

/** Canonical text; a host prefix is written as the bare address. */
export function formatCidr(cidr: Cidr): string {
  const text = formatAddress(cidr.address);
  return cidr.length === cidr.address.length * 8 ? text : `${text}/${cidr.length}`;
}

/** The address with every bit from `length` on cleared. */
export function maskAddress(address: Address, length: number): Address {
  let out = "";
  for (let i = 0; i < address.length; i++) {
    const keep = Math.min(8, Math.max(0, length - i * 8));
    out += String.fromCharCode(address.charCodeAt(i) & (0xff00 >> keep));
  }
  return out as Address;
}

/** True where `cidr` covers `address` (same family and equal in the first `length` bits). */
export function cidrContains(cidr: Cidr, address: Address): boolean {
  return cidr.address.length === address.length && commonBits(cidr.address, address) >= cidr.length;
}

/** True where every address of `inner` is in `outer`. */
export function cidrCovers(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && cidrContains(outer, inner.address);
}

/** How many leading bits two addresses of one family share. */
function commonBits(a: Address, b: Address): number {
  for (let i = 0; i < a.length; i++) {
    const difference = a.charCodeAt(i) ^ b.charCodeAt(i);
    if (difference !== 0) return i * 8 + Math.clz32(difference) - 24;
  }
  return a.length * 8;
}

/** A prefix in a table with its value and the next wider prefix of the same table that covers it. */
export interface CidrEntry<T> {
  readonly cidr: Cidr;
  readonly value: T;
  readonly parent: CidrEntry<T> | null;
}

interface MutableEntry<T> {
  cidr: Cidr;
  value: T;
  parent: MutableEntry<T> | null;
}

/** A branch of the path-compressed binary trie: every key below shares `key`'s first `length` bits. */
interface Node<T> {
  key: Address;
  length: number;
  entry: MutableEntry<T> | null;
  /** The deepest entry at or above this node: where a lookup that ends here starts climbing. */
  nearest: MutableEntry<T> | null;
  zero: Node<T> | null;
  one: Node<T> | null;
}

/**
 * Prefixes to values, both families. Add everything, then look up; adding after a lookup is allowed and costs a relink
 * of the whole table at the next lookup.
 */
export class CidrTable<T> {
  /** By the first two bytes: the deepest node a walk from the root reaches on these bits alone. Only in large tables. */
  #jump4: (Node<T> | null)[] = [];
  #jump6: (Node<T> | null)[] = [];
  #v4: Node<T> | null = null;
  #v6: Node<T> | null = null;
  #stale = false;
  #size = 0;

  /** Number of distinct prefixes. */
  get size(): number {
    return this.#size;
  }

  /** The value stored for exactly this prefix; `make` supplies it the first time. */
  getOrAdd(cidr: Cidr, make: () => T): T {
    const root = cidr.address.length === 4 ? this.#v4 : this.#v6;
    if (root === null) {
      const node = this.#leaf(cidr, make);
      this.#setRoot(cidr.address.length, node);
      return node.entry!.value;
    }
    let parent: Node<T> | null = null;
    let node = root;
    for (;;) {
      const shared = Math.min(commonBits(cidr.address, node.key), cidr.length, node.length);
      if (shared < node.length) {
        const added = shared === cidr.length ? this.#leaf(cidr, make) : this.#branch(cidr.address, shared);
        this.#attach(added, node);
        this.#replace(parent, node, added, cidr.address.length);
        if (added.entry !== null) return added.entry.value;
        const leaf = this.#leaf(cidr, make);
        this.#attach(added, leaf);
        return leaf.entry!.value;
      }
      if (node.length === cidr.length) {
        if (node.entry === null) {
          node.entry = { cidr, value: make(), parent: null };
          this.#size++;
          this.#stale = true;
        }
        return node.entry.value;
      }
      const next = bitAt(cidr.address, node.length) === 0 ? node.zero : node.one;
      if (next === null) {
        const leaf = this.#leaf(cidr, make);
        this.#attach(node, leaf);
        return leaf.entry!.value;
      }
      parent = node;
      node = next;
    }
  }

  /** The most specific prefix covering `address`, or null. Wider ones follow by `parent`. */
  longest(address: Address): CidrEntry<T> | null {
    if (this.#stale) this.#link();
    let node = address.length === 4 ? this.#v4 : this.#v6;
    if (node === null) return null;
    const jump = address.length === 4 ? this.#jump4 : this.#jump6;
    if (jump.length > 0) node = jump[(address.charCodeAt(0) << 8) | address.charCodeAt(1)]!;
    const bits = address.length * 8;
    // Walk by branching bits alone and compare once at the end: what diverged higher up is undone by climbing.
    while (node.length < bits) {
      const next: Node<T> | null = bitAt(address, node.length) === 0 ? node.zero : node.one;
      if (next === null) break;
      node = next;
    }
    let entry = node.nearest;
    if (entry === null) return null;
    const shared = commonBits(address, node.key);
    while (entry !== null && entry.cidr.length > shared) entry = entry.parent;
    return entry;
  }

  /** Every prefix that covers `address`, most specific first. */
  *covering(address: Address): Generator<CidrEntry<T>, void> {
    for (let entry = this.longest(address); entry !== null; entry = entry.parent) yield entry;
  }

  /** Every entry, wider before narrower within a branch. */
  *entries(): Generator<CidrEntry<T>, void> {
    if (this.#stale) this.#link();
    const stack = [this.#v6, this.#v4];
    while (stack.length > 0) {
      const node = stack.pop();
      if (node === null || node === undefined) continue;
      if (node.entry !== null) yield node.entry;
      stack.push(node.one, node.zero);
    }
  }

  #leaf(cidr: Cidr, make: () => T): Node<T> {
    this.#size++;
    this.#stale = true;
    const entry = { cidr, value: make(), parent: null };
    return { key: cidr.address, length: cidr.length, entry, nearest: entry, zero: null, one: null };
  }

  #branch(key: Address, length: number): Node<T> {
    return { key, length, entry: null, nearest: null, zero: null, one: null };
  }

  #attach(parent: Node<T>, child: Node<T>): void {
    if (bitAt(child.key, parent.length) === 0) parent.zero = child;
    else parent.one = child;
  }

  #replace(parent: Node<T> | null, old: Node<T>, added: Node<T>, family: number): void {
    if (parent === null) this.#setRoot(family, added);
    else if (parent.zero === old) parent.zero = added;
    else parent.one = added;
  }

  #setRoot(family: number, node: Node<T>): void {
    if (family === 4) this.#v4 = node;
    else this.#v6 = node;
  }

  #link(): void {
    const stack: { node: Node<T>; above: MutableEntry<T> | null }[] = [];
    for (const root of [this.#v4, this.#v6]) if (root !== null) stack.push({ node: root, above: null });
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { node, above } = top;
      if (node.entry !== null) node.entry.parent = above;
      node.nearest = node.entry ?? above;
      if (node.zero !== null) stack.push({ node: node.zero, above: node.nearest });
      if (node.one !== null) stack.push({ node: node.one, above: node.nearest });
    }
    this.#jump4 = this.#size < jumpSize ? [] : jumpTable(this.#v4);
    this.#jump6 = this.#size < jumpSize ? [] : jumpTable(this.#v6);
    this.#stale = false;
  }
}

/** Tables of at least this many prefixes get a first step over 16 bits. */
const jumpSize = 4096;

function jumpTable<T>(root: Node<T> | null): (Node<T> | null)[] {
  if (root === null) return [];
  return Array.from({ length: 65536 }, (_, first) => {
    let node = root;
    while (node.length < 16) {
      const next: Node<T> | null = ((first >> (15 - node.length)) & 1) === 0 ? node.zero : node.one;
      if (next === null || next.length > 16) break;
      node = next;
    }
    return node;
  });
}

function bitAt(address: Address, bit: number): number {
  return (address.charCodeAt(bit >> 3) >> (7 - (bit & 7))) & 1;
}
