/**
 * Hears from the kernel of every process that forks, executes, changes its user or ends (netlink's process connector).
 * For a thread's {@link Waiter} (`fd`), read synchronously. Called by the process room.
 *
 * No filter is asked for, though kernels since 6.6 have one: each CPU counts all its events, so only who takes all of them
 * can see that one is missing (an event that the kernel had no memory for is otherwise lost without a word).
 *
 * The kernel speaks in its initial network and process namespaces only. Where a runner stands in a network namespace of its own,
 * root binds the host's to {@link hostNamespace} (`mount --bind /proc/1/ns/net …`) for it to be heard there.
 */
import { existsSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { inNamespace } from "./enter.ts";
import * as libc from "./libc.ts";
import { MessageVector } from "./message-vector.ts";
import { MessageCursor, NETLINK_ADD_MEMBERSHIP, NLMSG_DONE, NLMSG_HEADER, SOL_NETLINK } from "./netlink.ts";
import { CN_HEADER, CN_IDX_PROC, type ProcEvent, readProcEvent, SequenceWatch } from "./proc-event.ts";

export type { ProcEvent } from "./proc-event.ts";

/** The host's network namespace, for who stands in another one. */
export const hostNamespace = "/run/sallyport/host-net";
const NETLINK_CONNECTOR = 11;
const PROC_CN_MCAST_LISTEN = 1;
/** Room for some hundred thousand events: a fork bomb must not blind us. */
const EVENT_BUFFER = 32 * 1024 * 1024;
/** Messages a system call, and the room for each: they have 76 bytes, comm events 4 more. */
const BATCH = 64;
const SLOT = 256;
/** How long the kernel may take to say that it listens, ms. It answers in the same system call. */
const ANSWER_MS = 2000;

/** A connector that listens already, for whoever goes on with it, in another thread too. */
export interface Listening {
  fd: number;
  /** What came while it began to listen. */
  early: ProcEvent[];
}

/** What one {@link ProcConnector.receive} found. */
export interface Received {
  /** Events handed out. */
  count: number;
  /** Events were lost since the last call: compare with /proc. */
  lost: boolean;
}

export class ProcConnector {
  readonly fd: number;
  /** How often the kernel threw events away because this reader was too slow. */
  overruns = 0;
  readonly #watch = new SequenceWatch();
  readonly #vector = new MessageVector(BATCH, SLOT);
  #early: ProcEvent[] = [];

  /**
   * Opens and listens: whatever happens after this returns is told. `bufferSize` is in bytes; the kernel doubles it.
   * `listening` is one that does so already. Throws SallyportError KERNEL_FEATURE where the kernel has no process events or this is
   * not its initial namespace.
   */
  constructor(bufferSize = EVENT_BUFFER, listening?: Listening) {
    if (listening !== undefined) {
      this.fd = listening.fd;
      this.#early = [...listening.early];
      return;
    }
    this.fd = openSocket();
    try {
      libc.setsockopt(this.fd, libc.SOL_SOCKET, libc.SO_RCVBUFFORCE, bufferSize);
      const local = Buffer.alloc(12);
      local.writeUInt16LE(libc.AF_NETLINK);
      libc.bind(this.fd, local);
      libc.setsockopt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, CN_IDX_PROC);
      this.#listen();
    } catch (error) {
      libc.close(this.fd);
      throw error instanceof libc.KernelError ? unsupported(error.message, error) : error;
    }
  }

  /** Events that the kernel counted and we never saw. */
  get missing(): number {
    return this.#watch.missing;
  }

  /** For another object, which has it from then on: do not use this one any more. */
  handOver(): Listening {
    return { fd: this.fd, early: this.#early };
  }

  /** Hands out every waiting event, oldest first, without blocking, up to about `limit`. Throws KernelError. */
  receive(onEvent: (event: ProcEvent) => void, limit = 65_536): Received {
    const received: Received = { count: 0, lost: false };
    const early = this.#early;
    this.#early = [];
    for (const event of early) this.#hand(event, onEvent, received);
    while (received.count < limit) {
      const filled = this.#vector.receive(this.fd);
      if (filled === -libc.EAGAIN || filled === 0) break;
      if (filled === -libc.EINTR) continue;
      if (filled === -libc.ENOBUFS) {
        this.overruns++;
        received.lost = true;
        // The gap that shows next is this one.
        this.#watch.forget();
        continue;
      }
      if (filled < 0) throw new libc.KernelError("process events", -filled);
      for (let i = 0; i < filled; i++) {
        for (const event of this.#events(i)) this.#hand(event, onEvent, received);
      }
      if (filled < BATCH) break;
    }
    return received;
  }

  close(): void {
    libc.close(this.fd);
  }

  #hand(event: ProcEvent, onEvent: (event: ProcEvent) => void, received: Received): void {
    if (!this.#watch.follows(event)) received.lost = true;
    if (event.kind === "other" || event.kind === "listening") return;
    received.count++;
    onEvent(event);
  }

  /** The events in slot `i`; none where anybody but the kernel sent it. */
  *#events(i: number): Generator<ProcEvent> {
    if (this.#vector.sender(i) !== 0 || this.#vector.truncated(i)) return;
    const start = i * SLOT;
    const bytes = this.#vector.bytes.subarray(start, start + this.#vector.length(i));
    const messages = new MessageCursor(bytes, bytes.length);
    while (messages.next()) {
      const event = readProcEvent(bytes, messages.start + NLMSG_HEADER, messages.end);
      if (event !== null) yield event;
    }
  }

  #listen(): void {
    const request = Buffer.alloc(NLMSG_HEADER + CN_HEADER + 4);
    request.writeUInt32LE(request.length, 0);
    request.writeUInt16LE(NLMSG_DONE, 4);
    request.writeUInt32LE(CN_IDX_PROC, 16);
    request.writeUInt32LE(1, 20);
    request.writeUInt16LE(4, 32);
    request.writeUInt32LE(PROC_CN_MCAST_LISTEN, NLMSG_HEADER + CN_HEADER);
    const sent = libc.send(this.fd, request, request.length, 0);
    if (sent < 0) throw new libc.KernelError("listen to process events", -sent);
    const set = Buffer.alloc(8);
    set.writeInt32LE(this.fd, 0);
    set.writeUInt16LE(libc.POLLIN, 4);
    const until = performance.now() + ANSWER_MS;
    for (;;) {
      const filled = this.#vector.receive(this.fd);
      for (let i = 0; i < filled; i++) this.#early.push(...this.#events(i));
      const answer = this.#early.find((event) => event.kind === "listening");
      if (answer?.kind === "listening") {
        if (answer.errno === 0) return;
        throw new libc.KernelError("listen to process events", answer.errno);
      }
      const left = until - performance.now();
      if (left <= 0) throw unsupported("the kernel did not answer");
      if (filled <= 0) libc.poll(set, 1, Math.ceil(left));
    }
  }
}

function openSocket(): number {
  const open = () => libc.socket(libc.AF_NETLINK, libc.SOCK_DGRAM, NETLINK_CONNECTOR);
  try {
    return existsSync(hostNamespace) ? inNamespace(hostNamespace, open) : open();
  } catch (error) {
    // A file there that is no namespace is as good as none.
    throw error instanceof libc.KernelError ? unsupported(error.message, error) : error;
  }
}

function unsupported(why: string, cause?: unknown): SallyportError {
  const text = `The kernel does not tell of its processes (CONFIG_PROC_EVENTS, initial namespaces; see ${hostNamespace} in docs/requirements.md): ${why}.`;
  return new SallyportError("KERNEL_FEATURE", text, {}, cause);
}
