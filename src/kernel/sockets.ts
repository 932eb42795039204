/**
 * Bound and connected sockets made by FFI in the calling thread's network namespace, for Node to adopt by descriptor:
 * `dgram.createSocket("udp4").bind({ fd })`, `net.createServer().listen({ fd })`, `new net.Socket({ fd })`. Node itself
 * cannot make a socket in another namespace; with `inNamespace` around these functions it can use one.
 * Called by the DNS firewall and by the places it stands in.
 */
import { type Address, addressFromBytes, family, formatAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";
import * as libc from "./libc.ts";

export interface Endpoint {
  address: Address;
  port: number;
}

/** `sockaddr_in` or `sockaddr_in6` of an endpoint. `scope` is the interface index of a link-local address. */
export function socketAddress(address: Address, port: number, scope = 0): Buffer {
  const v4 = address.length === 4;
  const bytes = Buffer.alloc(v4 ? 16 : 28);
  bytes.writeUInt16LE(v4 ? libc.AF_INET : libc.AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  const at = v4 ? 4 : 8;
  for (let i = 0; i < address.length; i++) bytes[at + i] = address.charCodeAt(i);
  if (!v4) bytes.writeUInt32LE(scope, 24);
  return bytes;
}

/** The address and port a socket is bound to. */
export function boundTo(fd: number): Endpoint {
  const bytes = libc.getsockname(fd);
  const v4 = bytes.readUInt16LE(0) === libc.AF_INET;
  return { address: addressFromBytes(bytes, v4 ? 4 : 8, v4 ? 4 : 16), port: bytes.readUInt16BE(2) };
}

/** The wildcard address of a family. */
export function anyAddress(of: 4 | 6): Address {
  return "\0".repeat(of === 4 ? 4 : 16) as Address;
}

export interface ListenOptions {
  /** Interface index, for a link-local address. */
  scope?: number;
}

/**
 * A UDP socket bound to `address` and `port` (0: any free one); an IPv6 one takes IPv6 only. The descriptor is the
 * caller's to adopt or close. Throws SallyportError PORT_IN_USE, or KernelError.
 */
export function listenUdp(address: Address, port: number, options: ListenOptions = {}): number {
  return bound(libc.SOCK_DGRAM, address, port, options);
}

/** A listening TCP socket, like {@link listenUdp}. */
export function listenTcp(address: Address, port: number, options: ListenOptions & { backlog?: number } = {}): number {
  const fd = bound(libc.SOCK_STREAM, address, port, options);
  try {
    libc.listen(fd, options.backlog ?? 511);
  } catch (error) {
    libc.close(fd);
    throw inUse(error, address, port);
  }
  return fd;
}

/**
 * A non-blocking TCP socket whose connection attempt was started. Adopt it with `new net.Socket({ fd })` once it is
 * writable, or close it. Throws KernelError where the attempt fails at once.
 */
export function connectTcp(address: Address, port: number, options: ListenOptions = {}): number {
  const fd = open(libc.SOCK_STREAM | libc.SOCK_NONBLOCK, address);
  const result = libc.connect(fd, socketAddress(address, port, options.scope));
  if (result < 0) {
    const error = new libc.KernelError("connect", -result, `${formatAddress(address)} port ${port}`);
    if (error.code === "EINPROGRESS") return fd;
    libc.close(fd);
    throw error;
  }
  return fd;
}

function open(type: number, address: Address): number {
  const fd = libc.socket(family(address) === 4 ? libc.AF_INET : libc.AF_INET6, type, 0);
  if (address.length === 16) libc.setsockopt(fd, libc.SOL_IPV6, libc.IPV6_V6ONLY, 1);
  return fd;
}

function bound(type: number, address: Address, port: number, options: ListenOptions): number {
  const fd = open(type, address);
  try {
    // For TCP this only skips TIME_WAIT; for UDP it would let two programs share the port and hide that it is in use.
    if (type === libc.SOCK_STREAM) libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEADDR, 1);
    libc.bind(fd, socketAddress(address, port, options.scope));
    return fd;
  } catch (error) {
    libc.close(fd);
    throw inUse(error, address, port);
  }
}

function inUse(error: unknown, address: Address, port: number): unknown {
  if (!(error instanceof libc.KernelError) || error.code !== "EADDRINUSE") return error;
  const text = `Port ${port} of ${formatAddress(address)} is in use.`;
  return new SallyportError("PORT_IN_USE", text, { address: formatAddress(address), port }, error);
}
