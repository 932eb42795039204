/**
 * The lab's DNS servers: UDP and TCP on the resolver addresses, and the same answers for DNS over TLS and HTTPS. Each
 * query that arrives is logged before anything else happens to it: the log is the DNS half of the sink.
 */
import { createSocket } from "node:dgram";
import type { Socket as UdpSocket } from "node:dgram";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { decodeQuery, encodeFormatError, encodeResponse } from "./dns-message.ts";
import type { Query } from "./dns-message.ts";
import { plainAddress } from "./plain-address.ts";
import { ZoneTable } from "./zone.ts";
import type { Zone } from "./zone.ts";

/** One query as it arrived. `at` is milliseconds since the epoch; `name` keeps its case. */
export type QueryRecord = {
  at: number;
  server: string;
  transport: "udp" | "tcp" | "tls" | "https";
  client: string;
  id: number;
  name: string;
  type: string;
  bytes: number;
};

type Arrival = Pick<QueryRecord, "server" | "transport" | "client">;

/** The log keeps this many queries; older ones only count. */
const maxLogged = 100_000;

export class DnsServer {
  readonly zone: ZoneTable;
  #log: QueryRecord[] = [];
  #forgotten = 0;

  constructor(zone: Zone) {
    this.zone = new ZoneTable(zone);
  }

  /** The queries so far, oldest first, and how many older ones no longer fit. */
  queries(): { queries: QueryRecord[]; forgotten: number } {
    return { queries: this.#log, forgotten: this.#forgotten };
  }

  forget(): void {
    this.#log = [];
    this.#forgotten = 0;
  }

  /**
   * The messages to send back for one message, in order: usually one, none when the zone drops it, two when it forges.
   */
  async answer(message: Buffer, arrival: Arrival): Promise<Buffer[]> {
    const query = decodeQuery(message);
    this.#record({
      at: Date.now(),
      ...arrival,
      id: query?.id ?? -1,
      name: query?.name ?? "",
      type: query?.type ?? "MALFORMED",
      bytes: message.length,
    });
    if (query === null) return [encodeFormatError(message)];
    const delegate = this.zone.entry(query.name)?.delegate;
    if (delegate !== undefined) return ask(message, delegate);
    const { rcode, answers, entry } = this.zone.resolve(query.name, query.type);
    if (this.zone.takeDrop(entry)) return [];
    if (entry?.delayMs !== undefined) await sleep(entry.delayMs);
    const whole = encodeResponse(query, { rcode, answers });
    const limited = arrival.transport === "udp" && (entry?.truncate === true || whole.length > query.udpSize);
    const response = limited ? encodeResponse(query, { rcode, answers: [], truncated: true }) : whole;
    return entry?.forge === undefined ? [response] : [forged(query, whole, entry.forge), response];
  }

  /** Serves UDP on one address, port 53 unless told otherwise. */
  async listenUdp(address: string, port = 53): Promise<UdpSocket> {
    const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", recvBufferSize: 1 << 20 });
    socket.on("message", (message, from) => {
      void this.answer(message, { server: address, transport: "udp", client: from.address }).then((responses) => {
        for (const response of responses) socket.send(response, from.port, from.address, () => {});
      });
    });
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(port, address, resolve);
    });
    return socket;
  }

  /** Serves length-prefixed messages on one stream until it ends (RFC 7766; RFC 7858 over TLS). */
  serveStream(stream: Duplex, socket: Socket, transport: "tcp" | "tls"): void {
    const arrival: Arrival = {
      server: plainAddress(socket.localAddress),
      transport,
      client: plainAddress(socket.remoteAddress),
    };
    let pending = Buffer.alloc(0);
    stream.on("error", () => stream.destroy());
    stream.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const message = pending.subarray(2, 2 + pending.readUInt16BE(0));
        pending = pending.subarray(2 + message.length);
        void this.answer(message, arrival).then((responses) => {
          for (const response of responses) {
            const length = Buffer.of(response.length >> 8, response.length & 255);
            if (stream.writable) stream.write(Buffer.concat([length, response]));
          }
        });
      }
    });
  }

  #record(query: QueryRecord): void {
    if (this.#log.length >= maxLogged) {
      this.#log.shift();
      this.#forgotten++;
    }
    this.#log.push(query);
  }
}

/** How long a delegate may take: longer than tunnels hold a question back in wait for something to answer it with. */
const delegateMs = 10_000;

/** Puts a question to another name server over UDP; no answer is none. */
function ask(message: Buffer, { address, port }: { address: string; port: number }): Promise<Buffer[]> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  return new Promise((resolve) => {
    const end = (answers: Buffer[]): void => {
      clearTimeout(late);
      socket.close();
      resolve(answers);
    };
    const late = setTimeout(() => end([]), delegateMs);
    socket.once("message", (answer) => end([answer])).once("error", () => end([]));
    socket.send(message, port, address);
  });
}

/** A response that a careful resolver does not take: another transaction's, another question's, or no DNS at all. */
function forged(query: Query, response: Buffer, how: "id" | "question" | "garbage"): Buffer {
  if (how === "garbage") return Buffer.alloc(response.length, 0xff);
  if (how === "question")
    return encodeResponse({ ...query, name: `not-${query.name}` }, { rcode: "NOERROR", answers: [] });
  const copy = Buffer.from(response);
  copy.writeUInt16BE((query.id + 1) & 0xffff, 0);
  return copy;
}
