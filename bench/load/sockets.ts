/**
 * Sockets through FFI for the load of benchmarks and of the tests under pressure: a Node socket costs more than the thing
 * measured. Non-blocking TCP (IPv4 only), and whole IP packets in bursts.
 */
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const f = {
  socket: libc.func("int socket(int, int, int)"),
  connect: libc.func("int connect(int, const uint8_t*, int)"),
  bind: libc.func("int bind(int, const uint8_t*, int)"),
  listen: libc.func("int listen(int, int)"),
  accept4: libc.func("int accept4(int, void*, void*, int)"),
  send: libc.func("int64_t send(int, const uint8_t*, size_t, int)"),
  recv: libc.func("int64_t recv(int, uint8_t*, size_t, int)"),
  sendmmsg: libc.func("int sendmmsg(int, void*, unsigned int, int)"),
  close: libc.func("int close(int)"),
  setsockopt: libc.func("int setsockopt(int, int, int, const uint8_t*, int)"),
  epollCreate: libc.func("int epoll_create1(int)"),
  epollCtl: libc.func("int epoll_ctl(int, int, int, const uint8_t*)"),
  epollWait: libc.func("int epoll_wait(int, uint8_t*, int, int)"),
};

export const NONBLOCK = 0o4000;
const MSG_TRUNC = 0x20;
const none = Buffer.alloc(0);
const MSG_NOSIGNAL = 0x4000;
const one = Buffer.from([1, 0, 0, 0]);
/** Linger on with zero seconds: close sends RST, so that no port waits in TIME_WAIT. */
const abort = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

export function address(ip: string, port: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(2, 0);
  bytes.writeUInt16BE(port, 2);
  ip.split(".").forEach((part, i) => bytes.writeUInt8(Number(part), 4 + i));
  return bytes;
}

export function socket(flags: number): number {
  return f.socket(2, 1 | flags, 0);
}

export function connect(fd: number, to: Buffer): number {
  return f.connect(fd, to, 16);
}

export function listen(port: number): number {
  const fd = f.socket(2, 1 | NONBLOCK, 0);
  f.setsockopt(fd, 1, 2, one, 4);
  if (f.bind(fd, address("0.0.0.0", port), 16) !== 0) throw new Error(`bind ${port}`);
  f.listen(fd, 4096);
  return fd;
}

export const accept = (fd: number): number => f.accept4(fd, null, null, NONBLOCK);
export const send = (fd: number, bytes: Buffer): number => Number(f.send(fd, bytes, bytes.length, MSG_NOSIGNAL));
export const recv = (fd: number, bytes: Buffer): number => Number(f.recv(fd, bytes, bytes.length, 0));
/** Throws away up to a megabyte of what has arrived, uncopied (MSG_TRUNC, tcp(7)); returns how much it was. */
export const discard = (fd: number): number => Number(f.recv(fd, none, 1 << 20, MSG_TRUNC));
export const close = (fd: number): void => void f.close(fd);
export const closeAbruptly = (fd: number): void => {
  f.setsockopt(fd, 1, 13, abort, 8);
  f.close(fd);
};

/** epoll, level-triggered. */
export class Poller {
  readonly #fd: number = f.epollCreate(0);
  readonly #event = Buffer.alloc(12);
  readonly #events = Buffer.alloc(12 * 256);

  add(fd: number, events: number): void {
    this.#control(1, fd, events);
  }

  change(fd: number, events: number): void {
    this.#control(3, fd, events);
  }

  /** Calls `ready` for each ready descriptor; returns how many there were. */
  wait(timeout: number, ready: (fd: number, events: number) => void): number {
    const count = f.epollWait(this.#fd, this.#events, 256, timeout) as number;
    // Copied first: `ready` may close descriptors that the kernel hands out again at once.
    const list: [number, number][] = [];
    for (let i = 0; i < count; i++)
      list.push([this.#events.readInt32LE(i * 12 + 4), this.#events.readUInt32LE(i * 12)]);
    for (const [fd, events] of list) ready(fd, events);
    return count;
  }

  #control(operation: number, fd: number, events: number): void {
    this.#event.writeUInt32LE(events, 0);
    this.#event.writeInt32LE(fd, 4);
    f.epollCtl(this.#fd, operation, fd, this.#event);
  }
}

export const IN = 1;
export const OUT = 4;

const MMSGHDR = 64;

/** A raw socket and a burst of equally long packets for it, sent with one system call. The kernel fills in IPv4 header checksums. */
export class RawBurst {
  readonly slots: number;
  /** Slot `i` begins at `i * length`. */
  readonly bytes: Buffer;
  readonly #fd: number;
  readonly #headers: Buffer;
  readonly #vectors: Buffer;

  /** `route`: the bytes of an address by whose route all of them leave, whatever destination they bear. */
  constructor(route: Uint8Array, slots: number, length: number) {
    const isV4 = route.length === 4;
    const name = Buffer.alloc(isV4 ? 16 : 28);
    name.writeUInt16LE(isV4 ? 2 : 10, 0);
    name.set(route, isV4 ? 4 : 8);
    this.#fd = f.socket(isV4 ? 2 : 10, 3, 255);
    f.setsockopt(this.#fd, isV4 ? 0 : 41, isV4 ? 3 : 36, one, 4);
    if (this.#fd < 0 || f.connect(this.#fd, name, name.length) !== 0) throw new Error("no raw socket");
    this.slots = slots;
    this.bytes = Buffer.alloc(slots * length);
    this.#headers = Buffer.alloc(slots * MMSGHDR);
    this.#vectors = Buffer.alloc(slots * 16);
    for (let i = 0; i < slots; i++) {
      this.#vectors.writeBigUInt64LE(koffi.address(this.bytes) + BigInt(i * length), i * 16);
      this.#vectors.writeBigUInt64LE(BigInt(length), i * 16 + 8);
      this.#headers.writeBigUInt64LE(koffi.address(this.#vectors) + BigInt(i * 16), i * MMSGHDR + 16);
      this.#headers.writeBigUInt64LE(1n, i * MMSGHDR + 24);
    }
  }

  /** Sends the first `count` slots; returns how many the kernel took. */
  send(count: number): number {
    return Math.max(0, f.sendmmsg(this.#fd, this.#headers, count, 0));
  }
}
