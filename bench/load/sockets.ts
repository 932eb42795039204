/**
 * Non-blocking TCP through FFI for the load of a benchmark: a Node socket costs more than the thing measured. IPv4 only.
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
  close: libc.func("int close(int)"),
  setsockopt: libc.func("int setsockopt(int, int, int, const uint8_t*, int)"),
  epollCreate: libc.func("int epoll_create1(int)"),
  epollCtl: libc.func("int epoll_ctl(int, int, int, const uint8_t*)"),
  epollWait: libc.func("int epoll_wait(int, uint8_t*, int, int)"),
};

export const NONBLOCK = 0o4000;
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
