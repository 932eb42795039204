/**
 * The kernel's description of its own types (BTF, Documentation/bpf/btf.rst): where a member lies in a structure, which differs
 * from kernel to kernel. Called by `offsets.ts`, and by whoever looks it up for another process.
 */
import { readFileSync } from "node:fs";

export const kernelTypes = "/sys/kernel/btf/vmlinux";
const MAGIC = 0xeb9f;
const HEADER = 24;
const STRUCT = 4;
/** In words of four bytes. */
const TYPE = 3;
const MEMBER = 3;
/** Words behind a type by its kind, once or for each of its parts. */
const ONCE = [0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0];
const EACH = [0, 0, 0, 0, MEMBER, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3];
const LAST_KIND = 19;

/**
 * Offsets in bytes of `structure.member`s; those that there are not, or that begin inside a byte, are missing. Looks through all
 * types once, some ten milliseconds for a kernel. What is cut off or of an unknown kind ends the search.
 */
export function offsetsInBtf(bytes: Buffer, wanted: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  if (bytes.length < HEADER || bytes.readUInt16LE(0) !== MAGIC) return found;
  const header = bytes.readUInt32LE(4);
  if (header % 4 !== 0 || bytes.readUInt32LE(8) % 4 !== 0) return found;
  const end = Math.min(bytes.length, header + bytes.readUInt32LE(8) + bytes.readUInt32LE(12));
  const strings = header + bytes.readUInt32LE(16);
  const text = bytes.subarray(strings, Math.min(bytes.length, strings + bytes.readUInt32LE(20)));
  // Every name is there once, so numbers can be compared. Only structures are looked for in all the text, each once.
  const structures = new Map<number, Map<string, string>>();
  for (const [structure, members] of Map.groupBy(wanted, (name) => name.slice(0, name.indexOf(".")))) {
    const place = text.indexOf(`\0${structure}\0`, 0, "latin1") + 1;
    if (place > 0) structures.set(place, new Map(members.map((name) => [name.slice(structure.length + 1), name])));
  }
  // By words: a kernel has a hundred thousand types, and all is a multiple of four bytes (btf.rst).
  const words = wordsOf(bytes);
  const last = end / 4;
  for (let at = (header + bytes.readUInt32LE(8)) / 4; at + TYPE <= last;) {
    const info = words[at + 1]!;
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind > LAST_KIND) break;
    const next = at + TYPE + ONCE[kind]! + EACH[kind]! * (info & 0xffff);
    if (next > last) break;
    const name = words[at]!;
    const members = kind === STRUCT && name !== 0 ? structures.get(name) : undefined;
    for (let part = at + TYPE; members !== undefined && part < next; part += MEMBER) {
      const member = members.get(nameAt(text, words[part]!));
      // The upper bits are the size of a bit field, where the structure has any.
      const word = words[part + 2]!;
      const bits = info >>> 31 === 1 ? word & 0xffffff : word;
      if (member !== undefined && bits % 8 === 0) found.set(member, bits / 8);
    }
    at = next;
  }
  return found;
}

/** Little-endian, as the machines that this runs on are (`libc.ts`); what is left behind the last whole word is no type. */
function wordsOf(bytes: Buffer): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : Buffer.from(new Uint8Array(bytes).buffer);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, Math.floor(aligned.length / 4));
}

/** Empty where there is none. */
function nameAt(text: Buffer, place: number): string {
  const end = text.indexOf(0, place);
  return end < 0 ? "" : text.toString("latin1", place, end);
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
