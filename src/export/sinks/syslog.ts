/**
 * RFC 5424 syslog over UDP (RFC 5426), TCP (RFC 6587, octet counting) and TLS (RFC 5425).
 *
 * Syslog has no answer that says "I have it", and bytes that a socket took may never be read. So over TCP and TLS each batch
 * is a connection of its own: we end our half, and only when the other side ends its own without an error does the batch
 * count as taken. A receiver that dies with bytes unread resets the connection (its kernel does), one that hangs runs into
 * the time limit; both are sent the batch again. UDP tells nothing but "nobody listens there": what is lost on the way is lost.
 */
import dgram from "node:dgram";
import net from "node:net";
import { hostname } from "node:os";
import tls from "node:tls";
import type { SinkConfig } from "../../config/sink.ts";
import { version } from "../../version.ts";
import type { Sink } from "../courier.ts";
import { DeliveryFailure } from "../failure.ts";
import { asciiJson, lineOf } from "../formats/format.ts";
import { severityOf } from "../formats/severity.ts";
import type { Outgoing } from "../record.ts";

type SyslogConfig = Extract<SinkConfig, { to: "syslog" }>;

/** RFC 5424, table 2. */
const severities = { info: 6, low: 5, medium: 4, high: 3 } as const;
/** What one datagram can carry over IPv4 without its headers, and a little room. */
const longestDatagram = 65_000;
/** A `sequenceId` goes to 2147483647 and then begins at 1 again (RFC 5424, 7.3.1). */
const lastSequence = 2_147_483_647;

export class SyslogSink implements Sink {
  readonly #config: SyslogConfig;

  constructor(config: SyslogConfig) {
    this.#config = config;
  }

  get to(): string {
    const { transport, host, port } = this.#config;
    return `${transport}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  async deliver(records: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    const messages = records.map((record) => Buffer.from(syslogMessage(record, this.#config)));
    if (this.#config.transport === "udp") {
      await this.#datagrams(messages, signal);
      return;
    }
    const frames = messages.flatMap((message) => [Buffer.from(`${message.length} `), message]);
    await this.#stream(Buffer.concat(frames), signal);
  }

  close(): void {}

  #stream(bytes: Buffer, signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const socket = this.#connect();
      const abort = () => void socket.destroy(new DeliveryFailure("broken off"));
      const stage = { ended: false, answered: false };
      let settle: NodeJS.Timeout | undefined;
      signal.addEventListener("abort", abort);
      if (signal.aborted) abort();
      socket.on("error", reject);
      socket.once(this.#config.transport === "tls" ? "secureConnect" : "connect", () => {
        socket.write(bytes, () => {
          settle = setTimeout(() => {
            stage.ended = true;
            socket.end();
          }, settleMs);
        });
      });
      // Read what comes, or the other side's end is never seen.
      socket.resume();
      socket.on("end", () => {
        stage.answered = stage.ended;
        if (!stage.ended)
          socket.destroy(new DeliveryFailure("the receiver closed the connection before the batch ended"));
      });
      socket.on("close", () => {
        clearTimeout(settle);
        signal.removeEventListener("abort", abort);
        // After an error this is too late to matter.
        if (stage.answered) resolve();
        else reject(new DeliveryFailure("the connection ended before all was taken"));
      });
    });
  }

  #connect(): net.Socket {
    const { transport, host, port } = this.#config;
    if (transport !== "tls") return net.connect({ host, port, allowHalfOpen: true });
    // SNI is for names; an address is checked against the addresses in the certificate.
    const name = net.isIP(host) === 0 ? { servername: host } : {};
    // The check is said, not left to the default: a variable of the environment changes that.
    const check = { ...this.#config.tls, minVersion: "TLSv1.2", rejectUnauthorized: true } as const;
    const stay = { allowHalfOpen: true };
    return tls.connect({ host, port, ...check, ...name, ...stay });
  }

  async #datagrams(messages: readonly Buffer[], signal: AbortSignal): Promise<void> {
    const { host, port } = this.#config;
    const long = messages.find((message) => message.length > longestDatagram);
    if (long !== undefined) {
      throw new DeliveryFailure(`a message of ${long.length} bytes does not fit into a datagram`, { tooLarge: true });
    }
    const { lookup } = await import("node:dns/promises");
    const { address, family } = await lookup(host);
    const socket = dgram.createSocket(family === 6 ? "udp6" : "udp4");
    try {
      await new Promise<void>((resolve, reject) => {
        socket.on("error", reject);
        signal.addEventListener("abort", () => reject(new DeliveryFailure("broken off")), { once: true });
        socket.connect(port, address, () => resolve());
      });
      for (const message of messages) {
        await new Promise<void>((resolve, reject) => {
          socket.send(message, (error) => (error === null ? resolve() : reject(error)));
        });
      }
      // An ICMP error about the last ones comes a moment later, and fails the next call on the socket.
      await new Promise<void>((resolve, reject) => {
        socket.once("error", reject);
        setTimeout(resolve, icmpMs);
      });
    } finally {
      socket.close();
    }
  }
}

/**
 * Between the last byte of a batch and our end of the connection, milliseconds: by then the bytes are at the receiver, and a
 * receiver that closes without having read them all resets the connection instead of ending it.
 */
const settleMs = 100;
/** How long a refusal is waited for, milliseconds. */
const icmpMs = 50;

/** One message, RFC 5424, section 6. Nothing that a job chose stands before MSG. */
export function syslogMessage(
  record: Outgoing,
  { facility, format }: Pick<SyslogConfig, "facility" | "format">,
): string {
  const { event } = record;
  const priority = facility * 8 + severities[severityOf(event)];
  const sequence = ((event.seq - 1) % lastSequence) + 1;
  const data = `[meta sequenceId="${sequence}"][origin software="sallyport" swVersion="${version}"]`;
  const line = lineOf(record, format);
  // JSON in ASCII needs no word on its encoding; CEF is UTF-8 by its own rules.
  const text = format === "cef" ? `\u{feff}${line}` : asciiJson(line);
  return `<${priority}>1 ${event.time} ${printable(hostname(), 255)} sallyport ${process.pid} ${event.kind} ${data} ${text}`;
}

/** PRINTUSASCII of a header field; `-` where nothing is left. */
function printable(text: string, most: number): string {
  return text.replaceAll(/[^\u0021-\u007e]/g, "").slice(0, most) || "-";
}
