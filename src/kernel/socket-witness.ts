/**
 * Who used which socket: small programs at the cgroup hooks where sockets are made, connected and sent from. They write down the
 * calling process, in its own system call, before a packet exists. That is what asking later cannot give: of several processes
 * that hold a socket the one that acted, and a socket that is gone when its packet is looked at. They run for every process
 * and container of the machine, whatever its network namespace. Called by the process room.
 *
 * Linux 5.7. Root can detach what root attached: then nothing is known here, and the caller has to ask otherwise.
 */
import type { Address } from "../address/ip.ts";
import { LruMap } from "./bpf-maps.ts";
import { Assembler, attach, helpers, type Hook, unifiedCgroup, withFolder } from "./ebpf.ts";
import * as libc from "./libc.ts";
import { QUEUE_LENGTH } from "./nfqueue.ts";

/** A system call by a process. */
export interface Call {
  /** Process and thread, in the initial process namespace. */
  pid: number;
  tid: number;
  /** CLOCK_MONOTONIC, ns. */
  time: number;
  /** The socket. */
  cookie: bigint;
}

export interface Seen {
  last: Call;
  /** The last process but this one that did the same; `cookie` is not kept. */
  other: { pid: number; time: number } | null;
}

/**
 * Calls remembered by their addresses: as many as packets can wait to be asked about. Those by socket serve what is sent on a connected
 * UDP socket only, TCP has both. The kernel takes the memory of all at once, and a job waits for that. Whoever makes sockets fast enough pushes
 * others' notes out of tables of any length: who asks must not take the holder of a socket without a note for who used it.
 */
const TUPLES = QUEUE_LENGTH;
const SOCKETS = 16_384;
/** Values: pid and tgid, time; the tuples' one also the cookie, and the other process with its time. */
const SOCKET_VALUE = 16;
const TUPLE_VALUE = 40;
/** The tuple's key: source, destination (IPv4 as ::ffff:…), source port, destination port, protocol. */
const TUPLE_KEY = 44;
const KEY = { source: 0, destination: 16, sourcePort: 32, destinationPort: 36, protocol: 40 } as const;
/** The same in the programs' frames. */
const AT = { cookie: -8, socketValue: -24, key: -72, value: -112 } as const;

const CGROUP_SOCK = 9;
const SOCK_OPS = 13;
const SOCK_ADDR = 18;
/** Of `struct bpf_sock_addr`, `bpf_sock` and `bpf_sock_ops` (linux/bpf.h). */
const ADDR = { ip4: 4, ip6: 8, port: 24, protocol: 36, socket: 64 } as const;
const SOCK_SOURCE_PORT = 44;
const OPS = {
  op: 0,
  family: 20,
  remote4: 24,
  local4: 28,
  remote6: 32,
  local6: 48,
  remotePort: 64,
  localPort: 68,
} as const;
const TCP_CONNECT = 3;
const AF_INET = 2;
const TCP = 6;

/** Descriptors of the tables, for other threads ({@link SocketWitness.at}). */
export interface CallsAt {
  sockets: number;
  tuples: number;
}

interface Maps {
  sockets: LruMap;
  tuples: LruMap;
}

/** r6: context, r7: process and thread, r8: now, r9: the socket's cookie; noted under the cookie. */
function noteSocket(maps: Maps): Assembler {
  return new Assembler()
    .move(6, 1)
    .call(helpers.pidTgid)
    .move(7, 0)
    .call(helpers.monotonic)
    .move(8, 0)
    .move(1, 6)
    .call(helpers.socketCookie)
    .move(9, 0)
    .store("u64", AT.cookie, 9)
    .store("u64", AT.socketValue, 7)
    .store("u64", AT.socketValue + 8, 8)
    .map(1, maps.sockets.fd)
    .frameAddress(2, AT.cookie)
    .frameAddress(3, AT.socketValue)
    .set(4, 0)
    .call(helpers.update);
}

/** Notes r7, r8 and r9 under the key in the frame; another process's note there stays as the other one. */
function noteTuple(code: Assembler, maps: Maps): Assembler {
  return code
    .storeValue("u64", AT.value + 24, 0)
    .storeValue("u64", AT.value + 32, 0)
    .map(1, maps.tuples.fd)
    .frameAddress(2, AT.key)
    .call(helpers.lookup)
    .ifValue(0, "=", 0, "note")
    .load("u64", 1, 0, 0)
    .move(2, 1)
    .shiftRight(2, 32)
    .move(3, 7)
    .shiftRight(3, 32)
    .ifSame(2, 3, "same")
    .store("u64", AT.value + 24, 1)
    .load("u64", 1, 0, 8)
    .store("u64", AT.value + 32, 1)
    .jump("note")
    .label("same")
    .load("u64", 1, 0, 24)
    .store("u64", AT.value + 24, 1)
    .load("u64", 1, 0, 32)
    .store("u64", AT.value + 32, 1)
    .label("note")
    .store("u64", AT.value, 7)
    .store("u64", AT.value + 8, 8)
    .store("u64", AT.value + 16, 9)
    .map(1, maps.tuples.fd)
    .frameAddress(2, AT.key)
    .frameAddress(3, AT.value)
    .set(4, 0)
    .call(helpers.update);
}

/** Copies an address of the context (r6) into the key. */
function address(code: Assembler, family: 4 | 6, from: number, to: number): Assembler {
  const at = AT.key + to;
  if (family === 6) {
    for (let i = 0; i < 16; i += 4) code.load("u32", 1, 6, from + i).store("u32", at + i, 1);
    return code;
  }
  code.storeValue("u64", at, 0).storeValue("u32", at + 8, 0xffff0000);
  return code.load("u32", 1, 6, from).store("u32", at + 12, 1);
}

/** connect(2), or sendto(2) with a destination: for UDP; for TCP the source port is not chosen yet. */
function towards(maps: Maps, family: 4 | 6, sends: boolean): Buffer {
  const code = noteSocket(maps)
    .storeValue("u64", AT.key, 0)
    .storeValue("u64", AT.key + 8, 0);
  address(code, family, family === 4 ? ADDR.ip4 : ADDR.ip6, KEY.destination);
  // A connecting socket's port may be chosen after this: its note is by destination alone.
  if (sends) code.load("u64", 1, 6, ADDR.socket).load("u32", 1, 1, SOCK_SOURCE_PORT);
  else code.set(1, 0);
  code.store("u32", AT.key + KEY.sourcePort, 1);
  code
    .load("u32", 1, 6, ADDR.port)
    .swap(1, 16)
    .store("u32", AT.key + KEY.destinationPort, 1);
  code.load("u32", 1, 6, ADDR.protocol).store("u32", AT.key + KEY.protocol, 1);
  return noteTuple(code, maps).exit(1).bytes();
}

/** A TCP connection as its SYN is made: whoever called connect(2) on the socket, with all of its addresses. */
function connecting(maps: Maps): Buffer {
  const code = new Assembler()
    .move(6, 1)
    .load("u32", 1, 6, OPS.op)
    .ifValue(1, "!=", TCP_CONNECT, "out")
    .move(1, 6)
    .call(helpers.socketCookie)
    .move(9, 0)
    .store("u64", AT.cookie, 9)
    .map(1, maps.sockets.fd)
    .frameAddress(2, AT.cookie)
    .call(helpers.lookup)
    .ifValue(0, "=", 0, "out")
    .load("u64", 7, 0, 0)
    .load("u64", 8, 0, 8)
    .load("u32", 1, 6, OPS.family)
    .ifValue(1, "=", AF_INET, "v4");
  address(code, 6, OPS.local6, KEY.source);
  address(code, 6, OPS.remote6, KEY.destination);
  code.jump("ports").label("v4");
  address(code, 4, OPS.local4, KEY.source);
  address(code, 4, OPS.remote4, KEY.destination);
  code
    .label("ports")
    .load("u32", 1, 6, OPS.localPort)
    .store("u32", AT.key + KEY.sourcePort, 1);
  code
    .load("u32", 1, 6, OPS.remotePort)
    .swap(1, 32)
    .store("u32", AT.key + KEY.destinationPort, 1);
  code.storeValue("u32", AT.key + KEY.protocol, TCP);
  return noteTuple(code, maps).label("out").exit(1).bytes();
}

/** Each program with its hook; attach types are those of `enum bpf_attach_type`. */
function programs(maps: Maps): [Hook, Buffer][] {
  return [
    [{ type: CGROUP_SOCK, attach: 2 }, noteSocket(maps).exit(1).bytes()],
    [{ type: SOCK_ADDR, attach: 10 }, towards(maps, 4, false)],
    [{ type: SOCK_ADDR, attach: 11 }, towards(maps, 6, false)],
    [{ type: SOCK_ADDR, attach: 14 }, towards(maps, 4, true)],
    [{ type: SOCK_ADDR, attach: 15 }, towards(maps, 6, true)],
    [{ type: SOCK_OPS, attach: 3 }, connecting(maps)],
  ];
}

export class SocketWitness {
  readonly #maps: Maps;
  readonly #held: number[];

  private constructor(maps: Maps, held: number[]) {
    this.#maps = maps;
    this.#held = held;
  }

  /**
   * Attaches to the root of the unified cgroup hierarchy: whatever is called after this returns is seen. Throws KernelError where
   * the kernel refuses, or has no such hierarchy mounted (code ENOENT).
   */
  static attach(cgroup = unifiedCgroup()): SocketWitness {
    if (cgroup === null) throw new libc.KernelError("bpf", libc.ENOENT, "no unified cgroup hierarchy is mounted");
    const held: number[] = [];
    try {
      const sockets = new LruMap(8, SOCKET_VALUE, SOCKETS);
      held.push(sockets.fd);
      const tuples = new LruMap(TUPLE_KEY, TUPLE_VALUE, TUPLES);
      held.push(tuples.fd);
      const maps = { sockets, tuples };
      withFolder(cgroup, (fd) => {
        for (const [hook, code] of programs(maps)) held.push(...attach(hook, code, fd));
      });
      return new SocketWitness(maps, held);
    } catch (error) {
      for (const fd of held) libc.close(fd);
      throw error;
    }
  }

  /** The notes that another thread's object keeps, which outlives this one. */
  static at({ sockets, tuples }: CallsAt): SocketWitness {
    const maps = {
      sockets: LruMap.at(sockets, 8, SOCKET_VALUE, SOCKETS),
      tuples: LruMap.at(tuples, TUPLE_KEY, TUPLE_VALUE, TUPLES),
    };
    return new SocketWitness(maps, []);
  }

  get calls(): CallsAt {
    return { sockets: this.#maps.sockets.fd, tuples: this.#maps.tuples.fd };
  }

  /** Who last connected this socket or sent by it to an address, or else made it; null: that was before our time, or is forgotten. */
  socket(cookie: bigint): Call | null {
    const value = this.#maps.sockets.get((key) => key.writeBigUInt64LE(cookie));
    return value === null ? null : { ...caller(value, 0), cookie };
  }

  /** Who made the TCP connection with these addresses. */
  connection(source: Address, sourcePort: number, destination: Address, destinationPort: number): Seen | null {
    return this.#tuple(TCP, source, sourcePort, destination, destinationPort);
  }

  /** Who last sent a datagram from this port (of whichever address) to there by naming it. */
  sender(protocol: number, sourcePort: number, destination: Address, destinationPort: number): Seen | null {
    return this.#tuple(protocol, null, sourcePort, destination, destinationPort);
  }

  /** Who last connected a socket of this protocol to there. */
  connector(protocol: number, destination: Address, destinationPort: number): Seen | null {
    return this.#tuple(protocol, null, 0, destination, destinationPort);
  }

  close(): void {
    for (const fd of this.#held) libc.close(fd);
  }

  #tuple(protocol: number, source: Address | null, port: number, destination: Address, towards: number): Seen | null {
    const value = this.#maps.tuples.get((key) => {
      if (source !== null) writeMapped(key, KEY.source, source);
      writeMapped(key, KEY.destination, destination);
      key.writeUInt32LE(port, KEY.sourcePort);
      key.writeUInt32LE(towards, KEY.destinationPort);
      key.writeUInt32LE(protocol, KEY.protocol);
    });
    if (value === null) return null;
    const { pid, time } = caller(value, 24);
    return {
      last: { ...caller(value, 0), cookie: value.readBigUInt64LE(16) },
      other: pid === 0 ? null : { pid, time },
    };
  }
}

function caller(value: Buffer, at: number): Omit<Call, "cookie"> {
  const time = value.readUInt32LE(at + 12) * 0x1_0000_0000 + value.readUInt32LE(at + 8);
  return { tid: value.readUInt32LE(at), pid: value.readUInt32LE(at + 4), time };
}

function writeMapped(key: Buffer, at: number, address: Address): void {
  if (address.length === 16) return void key.write(address, at, "latin1");
  key.writeUInt16LE(0xffff, at + 10);
  key.write(address, at + 12, "latin1");
}
