/**
 * The files that git tracks, from the index of a working copy (gitformat-index(5), versions 2 to 4). Read here and not by git: a
 * repository's configuration names programs for git to run, and whoever asks is root. Pure.
 */
const SIGNATURE = 0x44495243;
const HEADER = 12;
/** Before an entry's flags: times, mode, ids, size, and the object's name (SHA-1 or SHA-256). */
const FIXED = 40;
const EXTENDED = 0x4000;
const MOST_ENTRIES = 1_000_000;

/**
 * Paths relative to the working copy; null where it is no index, or not whole. Submodules and folders of a sparse index have no
 * content of their own here and are left out.
 */
export function pathsInIndex(bytes: Buffer, objectName: 20 | 32 = 20): string[] | null {
  if (bytes.length < HEADER || bytes.readUInt32BE(0) !== SIGNATURE) return null;
  const version = bytes.readUInt32BE(4);
  const count = bytes.readUInt32BE(8);
  if (version < 2 || version > 4 || count > MOST_ENTRIES) return null;
  const paths: string[] = [];
  let at = HEADER;
  let before = Buffer.alloc(0);
  for (let i = 0; i < count; i++) {
    const flagsAt = at + FIXED + objectName;
    if (flagsAt + 2 > bytes.length) return null;
    const mode = bytes.readUInt32BE(at + 24);
    const isExtended = version > 2 && (bytes.readUInt16BE(flagsAt) & EXTENDED) !== 0;
    let from = flagsAt + (isExtended ? 4 : 2);
    let kept = 0;
    if (version === 4) {
      // How much of the path before is not kept: git's variable-length offset.
      const [drop, next] = offsetAt(bytes, from);
      if (drop > before.length) return null;
      kept = before.length - drop;
      from = next;
    }
    const zero = bytes.indexOf(0, from);
    if (zero < 0 || kept + zero - from > 4096) return null;
    const path =
      kept === 0 ? bytes.subarray(from, zero) : Buffer.concat([before.subarray(0, kept), bytes.subarray(from, zero)]);
    before = Buffer.from(path);
    if ((mode & 0o170000) !== 0o160000 && (mode & 0o170000) !== 0o040000) paths.push(path.toString("utf8"));
    // Up to version 3 an entry is padded to a multiple of eight, with at least one zero.
    at = version === 4 ? zero + 1 : at + ((zero - at + 8) & ~7);
  }
  return at <= bytes.length ? paths : null;
}

function offsetAt(bytes: Buffer, start: number): [value: number, next: number] {
  let at = start;
  let byte = bytes[at++] ?? 0;
  let value = byte & 0x7f;
  while ((byte & 0x80) !== 0 && at - start < 5) {
    byte = bytes[at++] ?? 0;
    value = (value + 1) * 128 + (byte & 0x7f);
  }
  return [value, at];
}
