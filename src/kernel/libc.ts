/**
 * The C library by FFI; besides `spawn.ts` the only file of the project that imports koffi. Thin, typed wrappers of the system calls the
 * kernel room needs; no policy, no parsing. Called by the other files of this room only.
 *
 * Structures are written by hand into Buffers for LP64 little-endian Linux (x86_64 and arm64 share these layouts and
 * constants). A structure holds raw addresses that no garbage collector sees: whoever builds one keeps the Buffers it
 * points to in a field for as long as the structure is used, or the kernel writes into freed memory.
 */
import { endianness, constants } from "node:os";
import koffi from "koffi";

const library = koffi.load(null);

const native = {
  socket: library.func("int socket(int, int, int)"),
  bind: library.func("int bind(int, const void *, uint32_t)"),
  connect: library.func("int connect(int, const void *, uint32_t)"),
  listen: library.func("int listen(int, int)"),
  getsockname: library.func("int getsockname(int, void *, void *)"),
  send: library.func("intptr_t send(int, const void *, size_t, int)"),
  sendto: library.func("intptr_t sendto(int, const void *, size_t, int, const void *, uint32_t)"),
  recv: library.func("intptr_t recv(int, void *, size_t, int)"),
  recvfrom: library.func("intptr_t recvfrom(int, void *, size_t, int, void *, void *)"),
  recvmmsg: library.func("int recvmmsg(int, void *, uint32_t, int, void *)"),
  sendmmsg: library.func("int sendmmsg(int, void *, uint32_t, int)"),
  indexToName: library.func("const char *if_indextoname(uint32_t, void *)"),
  poll: library.func("int poll(void *, unsigned long, int)"),
  setsockopt: library.func("int setsockopt(int, int, int, const void *, uint32_t)"),
  getsockopt: library.func("int getsockopt(int, int, int, void *, void *)"),
  eventfd: library.func("int eventfd(uint32_t, int)"),
  read: library.func("intptr_t read(int, void *, size_t)"),
  write: library.func("intptr_t write(int, const void *, size_t)"),
  setns: library.func("int setns(int, int)"),
  unshare: library.func("int unshare(int)"),
  close: library.func("int close(int)"),
  fcntl: library.func("int fcntl(int, int, int)"),
  fanotifyInit: library.func("int fanotify_init(uint32_t, uint32_t)"),
  fanotifyMark: library.func("int fanotify_mark(int, uint32_t, uint64_t, int, str)"),
  mount: library.func("int mount(str, str, str, unsigned long, void *)"),
  umount: library.func("int umount2(str, int)"),
  nameToHandle: library.func("int name_to_handle_at(int, str, void *, void *, int)"),
  syscall: library.func("long syscall(long, long, void *, long)"),
};

if (endianness() !== "LE" || (process.arch !== "x64" && process.arch !== "arm64")) {
  throw new Error(`no structure layouts for ${process.arch}`);
}

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_DONTWAIT = 0x40;
export const MSG_TRUNC = 0x20;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_RCVTIMEO = 20;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_MARK = 36;
const SO_NETNS_COOKIE = 71;
export const SOL_PACKET = 263;
export const PACKET_STATISTICS = 6;
export const SOL_IP = 0;
export const SOL_IPV6 = 41;
export const IP_HDRINCL = 3;
export const IPV6_HDRINCL = 36;
export const IPV6_V6ONLY = 26;
export const IPPROTO_RAW = 255;
export const POLLIN = 0x1;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
const IF_NAMESIZE = 16;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
export const CLONE_NEWNET = 0x40000000;

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_REMOUNT = 32;
export const MS_BIND = 4096;
const MNT_DETACH = 2;

/** errno values that callers of the `-errno` functions compare with. */
export const { EPERM, ENOENT, EINTR, EAGAIN, EBUSY, EEXIST, ENOBUFS, EMSGSIZE } = constants.errno;

const errnoNames = new Map<number, string>();
for (const [name, value] of Object.entries(constants.errno)) {
  if (!errnoNames.has(value)) errnoNames.set(value, name);
}

/** The symbolic name of an errno value, for example `ENOBUFS`. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

/** A system call or netlink request the kernel refused. `code` is the errno's name. */
export class KernelError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly call: string;

  constructor(call: string, errno: number, detail = "") {
    const code = errnoName(errno);
    super(`${call}: ${code}${detail === "" ? "" : ` (${detail})`}`);
    this.name = "KernelError";
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

/** The result, or throws. The first statement after every call: anything in between may change errno. */
function checked(result: number, call: string): number {
  if (result < 0) throw new KernelError(call, koffi.errno());
  return result;
}

/** The result, or `-errno`, for calls whose failure is a normal event. */
function orErrno(result: number): number {
  return result < 0 ? -koffi.errno() : result;
}

export function mount(source: string | null, target: string, flags: number): void {
  checked(native.mount(source, target, null, flags, null), "mount");
}

export function unmount(target: string): void {
  checked(native.umount(target, MNT_DETACH), "umount");
}

/** The address of a Buffer's first byte, to be written into a structure. The caller keeps the Buffer alive. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}

/** A new close-on-exec socket's descriptor. */
export function socket(domain: number, type: number, protocol: number): number {
  return checked(native.socket(domain, type | SOCK_CLOEXEC, protocol), "socket");
}

/** No program started from now on gets this descriptor. One that is not open is no error. */
export function closeOnExec(fd: number): void {
  native.fcntl(fd, F_SETFD, FD_CLOEXEC);
}

export function bind(fd: number, socketAddress: Uint8Array): void {
  checked(native.bind(fd, socketAddress, socketAddress.length), "bind");
}

/** `-errno` where it fails; `EINPROGRESS` is normal on a non-blocking stream socket. */
export function connect(fd: number, socketAddress: Uint8Array): number {
  return orErrno(native.connect(fd, socketAddress, socketAddress.length));
}

export function listen(fd: number, backlog: number): void {
  checked(native.listen(fd, backlog), "listen");
}

/** The bound address as raw `sockaddr` bytes. */
export function getsockname(fd: number): Buffer {
  const bytes = Buffer.alloc(128);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(bytes.length);
  checked(native.getsockname(fd, bytes, size), "getsockname");
  return bytes.subarray(0, Math.min(size.readUInt32LE(), bytes.length));
}

/** Bytes sent, or `-errno`. */
export function send(fd: number, bytes: Uint8Array, length: number, flags: number): number {
  return orErrno(native.send(fd, bytes, length, flags));
}

/** Bytes sent, or `-errno`. */
export function sendto(fd: number, bytes: Uint8Array, length: number, flags: number, to: Uint8Array): number {
  return orErrno(native.sendto(fd, bytes, length, flags, to, to.length));
}

/** Bytes received, or `-errno`. */
export function recv(fd: number, bytes: Uint8Array, flags: number): number {
  return orErrno(native.recv(fd, bytes, bytes.length, flags));
}

/** Like {@link recv}; the sender's `sockaddr` is written to `from` and its length to the u32 in `fromLength`. */
export function recvfrom(fd: number, bytes: Uint8Array, flags: number, from: Uint8Array, fromLength: Buffer): number {
  fromLength.writeUInt32LE(from.length, 0);
  return orErrno(native.recvfrom(fd, bytes, bytes.length, flags, from, fromLength));
}

/** Messages received into an array of `struct mmsghdr` (see {@link MessageVector}), or `-errno`. Never blocks. */
export function recvmmsg(fd: number, vector: Uint8Array, count: number): number {
  return orErrno(native.recvmmsg(fd, vector, count, MSG_DONTWAIT, null));
}

/** Messages sent of an array of `struct mmsghdr`, or `-errno` of the first; what stands behind one that fails is not tried. Never blocks. */
export function sendmmsg(fd: number, vector: Uint8Array, count: number): number {
  return orErrno(native.sendmmsg(fd, vector, count, MSG_DONTWAIT));
}

/** The name of an interface of this thread's network namespace; null where it has none of that number. */
export function interfaceName(index: number): string | null {
  return native.indexToName(index, Buffer.alloc(IF_NAMESIZE));
}

/** Ready descriptors in an array of `struct pollfd`, or `-errno`. Blocks this thread for up to `timeout` ms. */
export function poll(set: Uint8Array, count: number, timeout: number): number {
  return orErrno(native.poll(set, count, timeout));
}

/** Sets an option to an int, or to the bytes of a structure. */
export function setsockopt(fd: number, level: number, option: number, value: number | Uint8Array): void {
  const bytes = typeof value === "number" ? Buffer.alloc(4) : value;
  if (typeof value === "number") (bytes as Buffer).writeInt32LE(value);
  checked(native.setsockopt(fd, level, option, bytes, bytes.length), `setsockopt ${level}/${option}`);
}

/** An option that is an int. */
export function getsockopt(fd: number, level: number, option: number): number {
  const bytes = Buffer.alloc(4);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(4);
  checked(native.getsockopt(fd, level, option, bytes, size), `getsockopt ${level}/${option}`);
  return bytes.readInt32LE();
}

/** An option that is a structure of `size` bytes. */
export function getsockoptBytes(fd: number, level: number, option: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(size);
  checked(native.getsockopt(fd, level, option, bytes, length), `getsockopt ${level}/${option}`);
  return bytes;
}

/**
 * A number that no other network namespace of this boot has or had (its inode number may come again): of the calling
 * thread's namespace, or null on kernels before 5.14.
 */
export function networkCookie(): bigint | null {
  const fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  const bytes = Buffer.alloc(8);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(8);
  const result = native.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, bytes, size);
  native.close(fd);
  return result < 0 ? null : bytes.readBigUInt64LE();
}

/** A non-blocking, close-on-exec event counter. */
export function eventfd(): number {
  return checked(native.eventfd(0, SOCK_NONBLOCK | SOCK_CLOEXEC), "eventfd");
}

/** Bytes read, or `-errno`. */
export function read(fd: number, bytes: Uint8Array): number {
  return orErrno(native.read(fd, bytes, bytes.length));
}

/** Bytes written, or `-errno`. */
export function write(fd: number, bytes: Uint8Array): number {
  return orErrno(native.write(fd, bytes, bytes.length));
}

/** Moves this thread, and only it, into the namespace behind `fd`. */
export function setns(fd: number, kind: number): void {
  checked(native.setns(fd, kind), "setns");
}

/** Moves this thread, and only it, into new namespaces. */
export function unshare(flags: number): void {
  checked(native.unshare(flags), "unshare");
}

const AT_FDCWD = -100;
/** FAN_MARK_ADD; a folder itself (ONLYDIR), never where a link leads (DONT_FOLLOW). */
const MARK_FOLDER = 0x1 | 0x4 | 0x8;

/** A new group that tells of folders and names, non-blocking, with room for all events (FAN_UNLIMITED, FAN_REPORT_DFID_NAME). */
export function fanotifyInit(): number {
  return checked(native.fanotifyInit(0x1 | 0x2 | 0x10 | 0x20 | 0xc00, 0), "fanotify_init");
}

/** Marks a folder; 0 or `-errno`. */
export function fanotifyMark(fd: number, mask: number, folder: string): number {
  return orErrno(native.fanotifyMark(fd, MARK_FOLDER, mask, AT_FDCWD, folder));
}

/** A folder's `struct file_handle` as the file system names it, latin-1; null where it cannot. */
export function handleOf(folder: string): string | null {
  const bytes = Buffer.alloc(8 + 128);
  bytes.writeUInt32LE(128);
  if (native.nameToHandle(AT_FDCWD, folder, bytes, Buffer.alloc(4), 0) < 0) return null;
  return bytes.toString("latin1", 0, 8 + bytes.readUInt32LE());
}

const SYS_BPF = process.arch === "x64" ? 321 : 280;

/** bpf(2): the result, or `-errno`. `attributes` is its `union bpf_attr`, whose pointers the caller keeps alive. */
export function bpf(command: number, attributes: Uint8Array): number {
  return orErrno(native.syscall(SYS_BPF, command, attributes, attributes.length));
}

/** Closes a descriptor that came from this file (Node counts the ones its own `fs` opened). */
export function close(fd: number): void {
  checked(native.close(fd), "close");
}
