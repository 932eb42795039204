/**
 * Tables that programs in the kernel and we share (bpf(2)), by descriptor: when the last one is closed, the kernel forgets them.
 * Called by the witnesses of this room.
 */
import * as libc from "./libc.ts";

const MAP_CREATE = 0;
const MAP_LOOKUP = 1;
const MAP_UPDATE = 2;
const MAP_DELETE = 3;
const MAP_NEXT = 4;
const ARRAY = 2;
const LRU_HASH = 9;

/** A hash table of the kernel's that forgets what was not used for longest. */
export class LruMap {
  readonly fd: number;
  readonly #entries: number;
  readonly #key: Buffer;
  readonly #value: Buffer;
  readonly #attributes = Buffer.alloc(32);

  /** Sizes in bytes. Throws KernelError. */
  constructor(keySize: number, valueSize: number, entries: number, existing?: number) {
    this.fd = existing ?? created(LRU_HASH, keySize, valueSize, entries);
    this.#entries = entries;
    this.#key = Buffer.alloc(keySize);
    this.#value = Buffer.alloc(valueSize);
    this.#attributes.writeUInt32LE(this.fd, 0);
    this.#attributes.writeBigUInt64LE(libc.addressOf(this.#key), 8);
    this.#attributes.writeBigUInt64LE(libc.addressOf(this.#value), 16);
  }

  /** One that exists. */
  static at(fd: number, keySize: number, valueSize: number, entries: number): LruMap {
    return new LruMap(keySize, valueSize, entries, fd);
  }

  /** The value of the key that `fill` writes, valid until the next look; null where there is none. Throws KernelError. */
  get(fill: (key: Buffer) => void): Buffer | null {
    this.#key.fill(0);
    fill(this.#key);
    const result = libc.bpf(MAP_LOOKUP, this.#attributes);
    if (result === -libc.ENOENT) return null;
    if (result < 0) throw new libc.KernelError("bpf map lookup", -result);
    return this.#value;
  }

  /** Throws KernelError. */
  set(fillKey: (key: Buffer) => void, fillValue: (value: Buffer) => void): void {
    this.#key.fill(0);
    fillKey(this.#key);
    this.#value.fill(0);
    fillValue(this.#value);
    update(this.#attributes);
  }

  /** Throws KernelError. */
  delete(fill: (key: Buffer) => void): void {
    this.#key.fill(0);
    fill(this.#key);
    const gone = Buffer.alloc(32);
    this.#attributes.copy(gone, 0, 0, 16);
    const result = libc.bpf(MAP_DELETE, gone);
    if (result < 0 && result !== -libc.ENOENT) throw new libc.KernelError("bpf map", -result);
  }

  /** Takes everything out; what is written meanwhile may stay for the next time. Throws KernelError. */
  take(): { key: Buffer; value: Buffer }[] {
    const taken: { key: Buffer; value: Buffer }[] = [];
    const next = Buffer.from(this.#attributes);
    next.writeBigUInt64LE(0n, 8);
    next.writeBigUInt64LE(libc.addressOf(this.#key), 16);
    const gone = Buffer.alloc(32);
    this.#attributes.copy(gone, 0, 0, 16);
    // Bounded: others write meanwhile.
    while (taken.length < this.#entries) {
      // Without a key: the first one that is left.
      const result = libc.bpf(MAP_NEXT, next);
      if (result === -libc.ENOENT) return taken;
      if (result < 0) throw new libc.KernelError("bpf map", -result);
      if (libc.bpf(MAP_LOOKUP, this.#attributes) === 0)
        taken.push({ key: Buffer.from(this.#key), value: Buffer.from(this.#value) });
      const deleted = libc.bpf(MAP_DELETE, gone);
      if (deleted < 0 && deleted !== -libc.ENOENT) throw new libc.KernelError("bpf map", -deleted);
    }
    return taken;
  }

  close(): void {
    libc.close(this.fd);
  }
}

/** A fixed number of values, all there from the start. */
export class ArrayMap {
  readonly fd: number;
  readonly #key = Buffer.alloc(4);
  readonly #value: Buffer;
  readonly #attributes = Buffer.alloc(32);

  private constructor(fd: number, valueSize: number) {
    this.fd = fd;
    this.#value = Buffer.alloc(valueSize);
    this.#attributes.writeUInt32LE(fd, 0);
    this.#attributes.writeBigUInt64LE(libc.addressOf(this.#key), 8);
    this.#attributes.writeBigUInt64LE(libc.addressOf(this.#value), 16);
  }

  /** Size in bytes. Throws KernelError. */
  static create(valueSize: number, entries: number): ArrayMap {
    return new ArrayMap(created(ARRAY, 4, valueSize, entries), valueSize);
  }

  /** One that exists. */
  static at(fd: number, valueSize: number): ArrayMap {
    return new ArrayMap(fd, valueSize);
  }

  /** Valid until the next look; what a program writes meanwhile may be in it in part. Throws KernelError. */
  get(index: number): Buffer {
    this.#key.writeUInt32LE(index, 0);
    const result = libc.bpf(MAP_LOOKUP, this.#attributes);
    if (result < 0) throw new libc.KernelError("bpf map lookup", -result);
    return this.#value;
  }

  /** Throws KernelError. */
  set(index: number, fill: (value: Buffer) => void): void {
    this.#key.writeUInt32LE(index, 0);
    this.#value.fill(0);
    fill(this.#value);
    update(this.#attributes);
  }
}

function update(attributes: Buffer): void {
  const result = libc.bpf(MAP_UPDATE, attributes);
  if (result < 0) throw new libc.KernelError("bpf map update", -result);
}

function created(type: number, keySize: number, valueSize: number, entries: number): number {
  const attributes = Buffer.alloc(72);
  [type, keySize, valueSize, entries].forEach((value, i) => attributes.writeUInt32LE(value, i * 4));
  attributes.write("sallyport", 28, "latin1");
  const fd = libc.bpf(MAP_CREATE, attributes);
  if (fd < 0) throw new libc.KernelError("bpf map", -fd);
  return fd;
}
