/**
 * The kernel's connection tracking table (ctnetlink): list it, find a flow, mark it, end it, and hear when flows end.
 * Everything acts on the network namespace of the thread that opened the object. Called by the data path, the DNS
 * firewall (where did a redirected question want to go?) and the enforcer (end flows a new policy denies).
 */
import * as libc from "./libc.ts";
import {
  MessageWriter,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NFGEN_HEADER,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  netfilterType,
  SOL_NETLINK,
} from "./netlink.ts";
import {
  addressFamily,
  AF_INET,
  AF_INET6,
  CTA_ID,
  CTA_MARK,
  CTA_MARK_MASK,
  CTA_PROTOINFO,
  CTA_STATUS,
  CTA_TIMEOUT,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_REPLY,
  type Flow,
  readFlow,
  type Tuple,
  writeLiberalTcp,
  writeTuple,
} from "./tuple.ts";

export type { Counters, Flow, TcpState, Tuple } from "./tuple.ts";

const SUBSYSTEM = 1;
const CT_NEW = netfilterType(SUBSYSTEM, 0);
const CT_GET = netfilterType(SUBSYSTEM, 1);
const CT_DELETE = netfilterType(SUBSYSTEM, 2);

const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
/** IPS_* bits. */
const SEEN_REPLY = 0x2;
const ASSURED = 0x4;
const CONFIRMED = 0x8;
/** The kernel's default for connections that are up. */
const ESTABLISHED_SECONDS = 432_000;

const GROUP = { new: 1, update: 2, destroy: 3 } as const;
const EVENT_BUFFER = 16 * 1024 * 1024;

/** Look-ups in one message: their answers, of some 4 kB in the kernel, must fit a socket's receive buffer. */
const mostAtOnce = 32;

export type FlowEvent = keyof typeof GROUP;

export interface DumpFilter {
  family?: 4 | 6;
  /** Only flows whose mark and `mask` equal this; needs `mask`. */
  mark?: number;
  mask?: number;
}

/** The table, for asking and changing. */
export class Conntrack {
  readonly #socket = new NetlinkSocket(NETLINK_NETFILTER);
  readonly #writer = new MessageWriter(512);
  readonly #lookups = new MessageWriter(mostAtOnce * 256);
  #asking = false;

  /**
   * Hands every flow that matches to `onFlow`, in no order. Flows that begin or end meanwhile may be missing or included.
   * `onFlow` must not use this object: collect first, act later. Throws KernelError.
   */
  each(filter: DumpFilter, onFlow: (flow: Flow) => void): void {
    const sequence = this.#socket.sequence();
    const family = filter.family === undefined ? 0 : filter.family === 4 ? AF_INET : AF_INET6;
    this.#writer.reset().begin(CT_GET, NLM_F_REQUEST | NLM_F_DUMP, sequence, family);
    if (filter.mark !== undefined) {
      const mask = filter.mask ?? 0xffffffff;
      this.#writer.u32(CTA_MARK, filter.mark & mask).u32(CTA_MARK_MASK, mask);
    }
    this.#ask("conntrack dump", sequence, (bytes, start, end) => {
      const flow = readFlow(bytes, start, end);
      if (flow !== null) onFlow(flow);
    });
  }

  /** {@link each} as an array. */
  dump(filter: DumpFilter = {}): Flow[] {
    const flows: Flow[] = [];
    this.each(filter, (flow) => flows.push(flow));
    return flows;
  }

  /**
   * The flow one of whose directions is `tuple`, or null. For a redirected flow: ask with the local endpoint as source
   * and the client as destination (`reply`), and read where it wanted to go in `original.destination`.
   */
  lookup(tuple: Tuple, direction: "original" | "reply"): Flow | null {
    const [found] = this.lookupAll([tuple], direction);
    if (found instanceof libc.KernelError) throw found;
    return found ?? null;
  }

  /**
   * {@link lookup} of many in few system calls, which are most of what one costs. An error is of the one look-up in its place; throws
   * KernelError where the kernel does not answer.
   */
  lookupAll(tuples: readonly Tuple[], direction: "original" | "reply"): (Flow | null | libc.KernelError)[] {
    const flows: (Flow | null | libc.KernelError)[] = tuples.map(() => null);
    const call = "conntrack get";
    for (let from = 0; from < tuples.length; from += mostAtOnce) {
      const some = tuples.slice(from, from + mostAtOnce);
      const sequences = some.map(() => this.#socket.sequence());
      const writer = this.#lookups.reset();
      some.forEach((tuple, i) => {
        writer.begin(CT_GET, NLM_F_REQUEST, sequences[i]!, addressFamily(tuple.source));
        writeTuple(writer, direction === "original" ? CTA_TUPLE_ORIG : CTA_TUPLE_REPLY, tuple);
        writer.end();
      });
      const onFlow = (place: number, bytes: Buffer, { start, end }: { start: number; end: number }) => {
        flows[from + place] = readFlow(bytes, start + NFGEN_HEADER, end);
      };
      const onError = (place: number, errno: number) => {
        if (errno !== libc.ENOENT) flows[from + place] = new libc.KernelError(call, errno);
      };
      this.#alone(() => this.#socket.requestEach(call, writer, sequences[0]!, some.length, onFlow, onError));
    }
    return flows;
  }

  /**
   * Sets the bits of `mask` in the flow's mark to those of `mark`, and its timeout in seconds where given. False where
   * the flow is gone. Throws KernelError.
   */
  setMark(flow: Pick<Flow, "original">, mark: number, mask = 0xffffffff, timeout?: number): boolean {
    const sequence = this.#socket.sequence();
    const writer = this.#writer.reset();
    // Without NLM_F_CREATE the kernel only changes a flow that exists.
    writer.begin(CT_NEW, NLM_F_REQUEST | NLM_F_ACK, sequence, addressFamily(flow.original.source));
    writeTuple(writer, CTA_TUPLE_ORIG, flow.original);
    // The kernel takes the value by exclusive or, so bits outside the mask would flip.
    writer.u32(CTA_MARK, mark & mask).u32(CTA_MARK_MASK, mask);
    if (timeout !== undefined) writer.u32(CTA_TIMEOUT, timeout);
    return this.#ask("conntrack mark", sequence);
  }

  /**
   * Tells the kernel of a TCP connection that is older than its tracking: up, both directions seen, window checks off (nobody knows
   * the numbers). False where it is tracked already. Throws KernelError.
   */
  createTcp(original: Tuple, mark: number): boolean {
    const sequence = this.#socket.sequence();
    const writer = this.#writer.reset();
    const { source, destination, sourcePort, destinationPort } = original;
    const back = { source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort };
    writer.begin(CT_NEW, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sequence, addressFamily(source));
    writeTuple(writer, CTA_TUPLE_ORIG, original);
    writeTuple(writer, CTA_TUPLE_REPLY, { ...back, protocol: 6 });
    writer
      .u32(CTA_STATUS, SEEN_REPLY | ASSURED | CONFIRMED)
      .u32(CTA_TIMEOUT, ESTABLISHED_SECONDS)
      .u32(CTA_MARK, mark);
    writer.nest(CTA_PROTOINFO, () => writer.nest(1, () => writeLiberalTcp(writer)));
    try {
      return this.#ask("conntrack create", sequence);
    } catch (error) {
      if (error instanceof libc.KernelError && error.code === "EEXIST") return false;
      throw error;
    }
  }

  /**
   * Forgets a flow: its next packet is a new flow's first. With an `id` only that very entry, not a later one with the
   * same tuple. False where it is gone already. Throws KernelError.
   */
  remove(flow: Pick<Flow, "original"> & { id?: number }): boolean {
    const sequence = this.#socket.sequence();
    const writer = this.#writer.reset();
    writer.begin(CT_DELETE, NLM_F_REQUEST | NLM_F_ACK, sequence, addressFamily(flow.original.source));
    writeTuple(writer, CTA_TUPLE_ORIG, flow.original);
    if (flow.id !== undefined) writer.u32(CTA_ID, flow.id);
    return this.#ask("conntrack delete", sequence);
  }

  close(): void {
    this.#socket.close();
  }

  /** Sends the writer's message; false where the kernel knows no such flow. */
  #ask(call: string, sequence: number, onFlow?: (bytes: Buffer, start: number, end: number) => void): boolean {
    return this.#alone(() => {
      try {
        this.#socket.request(call, this.#writer.end(), sequence, (bytes, message) =>
          onFlow?.(bytes, message.start + NFGEN_HEADER, message.end),
        );
        return true;
      } catch (error) {
        if (error instanceof libc.KernelError && error.code === "ENOENT") return false;
        throw error;
      }
    });
  }

  #alone<T>(ask: () => T): T {
    // A second request would take this one's answers off the socket.
    if (this.#asking) throw new Error("conntrack asked from inside its own callback");
    this.#asking = true;
    try {
      return ask();
    } finally {
      this.#asking = false;
    }
  }
}

/**
 * Hears of flows as they end (and, if asked, begin or change). With `nf_conntrack_events` = 2, the kernel's default, only
 * of flows that began after this was opened.
 */
export class ConntrackEvents {
  readonly fd: number;
  /** How often the kernel had to throw events away because this reader was too slow. */
  overruns = 0;
  readonly #socket = new NetlinkSocket(NETLINK_NETFILTER);

  /** `bufferSize` is in bytes; the kernel doubles it. */
  constructor(events: readonly FlowEvent[] = ["destroy"], bufferSize = EVENT_BUFFER) {
    this.fd = this.#socket.fd;
    try {
      libc.setsockopt(this.fd, libc.SOL_SOCKET, libc.SO_RCVBUFFORCE, bufferSize);
      for (const event of events) libc.setsockopt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, GROUP[event]);
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  /**
   * Hands every waiting event to `onFlow`, without blocking, up to `limit` datagrams. True where all is told; false where
   * events were lost (`overruns` grew): the caller should then compare its own list with {@link Conntrack.dump}.
   */
  receive(onFlow: (event: FlowEvent, flow: Flow) => void, limit = 4096): boolean {
    let complete = true;
    for (let i = 0; i < limit; i++) {
      const datagram = this.#socket.receive(libc.MSG_DONTWAIT);
      if (typeof datagram === "number") {
        if (datagram === -libc.EAGAIN) break;
        if (datagram !== -libc.ENOBUFS) throw new libc.KernelError("conntrack events", -datagram);
        this.overruns++;
        complete = false;
        continue;
      }
      const { bytes, messages } = datagram;
      while (messages.next()) {
        if (messages.type !== CT_NEW && messages.type !== CT_DELETE) continue;
        const flow = readFlow(bytes, messages.start + NFGEN_HEADER, messages.end);
        if (flow === null) continue;
        // NLM_F_CREATE | NLM_F_EXCL tell a new flow from a changed one.
        onFlow(messages.type === CT_DELETE ? "destroy" : (messages.flags & 0x600) !== 0 ? "new" : "update", flow);
      }
    }
    return complete;
  }

  close(): void {
    this.#socket.close();
  }
}
