/**
 * The far end: listeners that take anything and answer a little, a packet capture where we are root, and the witness behind
 * both. Runs in a range's own namespace or on a server of the user's. It sends nothing but answers.
 */
import { randomBytes } from "node:crypto";
import dgram from "node:dgram";
import net from "node:net";
import tls from "node:tls";
import { echoOf } from "../canary.ts";
import { throwAwayCertificate } from "./certificate.ts";
import { converseOn, type Surroundings } from "./conversation.ts";
import { answerTo, type Zone } from "./name-server.ts";
import { helloOf, readRequest, type Serving, sign, type Testimony } from "./testimony.ts";
import { endpoint, Witness } from "./witness.ts";

export interface SinkOptions {
  token: string;
  tcp: readonly number[];
  /** Addresses to answer UDP at; `::` and its kin take every address, but answer from the machine's first. */
  udp: readonly { address: string; port: number }[];
  zone: Zone;
  zoneName: string | null;
  /** Capture packets; `auto`: where that is possible. */
  capture: boolean | "auto";
}

/** How often the capture is read. */
const pollMs = 20;

export class Sink {
  readonly id = randomBytes(8).toString("hex");
  readonly #since = new Date().toISOString();
  readonly #token: string;
  readonly #witness: Witness;
  readonly #servers: (net.Server | dgram.Socket)[] = [];
  #capture: Capture | null = null;
  #timer: NodeJS.Timeout | undefined;
  readonly serving: Serving;
  /** What could not be served, in words. */
  readonly missing: string[] = [];

  private constructor(options: SinkOptions) {
    this.#token = options.token;
    this.#witness = new Witness(options.token);
    this.serving = { tcp: [], udp: [], zone: options.zoneName, capture: false };
  }

  /** Opens what can be opened; `missing` says what could not. Rejects where a demanded capture is not possible. */
  static async start(options: SinkOptions): Promise<Sink> {
    const sink = new Sink(options);
    const around: Surroundings = {
      token: options.token,
      witness: sink.#witness,
      zone: options.zone,
      control: (path, body) => sink.#control(path, body),
    };
    if (options.capture !== false) await sink.#startCapture(options.capture === true);
    const secure = tls.createServer(throwAwayCertificate("sink.invalid"), (socket) =>
      converseOn(socket, "tls", whereOf(socket), around),
    );
    secure.on("tlsClientError", () => {});
    for (const port of new Set(options.tcp)) {
      await sink
        .#open(`TCP port ${port}`, () => listenTcp(port, secure, around))
        .then((server) => {
          if (server !== null) sink.serving.tcp.push(port);
        });
    }
    for (const { address, port } of options.udp) {
      await sink
        .#open(`UDP port ${port}`, () => listenUdp(address, port, around))
        .then((server) => {
          if (server !== null && !sink.serving.udp.includes(port)) sink.serving.udp.push(port);
        });
    }
    return sink;
  }

  /** What was seen until now, signed. */
  testimony(nonce: string | null = null): Testimony {
    this.#capture?.drain((packet) => this.#witness.seePacket(packet));
    return sign(this.#token, {
      schema: "sallyport.testimony/1",
      sink: this.id,
      since: this.#since,
      until: new Date().toISOString(),
      nonce,
      serving: this.serving,
      sightings: this.#witness.sightings(),
      incomplete: this.#witness.overflowed || (this.#capture?.dropped() ?? 0) > 0,
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#capture?.close();
    for (const server of this.#servers) server.close();
  }

  async #startCapture(isDemanded: boolean): Promise<void> {
    try {
      // Loads the C library, which a sink without a capture does without.
      const { PacketCapture } = await import("../../kernel/capture.ts");
      const capture = new PacketCapture();
      this.#capture = capture;
      this.#timer = setInterval(() => capture.drain((packet) => this.#witness.seePacket(packet)), pollMs);
      this.serving.capture = true;
    } catch (error) {
      if (isDemanded) throw error;
      this.missing.push(`packets of other protocols and ports: ${(error as Error).message}`);
    }
  }

  async #open(what: string, open: () => Promise<net.Server | dgram.Socket>): Promise<net.Server | dgram.Socket | null> {
    try {
      const server = await open();
      this.#servers.push(server);
      return server;
    } catch (error) {
      this.missing.push(`${what}: ${(error as Error).message}`);
      return null;
    }
  }

  /** The first contact and the testimony, for whoever shows that he holds the token; for others there is no such page. */
  #control(path: string, body: string): string | null {
    const purpose = path.slice("/.sallyport/".length);
    const nonce = readRequest(this.#token, purpose, body);
    if (nonce === null) return null;
    if (purpose === "hello") return helloOf(this.#token, nonce, this.id, this.serving);
    return purpose === "testimony" ? JSON.stringify(this.testimony(nonce)) : null;
  }
}

interface Capture {
  drain(take: (packet: Uint8Array) => void): void;
  dropped(): number;
  close(): void;
}

function whereOf(socket: net.Socket): string {
  return endpoint((socket.localAddress ?? "?").replace(/^::ffff:/, ""), socket.localPort ?? 0);
}

/** Takes TLS and plain text on the same port: the first byte of a hello is 22. */
function listenTcp(port: number, secure: tls.Server, around: Surroundings): Promise<net.Server> {
  const server = net.createServer((socket) => {
    const where = whereOf(socket);
    socket.on("error", () => {});
    socket.setTimeout(30_000, () => socket.destroy());
    let held = Buffer.alloc(0);
    const wait = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      // A hello may come in pieces, and a canary in it be cut: one that is made by hand never becomes a handshake.
      const isHello = held[0] === 22;
      if (isHello && (held.length < 5 || held.length < 5 + held.readUInt16BE(3))) return;
      socket.off("data", wait);
      socket.pause();
      const found = around.witness.see(held, "tcp", where);
      socket.unshift(held);
      // TLS takes what was put back, and the socket, for itself.
      if (isHello && found.length === 0) return void secure.emit("connection", socket);
      converseOn(socket, "tcp", where, around);
      socket.resume();
    };
    socket.on("data", wait);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "::", backlog: 511 }, () => resolve(server));
  });
}

function listenUdp(address: string, port: number, { token, witness, zone }: Surroundings): Promise<dgram.Socket> {
  const isV6 = address.includes(":");
  const socket = dgram.createSocket(isV6 ? "udp6" : "udp4");
  socket.on("message", (message, from) => {
    const [canary] = witness.see(message, port === 53 ? "dns" : "udp", endpoint(address, port));
    const echo = canary === undefined ? "ok" : `echo: ${echoOf(token, canary)}`;
    const answer = port === 53 ? answerTo(message, zone, echo) : null;
    // Never more than was sent: no use to anybody who forges a source.
    const reply = answer ?? (canary === undefined ? null : Buffer.from(echo).subarray(0, message.length * 3));
    if (reply !== null) socket.send(reply, from.port, from.address, () => {});
  });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, () => resolve(socket));
  });
}
