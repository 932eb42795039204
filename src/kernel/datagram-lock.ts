/**
 * Holds a UDP flow to the socket that it was judged for: a small program where packets leave a cgroup, behind all rules, compares each
 * datagram's socket with the one that its addresses and ports belong to. Another socket with the same (the port is free again, or
 * shared by SO_REUSEPORT; a raw socket) would else inherit the kernel's verdict, which is one for addresses and ports. Called by the data path.
 *
 * Datagrams between other addresses pass, and so do those of sockets in a network where addresses are translated before they leave
 * it. Linux 5.7. Root can detach it.
 */
import type { Address } from "../address/ip.ts";
import { addressFromBytes } from "../address/ip.ts";
import { ArrayMap, LruMap } from "./bpf-maps.ts";
import { Assembler, attach, helpers, unifiedCgroup, withFolder } from "./ebpf.ts";
import * as libc from "./libc.ts";

/** A datagram flow as its sender knows it. */
export interface DatagramFlow {
  /** 17, or 136 for UDP-Lite. */
  protocol: number;
  source: Address;
  sourcePort: number;
  destination: Address;
  destinationPort: number;
}

const FLOWS = 65_536;
const CHANGED = 1_024;
/** Source, destination (IPv4 as ::ffff:…), the ports and the protocol in network order. */
const KEY = { source: 0, destination: 16, ports: 32, protocol: 36, size: 40 } as const;
/** The programs' frame: the key, the strictness' index, and what is read of a header. */
const FRAME = { key: -40, index: -48, head: -56, cookie: -64 } as const;

const CGROUP_SKB = 8;
const EGRESS = 1;
const PASS = 1;
const DROP = 0;
const UDP = 17;
const UDP_LITE = 136;
/** Headers of IPv6 that may stand before UDP, each with its length in its second byte; and how many of them are followed. */
const EXTENSIONS = [0, 43, 60];
const MOST_EXTENSIONS = 4;

export class DatagramLock {
  readonly #flows: LruMap;
  readonly #changed: LruMap;
  readonly #strict: ArrayMap;
  readonly #held: readonly number[];

  private constructor(flows: LruMap, changed: LruMap, strict: ArrayMap, held: readonly number[]) {
    this.#flows = flows;
    this.#changed = changed;
    this.#strict = strict;
    this.#held = held;
  }

  /** For every process of the machine, in whichever network namespace. Throws KernelError, with ENOENT without a unified hierarchy. */
  static attach(cgroup = unifiedCgroup(), mostFlows = FLOWS): DatagramLock {
    if (cgroup === null) throw new libc.KernelError("bpf", libc.ENOENT, "no unified cgroup hierarchy is mounted");
    const held: number[] = [];
    try {
      const flows = new LruMap(KEY.size, 8, mostFlows);
      held.push(flows.fd);
      const changed = new LruMap(KEY.size, 8, CHANGED);
      held.push(changed.fd);
      const strict = ArrayMap.create(8, 1);
      held.push(strict.fd);
      const code = program(flows.fd, changed.fd, strict.fd);
      held.push(...withFolder(cgroup, (fd) => attach({ type: CGROUP_SKB, attach: EGRESS }, code, fd)));
      return new DatagramLock(flows, changed, strict, held);
    } catch (error) {
      for (const fd of held) libc.close(fd);
      throw error;
    }
  }

  /** Why this kernel has none; null where it has. Throws what is no matter of the kernel's. */
  static refused(): string | null {
    try {
      DatagramLock.attach(unifiedCgroup(), 1).close();
      return null;
    } catch (error) {
      if (error instanceof libc.KernelError) return error.message;
      throw error;
    }
  }

  /** Whether another socket's datagrams are dropped (EPERM for who sends them), or only told. Not at first. */
  setStrict(strict: boolean): void {
    this.#strict.set(0, (value) => value.writeUInt32LE(strict ? 1 : 0));
  }

  /** From now on `flow` is this socket's, or where that is not known (null) the one's whose datagram leaves next. */
  hold(flow: DatagramFlow, cookie: bigint | null): void {
    this.#flows.set(
      (key) => writeKey(key, flow),
      (value) => value.writeBigUInt64LE(cookie ?? 0n),
    );
  }

  /** It is nobody's. */
  release(flow: DatagramFlow): void {
    this.#flows.delete((key) => writeKey(key, flow));
  }

  /** Flows that another socket sent on since the last call. */
  changed(): DatagramFlow[] {
    return this.#changed.take().map(({ key }) => ({
      protocol: key.readUInt8(KEY.protocol),
      source: plain(key, KEY.source),
      sourcePort: key.readUInt16BE(KEY.ports),
      destination: plain(key, KEY.destination),
      destinationPort: key.readUInt16BE(KEY.ports + 2),
    }));
  }

  close(): void {
    for (const fd of this.#held) libc.close(fd);
  }
}

const mapped = Buffer.from("00000000000000000000ffff", "hex");

function writeKey(key: Buffer, { protocol, source, sourcePort, destination, destinationPort }: DatagramFlow): void {
  for (const [at, address] of [
    [KEY.source, source],
    [KEY.destination, destination],
  ] as const) {
    if (address.length === 4) mapped.copy(key, at);
    key.write(address, address.length === 4 ? at + mapped.length : at, "latin1");
  }
  key.writeUInt16BE(sourcePort, KEY.ports);
  key.writeUInt16BE(destinationPort, KEY.ports + 2);
  key.writeUInt8(protocol, KEY.protocol);
}

function plain(key: Buffer, at: number): Address {
  const isV4 = key.subarray(at, at + mapped.length).equals(mapped);
  return isV4 ? addressFromBytes(key, at + mapped.length, 4) : addressFromBytes(key, at, 16);
}

/** r6: the packet, which begins with its IP header; r7: where the next header is; r8: which protocol that is. */
function program(flows: number, changed: number, strict: number): Buffer {
  const code = new Assembler().move(6, 1);
  for (let at = 0; at < KEY.size; at += 8) code.storeValue("u64", FRAME.key + at, 0);
  load(code.set(7, 0), 1, "out");
  byte(code, 1, 0).move(7, 1).and(7, 0x0f).shiftLeft(7, 2).shiftRight(1, 4);
  code.ifValue(1, "=", 4, "v4").ifValue(1, "=", 6, "v6").jump("out");

  code.label("v4");
  part(code, 9, 1, FRAME.head);
  byte(code, 8, 0);
  for (const [from, to] of [
    [12, KEY.source],
    [16, KEY.destination],
  ] as const) {
    code.storeValue("u32", FRAME.key + to + 8, 0xffff0000);
    part(code, from, 4, FRAME.key + to + 12);
  }
  code.jump("ports");

  code.label("v6");
  part(code, 6, 1, FRAME.head);
  byte(code, 8, 0);
  part(code, 8, 16, FRAME.key + KEY.source);
  part(code, 24, 16, FRAME.key + KEY.destination);
  code.set(7, 40);
  for (let i = 0; i < MOST_EXTENSIONS; i++) {
    for (const each of EXTENSIONS) code.ifValue(8, "=", each, `extension ${i}`);
    code.jump("ports").label(`extension ${i}`);
    load(code, 2, "out");
    byte(code, 8, 0);
    byte(code, 1, 1).add(1, 1).shiftLeft(1, 3).addRegister(7, 1);
  }

  code.label("ports").ifValue(8, "=", UDP, "udp").ifValue(8, "=", UDP_LITE, "udp").jump("out").label("udp");
  code
    .move(1, 6)
    .move(2, 7)
    .frameAddress(3, FRAME.key + KEY.ports)
    .set(4, 4)
    .call(helpers.loadBytes);
  code.ifValue(0, "!=", 0, "out").store("u32", FRAME.key + KEY.protocol, 8);
  code.map(1, flows).frameAddress(2, FRAME.key).call(helpers.lookup).ifValue(0, "=", 0, "out");
  code.move(9, 0).load("u64", 7, 9, 0).move(1, 6).call(helpers.socketCookie).ifSame(0, 7, "out");
  code.ifValue(7, "!=", 0, "another").storeAt("u64", 9, 0, 0).jump("out").label("another");
  code.store("u64", FRAME.cookie, 0).map(1, changed).frameAddress(2, FRAME.key).frameAddress(3, FRAME.cookie).set(4, 0);
  code.call(helpers.update).storeValue("u32", FRAME.index, 0).map(1, strict).frameAddress(2, FRAME.index);
  code.call(helpers.lookup).ifValue(0, "=", 0, "out").load("u64", 1, 0, 0).ifValue(1, "=", 0, "out");
  return code.exit(DROP).label("out").exit(PASS).bytes();
}

/** Reads `length` bytes of the header at r7 into the frame. */
function load(code: Assembler, length: number, otherwise: string): Assembler {
  code.storeValue("u64", FRAME.head, 0).move(1, 6).move(2, 7).frameAddress(3, FRAME.head).set(4, length);
  return code.call(helpers.loadBytes).ifValue(0, "!=", 0, otherwise);
}

/** Reads what is at a fixed place of the packet into the frame. */
function part(code: Assembler, from: number, length: number, to: number): Assembler {
  if (to === FRAME.head) code.storeValue("u64", to, 0);
  code.move(1, 6).set(2, from).frameAddress(3, to).set(4, length).call(helpers.loadBytes);
  return code.ifValue(0, "!=", 0, "out");
}

/** A byte of what was read into the frame. */
function byte(code: Assembler, to: 1 | 8, at: number): Assembler {
  return code
    .load("u64", to, 10, FRAME.head)
    .shiftRight(to, 8 * at)
    .and(to, 0xff);
}
