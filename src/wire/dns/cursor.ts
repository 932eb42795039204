/**
 * A bounds-checked place in a message. Reading past `end` or any other defect marks the cursor once and parks it at the
 * end; later reads return zeros, so callers check `defect` when a structure is complete instead of after every octet.
 * Nothing here throws.
 */
import type { DefectKind } from "./types.ts";

export class Cursor {
  readonly bytes: Uint8Array;
  offset: number;
  /** First offset that may not be read; narrowed to a record's data while that is read. */
  end: number;
  defect: DefectKind | null = null;
  /** Where the defect was met. */
  defectOffset = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.offset = 0;
    this.end = bytes.length;
  }

  /** Bytes left before `end`. */
  get left(): number {
    return this.end - this.offset;
  }

  fail(defect: DefectKind): void {
    if (this.defect !== null) return;
    this.defect = defect;
    this.defectOffset = this.offset;
    this.offset = this.end;
  }

  u8(): number {
    if (this.left < 1) {
      this.fail("truncated");
      return 0;
    }
    return this.bytes[this.offset++]!;
  }

  u16(): number {
    if (this.left < 2) {
      this.fail("truncated");
      return 0;
    }
    const value = (this.bytes[this.offset]! << 8) | this.bytes[this.offset + 1]!;
    this.offset += 2;
    return value;
  }

  /** Unsigned. */
  u32(): number {
    const high = this.u16();
    return high * 0x10000 + this.u16();
  }

  /** A copy of the next `length` bytes: records outlive the buffer they came in. */
  take(length: number): Uint8Array {
    if (this.left < length) {
      this.fail("truncated");
      return new Uint8Array(0);
    }
    const out = new Uint8Array(length);
    out.set(this.bytes.subarray(this.offset, this.offset + length));
    this.offset += length;
    return out;
  }
}
