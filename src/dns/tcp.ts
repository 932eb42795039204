/**
 * Clients' TCP connections: framing, pipelining, and the bounds on all of it (RFC 7766). What is answered is the caller's
 * business; here it is only read, written and timed. A client that sends slowly, never reads, or asks more than it may
 * have under way costs a bounded amount and nobody else anything.
 */
import net from "node:net";
import { FrameReader, frame } from "./frames.ts";
import type { Gate } from "./limits.ts";
import type { Client, DnsLimits } from "./types.ts";

/** Bytes towards the client that may wait for it to read. */
const maxWaiting = 256 * 1024;

/** Shorter than a DNS header: nobody's query. */
const minFrame = 12;

/** One client's connection, as whoever answers sees it. */
export interface Connection {
  readonly client: Client;
  /** Writes one message with its length; resolves when the kernel has taken it or the connection is gone. */
  send(message: Uint8Array): Promise<void>;
  /** Closes at once. */
  destroy(): void;
  /** Runs, instead of closing our side, when the client sends no more and all it sent was dealt with. */
  onEnd(run: () => void): void;
  /** Runs when the connection is gone. */
  onClose(run: () => void): void;
}

export interface TcpParts {
  limits: DnsLimits;
  gate: Gate;
  /** Who is connecting, or null where that cannot be said (the connection is then closed). */
  identify: (socket: net.Socket) => Client | null;
  /** Deals with one message; resolves when it is done with. Never rejects. */
  handle: (connection: Connection, message: Uint8Array) => Promise<void>;
  /** A connection was turned away by a limit. */
  refused: () => void;
}

/** Serves a socket that a listening server accepted. */
export function serveConnection(socket: net.Socket, parts: TcpParts): void {
  socket.on("error", () => socket.destroy());
  const client = parts.identify(socket);
  if (client === null) return void socket.destroy();
  if (!parts.gate.enter(client)) {
    parts.refused();
    return void socket.destroy();
  }
  socket.on("close", () => parts.gate.leave(client));
  new ServedConnection(socket, client, parts).start();
}

class ServedConnection implements Connection {
  readonly client: Client;
  private readonly socket: net.Socket;
  private readonly parts: TcpParts;
  private readonly frames = new FrameReader();
  private readonly waiting: Uint8Array[] = [];
  private underWay = 0;
  private ended = false;
  private finish = (): void => void this.socket.end();
  private readonly idle: ReturnType<typeof setTimeout>;

  constructor(socket: net.Socket, client: Client, parts: TcpParts) {
    this.socket = socket;
    this.client = client;
    this.parts = parts;
    this.idle = setTimeout(() => this.destroy(), parts.limits.idle);
  }

  start(): void {
    // A client may shut its side after the last query and still wait for the answers.
    this.socket.allowHalfOpen = true;
    this.socket.setNoDelay(true);
    this.socket.on("close", () => clearTimeout(this.idle));
    this.socket.on("data", (chunk: Uint8Array) => this.read(chunk));
    this.socket.on("end", () => {
      this.ended = true;
      this.advance();
    });
  }

  send(message: Uint8Array): Promise<void> {
    if (this.socket.destroyed) return Promise.resolve();
    if (this.socket.writableLength > maxWaiting) {
      this.destroy();
      return Promise.resolve();
    }
    this.idle.refresh();
    return new Promise((resolve) => this.socket.write(frame(message), () => resolve()));
  }

  destroy(): void {
    this.socket.destroy();
  }

  onEnd(run: () => void): void {
    this.finish = run;
  }

  onClose(run: () => void): void {
    if (this.socket.destroyed) run();
    else this.socket.once("close", run);
  }

  private read(chunk: Uint8Array): void {
    const messages = this.frames.push(chunk);
    if (messages.some((message) => message.length < minFrame)) return this.destroy();
    // Only whole messages count as activity: a byte now and then does not keep a place.
    if (messages.length > 0) this.idle.refresh();
    this.waiting.push(...messages);
    this.advance();
  }

  /** Takes up waiting messages as far as the pipeline allows; reads on only when none wait. */
  private advance(): void {
    while (this.underWay < this.parts.limits.pipeline && this.waiting.length > 0 && !this.socket.destroyed) {
      this.underWay++;
      void this.parts.handle(this, this.waiting.shift()!).finally(() => {
        this.underWay--;
        this.advance();
      });
    }
    if (this.waiting.length > 0) this.socket.pause();
    else if (this.ended && this.underWay === 0) this.finish();
    else this.socket.resume();
  }
}
