/**
 * Whose packet is this? Asked by the data path while the packet waits: synchronous. In this order:
 *
 * 1. Who called connect(2) or sendto(2), as the kernel's hooks wrote it down in that very call (`socket-witness.ts`). That is the
 *    process that acts, however its socket came to it, and it is known also where the socket is gone already.
 * 2. The socket by its addresses (`sock-diag.ts`), in the network namespace that has the source; then the same notes by socket.
 * 3. The socket's holders, by descriptor tables: for sockets older than us, and where the hooks could not be attached. Of several
 *    it is the one that the others descend from. Where the hooks are, it is never certain: a note can be pushed out by whoever makes
 *    sockets fast enough, while the socket goes to somebody else.
 *
 * An owner is `certain` where nothing else is possible; a policy takes only those for known.
 */
import type { Address } from "../address/ip.ts";
import { KernelError } from "../kernel/libc.ts";
import { rawSockets } from "../kernel/raw-sockets.ts";
import { type DiagSocket, type SocketProtocol, socketProtocols } from "../kernel/sock-diag.ts";
import { type Call, type CallsAt, type Seen, SocketWitness } from "../kernel/socket-witness.ts";
import { byLikelihood, makerOf, search } from "./holders.ts";
import { type Place, Places } from "./places.ts";
import type { ProcessRecord } from "./record.ts";
import { monotonic, type ProcessTable } from "./table.ts";

/** A packet that leaves, as its sender addressed it. */
export interface Sent {
  /** IP protocol number. */
  protocol: number;
  source: Address;
  /** 0 where the protocol has no ports; the identifier of an ICMP echo. */
  sourcePort: number;
  destination: Address;
  destinationPort: number;
  /** Index of the interface it leaves by, where known: needed for sockets that are bound to one. */
  interfaceIndex?: number;
}

export interface Owner {
  /** Null: the socket is known, its process is not. */
  record: ProcessRecord | null;
  /** The socket's user; the process's own may be another by now. */
  uid: number | null;
  /** False: the likeliest of several. */
  certain: boolean;
  /** How it was found: the call seen, the only one who addressed that destination lately, a descriptor, only the socket. */
  by: "call" | "destination" | "descriptor" | "socket";
  /** The socket's cookie, which no other socket of this boot has, where it is known. */
  socket?: bigint;
}

export interface LookupOptions {
  /** How long descriptor tables may be searched for one packet, ms. */
  searchFor?: number;
  /** False: no programs in the kernel; descriptors only. Or what those of another thread's lookup note, which outlives this one. */
  witness?: boolean | CallsAt;
}

/** A note this old may be of another socket with the same addresses: the socket itself is asked, ns. */
const FRESH = 2e9;
/** Longest time between a program's being in place and its exec event, ns. */
const EXEC_NS = 4e6;
const pause = new Int32Array(new SharedArrayBuffer(4));
/** All descriptors of six hundred processes take 140 ms; only sockets older than us need it. */
const SEARCH_MS = 250;
const REMEMBERED = 4096;
const protocolNames = new Map<number, SocketProtocol>([
  [socketProtocols.tcp, "tcp"],
  [socketProtocols.udp, "udp"],
  [socketProtocols.udplite, "udplite"],
]);
const ICMP = 1;
const ICMPV6 = 58;

export class OwnerLookup {
  /** Why calls are not seen; null where they are. */
  readonly blind: string | null;
  /** Questions so far, and how many had to search descriptor tables. */
  readonly counts = { asked: 0, searched: 0, unknown: 0 };
  readonly #table: ProcessTable;
  readonly #witness: SocketWitness | null;
  readonly #places: Places;
  readonly #searchFor: number;
  /** Found by search, by the socket's cookie: an inode's number may come again, a cookie never. */
  readonly #found = new Map<bigint, Owner>();
  #last: number | null = null;
  /** When no packet waited that had not been asked about (CLOCK_MONOTONIC, ns). */
  #caughtUpAt = Number.POSITIVE_INFINITY;

  /** In the thread and network namespace whose packets are asked for. */
  constructor(table: ProcessTable, options: LookupOptions = {}) {
    this.#table = table;
    this.#searchFor = options.searchFor ?? SEARCH_MS;
    this.#places = new Places(() => table.newestFirst());
    const { witness, why } = witnessFor(options.witness ?? true);
    this.#witness = witness;
    this.blind = why;
  }

  /** Who sent it; null where no socket of this machine did (the kernel itself, or somebody unknown). Throws KernelError. */
  find(sent: Sent): Owner | null {
    this.#table.drain();
    this.counts.asked++;
    const owner = this.#byTuple(sent) ?? this.#bySocket(sent) ?? this.#byDestination(sent);
    const pid = owner?.record?.pid;
    if (pid === undefined) this.counts.unknown++;
    else this.#last = pid;
    return owner;
  }

  /** What the programs in the kernel note, for other threads; null where there are none. */
  get calls(): CallsAt | null {
    return this.#witness?.calls ?? null;
  }

  /** Network namespaces other than ours that are held open to be asked. */
  get namespaces(): number {
    return this.#places.size;
  }

  /**
   * No packet waits now: what is asked from here on was sent later. For who asks late, on a busy machine, about packets that have waited
   * for seconds; without it a packet is taken for sent just now.
   */
  caughtUp(): void {
    this.#caughtUpAt = monotonic();
  }

  /** To be called now and then, also when nothing is asked: a namespace that nobody is in any more must not be kept by us. */
  tick(): void {
    this.#places.tick();
  }

  close(): void {
    this.#places.close();
    this.#witness?.close();
  }

  #byTuple({ protocol, source, sourcePort, destination, destinationPort }: Sent): Owner | null {
    if (this.#witness === null || sourcePort === 0) return null;
    const seen =
      protocol === socketProtocols.tcp
        ? this.#witness.connection(source, sourcePort, destination, destinationPort)
        : this.#witness.sender(protocol, sourcePort, destination, destinationPort);
    return this.#fresh(seen, "call");
  }

  #byDestination({ protocol, destination, destinationPort }: Sent): Owner | null {
    if (this.#witness === null || !protocolNames.has(protocol)) return null;
    return this.#fresh(this.#witness.connector(protocol, destination, destinationPort), "destination");
  }

  /** What was seen, unless it is old, or another process did the same meanwhile. */
  #fresh(seen: Seen | null, by: Owner["by"]): Owner | null {
    if (seen === null) return null;
    const since = Math.min(monotonic(), this.#caughtUpAt) - FRESH;
    if (seen.last.time < since || (seen.other !== null && seen.other.time >= since)) return null;
    return this.#called(seen.last, null, by);
  }

  #called({ pid, time, cookie }: Call, uid: number | null, by: Owner["by"]): Owner {
    let record = this.#table.at(pid, time);
    // It called before we looked at it, and may have executed something else in between: what we saw was then that, and
    // the event of it comes a moment after the program is in place.
    const wait = record === null || time >= record.seenAt ? 0 : record.seenAt + EXEC_NS - monotonic();
    if (wait > 0) {
      Atomics.wait(pause, 0, 0, wait / 1e6);
      this.#table.drain();
      record = this.#table.at(pid, time);
    }
    return { record, uid: uid ?? record?.uid ?? null, certain: record !== null, by, socket: cookie };
  }

  #bySocket(sent: Sent): Owner | null {
    return (
      this.#inPlaces(sent, this.#places.of(sent.source)) ?? this.#inPlaces(sent, this.#places.of(sent.source, true))
    );
  }

  #inPlaces(sent: Sent, places: readonly Place[]): Owner | null {
    // An address that nobody has: forged, or of a namespace without processes. It may still be bound to nothing of ours.
    const asked = places.length === 0 ? [this.#places.own] : places;
    const owners = asked.map((place) => this.#inPlace(sent, place)).filter((owner) => owner !== null);
    return owners.length > 1 ? { ...owners[0]!, certain: false } : (owners[0] ?? null);
  }

  #inPlace(sent: Sent, { diag, pid, name }: Place): Owner | null {
    const protocol = protocolNames.get(sent.protocol);
    if (protocol !== undefined) {
      const socket = diag.lookup({ ...sent, protocol });
      return socket === null ? null : this.#ofSocket(socket);
    }
    const v6 = sent.source.length === 16;
    const where = name === this.#places.own.name ? "self" : pid;
    const pings = sent.protocol === ICMP || sent.protocol === ICMPV6 ? rawSockets(v6 ? "icmp6" : "icmp", where) : [];
    const ping = pings.filter(({ number }) => number === sent.sourcePort);
    const sockets =
      ping.length > 0 ? ping : rawSockets(v6 ? "raw6" : "raw", where).filter(({ number }) => matches(number, sent));
    return this.#ofRaw(sockets);
  }

  #ofSocket(socket: DiagSocket): Owner | null {
    const call = this.#witness?.socket(socket.cookie) ?? null;
    if (call !== null) return this.#called(call, socket.uid, "call");
    const known = this.#found.get(socket.cookie);
    if (known !== undefined && known.record?.endedAt === null) return known;
    const holder = this.#search(socket.inode, socket.uid);
    // No note: it is older than the programs, or its note was pushed out. Who made it may have sent, and given it away since.
    const owner = { ...holder, certain: holder.certain && this.#witness === null, socket: socket.cookie };
    this.#found.delete(socket.cookie);
    this.#found.set(socket.cookie, owner);
    if (this.#found.size > REMEMBERED) this.#found.delete(this.#found.keys().next().value!);
    return owner;
  }

  /** Raw sockets of one protocol are not told apart by their packets: certain only where there is one. */
  #ofRaw(sockets: readonly { uid: number; inode: number }[]): Owner | null {
    const owners = sockets.slice(0, mostAlike).map(({ uid, inode }) => this.#search(inode, uid));
    const [first] = owners;
    if (first === undefined) return null;
    const isOne = sockets.length <= mostAlike && owners.every(({ record }) => record === first.record);
    return { ...first, certain: first.certain && isOne };
  }

  #search(inode: number, uid: number): Owner {
    // Nobody holds it any more, the kernel finishes what was begun.
    if (inode === 0) return { record: null, uid, certain: false, by: "socket" };
    this.counts.searched++;
    const order = byLikelihood(this.#table.newestFirst(), uid, this.#last);
    const { holders, complete } = search(inode, order, this.#searchFor);
    const maker = makerOf(holders);
    const record = maker ?? holders[0] ?? null;
    return { record, uid, certain: complete && maker !== null, by: record === null ? "socket" : "descriptor" };
  }
}

/** Raw sockets of one protocol whose holders are searched for, for one packet: somebody may open thousands, and each search takes time. */
const mostAlike = 8;

/** A raw socket for protocol 255 (IPPROTO_RAW) sends any protocol, with headers of its own. */
function matches(number: number, { protocol }: Sent): boolean {
  return number === protocol || number === 255;
}

function witnessFor(asked: boolean | CallsAt): { witness: SocketWitness | null; why: string | null } {
  if (asked === false) return { witness: null, why: "switched off" };
  try {
    return { witness: asked === true ? SocketWitness.attach() : SocketWitness.at(asked), why: null };
  } catch (error) {
    if (error instanceof KernelError) return { witness: null, why: error.message };
    throw error;
  }
}
