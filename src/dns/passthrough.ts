/**
 * Carries monitored queries to the server they were meant for and its answers back, byte for byte but for the ID. The ID
 * is ours, and random, so that several clients' queries can share an address without meeting.
 */
import { randomInt } from "node:crypto";
import net from "node:net";
import type { Exchanges } from "./exchange.ts";
import { FrameReader, frame } from "./frames.ts";
import type { Endpoint } from "./types.ts";

/** Milliseconds; longer than a stub resolver waits before it asks again. */
const udpTimeout = 6000;

/** Queries on one connection whose IDs are remembered: a zone transfer answers one query with many messages. */
const maxRemembered = 1024;

/** Bytes towards the server that may wait for it to read. */
const maxWaiting = 256 * 1024;

/** Messages shorter than this have no ID to answer to. */
export const minMessage = 2;

/** One datagram there, the first with its ID back; null where none came in time. */
export async function passDatagram(
  exchanges: Exchanges,
  server: Endpoint,
  query: Uint8Array,
): Promise<Uint8Array | null> {
  const id = randomInt(65536);
  const outcome = await exchanges.udp(server, withId(query, id), udpTimeout, (bytes) =>
    bytes.length >= minMessage && idOf(bytes) === id ? bytes : null,
  );
  return "reply" in outcome ? withId(outcome.reply, idOf(query)) : null;
}

interface Sent {
  id: number;
  /** Run before the first answer is delivered; null afterwards. Never rejects. */
  first: ((answer: Uint8Array) => Promise<void>) | null;
  settle: (answered: boolean) => void;
}

export interface StreamEvents {
  /** An answer with the client's ID, in the server's order; the next one comes when this resolves. */
  deliver: (answer: Uint8Array) => Promise<void>;
  /** The server closed or broke the connection. */
  ended: () => void;
}

/** The server's side of one monitored TCP connection: opened by its first query, closed with it. */
export class PassedStream {
  readonly server: Endpoint;
  private readonly socket: net.Socket;
  private readonly events: StreamEvents;
  private readonly sent = new Map<number, Sent>();
  private readonly frames = new FrameReader();
  private deliveries: Promise<void> = Promise.resolve();
  private closed = false;

  constructor(server: Endpoint, events: StreamEvents) {
    this.server = server;
    this.events = events;
    this.socket = net.connect({ host: server.address, port: server.port, noDelay: true });
    this.socket.on("data", (chunk: Uint8Array) => {
      for (const message of this.frames.push(chunk)) this.enqueue(message);
    });
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("close", () => void this.deliveries.finally(() => this.destroy()));
  }

  /** Sends a query; true once its first answer was delivered, false when the connection ended before. Never rejects. */
  send(query: Uint8Array, first: (answer: Uint8Array) => Promise<void>): Promise<boolean> {
    if (this.closed || query.length < minMessage || this.socket.writableLength > maxWaiting) {
      return Promise.resolve(false);
    }
    this.forgetOldest();
    let id = randomInt(65536);
    while (this.sent.has(id)) id = (id + 1) & 0xffff;
    return new Promise((settle) => {
      this.sent.set(id, { id: idOf(query), first, settle });
      this.socket.write(frame(withId(query, id)));
    });
  }

  /** Tells the server that no more queries come; its answers still do. */
  end(): void {
    this.socket.end();
  }

  destroy(): void {
    if (this.closed) return;
    this.closed = true;
    this.socket.destroy();
    for (const sent of this.sent.values()) sent.settle(false);
    this.sent.clear();
    this.events.ended();
  }

  /** One after the other: the messages of a zone transfer must not overtake each other while the first is observed. */
  private enqueue(message: Uint8Array): void {
    const sent = message.length < minMessage ? undefined : this.sent.get(idOf(message));
    if (sent === undefined) return;
    this.socket.pause();
    this.deliveries = this.deliver(this.deliveries, withId(message, sent.id), sent);
  }

  private async deliver(before: Promise<void>, answer: Uint8Array, sent: Sent): Promise<void> {
    await before;
    if (this.closed) return;
    const { first } = sent;
    sent.first = null;
    if (first !== null) await first(answer);
    await this.events.deliver(answer);
    sent.settle(true);
    this.socket.resume();
  }

  private forgetOldest(): void {
    if (this.sent.size < maxRemembered) return;
    for (const [id, sent] of this.sent) {
      sent.settle(false);
      this.sent.delete(id);
      return;
    }
  }
}

function idOf(message: Uint8Array): number {
  return (message[0]! << 8) | message[1]!;
}

function withId(message: Uint8Array, id: number): Uint8Array {
  const out = Uint8Array.from(message);
  out[0] = id >>> 8;
  out[1] = id;
  return out;
}
