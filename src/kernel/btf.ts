/**
 * The kernel's description of its own types (BTF, Documentation/bpf/btf.rst): where a member lies in a structure, which differs
 * from kernel to kernel. Called by `offsets.ts`, and by whoever looks it up for another process.
 */
import { readFileSync } from "node:fs";

export const kernelTypes = "/sys/kernel/btf/vmlinux";
const MAGIC = 0xeb9f;
const HEADER = 24;
const STRUCT = 4;
const TYPE = 12;
const MEMBER = 12;
/** Bytes behind a type by its kind, once or for each of its parts. */
const ONCE: Readonly<Record<number, number>> = { 1: 4, 3: 12, 14: 4, 17: 4 };
const EACH: Readonly<Record<number, number>> = { 4: MEMBER, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12 };
const LAST_KIND = 19;

/**
 * Offsets in bytes of `structure.member`s; those that there are not, or that begin inside a byte, are missing. Looks through all
 * types once, some ten milliseconds for a kernel. What is cut off or of an unknown kind ends the search.
 */
export function offsetsInBtf(bytes: Buffer, wanted: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  if (bytes.length < HEADER || bytes.readUInt16LE(0) !== MAGIC) return found;
  const header = bytes.readUInt32LE(4);
  const end = Math.min(bytes.length, header + bytes.readUInt32LE(8) + bytes.readUInt32LE(12));
  const strings = header + bytes.readUInt32LE(16);
  const text = bytes.subarray(strings, Math.min(bytes.length, strings + bytes.readUInt32LE(20)));
  // Every name is there once, so numbers can be compared.
  const placeOf = (name: string): number => text.indexOf(`\0${name}\0`, 0, "latin1") + 1;
  const pairs = wanted.map((name) => {
    const [structure = "", member = ""] = name.split(".");
    return { name, structure: placeOf(structure), member: placeOf(member) };
  });
  const structures = new Set(pairs.map(({ structure }) => structure));
  for (let at = header + bytes.readUInt32LE(8); at + TYPE <= end;) {
    const info = bytes.readUInt32LE(at + 4);
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind > LAST_KIND) break;
    const next = at + TYPE + (ONCE[kind] ?? 0) + (EACH[kind] ?? 0) * (info & 0xffff);
    if (next > end) break;
    const name = bytes.readUInt32LE(at);
    const isWanted = kind === STRUCT && name !== 0 && structures.has(name);
    const members = isWanted ? next : at;
    for (let part = at + TYPE; part < members; part += MEMBER) {
      const memberName = bytes.readUInt32LE(part);
      const member = pairs.find((each) => each.structure === name && each.member === memberName && memberName !== 0);
      // The upper bits are the size of a bit field, where the structure has any.
      const word = bytes.readUInt32LE(part + 8);
      const bits = info >>> 31 === 1 ? word & 0xffffff : word;
      if (member !== undefined && bits % 8 === 0) found.set(member.name, bits / 8);
    }
    at = next;
  }
  return found;
}

/** Offsets in bytes, by `structure.member`. */
export type KnownOffsets = Readonly<Record<string, number>>;

/** Those of the kernel that runs; what it does not tell of is missing, and all of it where it tells nothing. */
export function knownOffsets(wanted: readonly string[]): KnownOffsets {
  try {
    return Object.fromEntries(offsetsInBtf(readFileSync(kernelTypes), wanted));
  } catch {
    return {};
  }
}
