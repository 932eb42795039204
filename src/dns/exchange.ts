/**
 * One message to one server and the first reply that the caller accepts, over UDP or TCP. Every exchange has a socket of
 * its own: the kernel picks a random source port and, the socket being connected, drops datagrams from anyone else. What
 * counts as a reply is the caller's judgement; time and open sockets are bounded here.
 */
import dgram from "node:dgram";
import net from "node:net";
import { parseAddress } from "../address/ip.ts";
import { FrameReader, frame } from "./frames.ts";
import type { Endpoint } from "./types.ts";

/** Why there is no reply. `closed`: {@link Exchanges.close} cut the exchange off. */
export type NoReply = "timeout" | "unreachable" | "closed";

export type Reply<T> = { reply: T } | { failed: NoReply };

/** The reply made of a message, or null to wait for another one. */
type Accept<T> = (message: Uint8Array) => T | null;

export class Exchanges {
  private readonly open = new Set<() => void>();

  /** Sends one datagram; `timeout` in milliseconds. Never rejects. */
  udp<T>(server: Endpoint, message: Uint8Array, timeout: number, accept: Accept<T>): Promise<Reply<T>> {
    const six = net.isIPv6(server.address);
    // Addresses are literals: the system's resolver, which may be this very firewall, is never asked.
    const lookup: dgram.SocketOptions["lookup"] = (host, _options, done) => done(null, host, six ? 6 : 4);
    return this.run(timeout, (finish) => {
      const socket = dgram.createSocket({ type: six ? "udp6" : "udp4", lookup });
      socket.on("error", () => finish({ failed: "unreachable" }));
      socket.on("message", (bytes, from) => {
        // Between bind and connect the kernel queues what anyone sends; only the server asked may answer.
        if (from.port !== server.port || plain(from.address) !== plain(server.address)) return;
        const reply = accept(bytes);
        if (reply !== null) finish({ reply });
      });
      socket.on("connect", () => socket.send(message));
      socket.connect(server.port, server.address);
      return () => socket.close();
    });
  }

  /** Sends one message on a connection of its own; `timeout` in milliseconds. Never rejects. */
  tcp<T>(server: Endpoint, message: Uint8Array, timeout: number, accept: Accept<T>): Promise<Reply<T>> {
    return this.run(timeout, (finish) => {
      const frames = new FrameReader();
      const socket = net.connect({ host: server.address, port: server.port, noDelay: true });
      socket.on("error", () => finish({ failed: "unreachable" }));
      socket.on("close", () => finish({ failed: "unreachable" }));
      socket.on("connect", () => socket.write(frame(message)));
      socket.on("data", (chunk: Uint8Array) => {
        for (const bytes of frames.push(chunk)) {
          const reply = accept(bytes);
          if (reply !== null) return finish({ reply });
        }
      });
      return () => socket.destroy();
    });
  }

  /** Ends all exchanges under way. */
  close(): void {
    // A Set's iteration allows that each call takes its own entry out.
    for (const end of this.open) end();
  }

  /** Runs `start` until it finishes, times out or is closed; the cleanup that `start` returns is called exactly once. */
  private run<T>(timeout: number, start: (finish: (outcome: Reply<T>) => void) => () => void): Promise<Reply<T>> {
    return new Promise((resolve) => {
      let done = false;
      let cleanup: (() => void) | null = null;
      const finish = (outcome: Reply<T>): void => {
        if (done) return;
        done = true;
        clearTimeout(timer);
        this.open.delete(end);
        cleanup?.();
        resolve(outcome);
      };
      const end = (): void => finish({ failed: "closed" });
      const timer = setTimeout(() => finish({ failed: "timeout" }), timeout);
      this.open.add(end);
      cleanup = start(finish);
      if (done) cleanup();
    });
  }
}

/** The address without a zone, in one form. */
function plain(text: string): string | null {
  return parseAddress(text.replace(/%.*$/, ""));
}
