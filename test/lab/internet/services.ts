/**
 * The lab's plain TCP and UDP servers: echo, a server that speaks first, one that answers at the end, SSH, a CONNECT proxy, DNS and HTTP on
 * any port. `Listeners` also opens more of them at run time.
 */
import { createSocket } from "node:dgram";
import { createHash } from "node:crypto";
import { createServer as createHttpServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import type { DnsServer } from "./dns-server.ts";
import type { GitShell } from "./git-shell.ts";
import { MarkerWatch } from "./marker-watch.ts";
import type { PlaintextSighting } from "./marker-watch.ts";
import { plainAddress } from "./plain-address.ts";
import type { Sites } from "./sites.ts";
import type { Web } from "./web.ts";

/** What can listen. `https` and `dns-tls` use the certificates of the address that the client reached. */
export type ServiceKind =
  | "echo"
  | "banner"
  | "digest"
  | "ssh"
  | "http"
  | "https"
  | "proxy"
  | "dns-tcp"
  | "dns-tls"
  | "udp-echo"
  | "dns-udp";

/** TCP kinds listen on every address of the internet; the UDP kinds need one `address`. */
export type ServiceRequest = { kind: ServiceKind; port: number; address?: string };

type Parts = { dns: DnsServer; sites: Sites; web: Web; shell: GitShell; report: (sighting: PlaintextSighting) => void };

export class Listeners {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Resolves when the service listens; rejects when it cannot. */
  async open({ kind, port, address = "::" }: ServiceRequest): Promise<void> {
    if (kind === "dns-udp") return void (await this.#parts.dns.listenUdp(address, port));
    if (kind === "udp-echo") return listenUdpEcho(address, port);
    const server = this.#tcpServer(kind);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, host: address, backlog: 4096 }, resolve);
    });
  }

  #tcpServer(kind: Exclude<ServiceKind, "dns-udp" | "udp-echo">): Server {
    const { dns, sites, shell } = this.#parts;
    switch (kind) {
      case "echo":
        return tcp((socket) => void socket.pipe(socket));
      case "banner":
        return tcp((socket) => {
          socket.write("220 tcp.example ready\r\n");
          socket.pipe(socket);
        });
      case "digest":
        return digestServer();
      case "ssh":
        return tcp((socket) => {
          if (shell.serves(socket)) return void shell.serve(socket).catch(() => socket.destroy());
          socket.write("SSH-2.0-Lab_1.0\r\n");
          socket.resume();
        });
      case "dns-tcp":
        return tcp((socket) => dns.serveStream(socket, socket, "tcp"));
      case "dns-tls":
        return tcp((socket) => {
          void sites.secure(socket).then((stream) => dns.serveStream(stream, socket, "tls"));
        });
      case "https":
        return createServer({ noDelay: true }, sites.serve);
      case "http":
        return this.#http();
      case "proxy":
        return this.#proxy();
    }
  }

  #http(): Server {
    const server = createHttpServer({ keepAliveTimeout: 30_000, noDelay: true }, this.#parts.web.listener);
    server.on("clientError", (error: Error & { rawPacket?: Buffer }, socket) => this.#notHttp(error, socket as Socket));
    return server;
  }

  /** An HTTP proxy that tunnels to any name of the lab's zone or any address (RFC 9110 section 9.3.6). */
  #proxy(): Server {
    const server = createHttpServer(this.#parts.web.listener);
    server.on("clientError", (error: Error & { rawPacket?: Buffer }, socket) => this.#notHttp(error, socket as Socket));
    server.on("connect", (request: IncomingMessage, stream, head: Buffer) => {
      const client = stream as Socket;
      client.on("error", () => client.destroy());
      const match = /^\[?([^\]]+?)\]?:(\d+)$/.exec(request.url ?? "");
      const { answers } = this.#parts.dns.zone.resolve(match?.[1] ?? "", "A");
      const found = answers.find((answer) => answer.type === "A");
      const address = found?.type === "A" ? found.data : match?.[1];
      if (match === null || address === undefined) return void client.end("HTTP/1.1 400 Bad Request\r\n\r\n");
      const upstream = connect({ host: address, port: Number(match[2]) }, () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        upstream.write(head);
        upstream.pipe(client).pipe(upstream);
      });
      upstream.on("error", () => client.destroy());
    });
    return server;
  }

  #notHttp(error: Error & { rawPacket?: Buffer }, socket: Socket): void {
    const address = plainAddress(socket.localAddress);
    const about = { address, port: socket.localPort ?? 0, server: address, where: "tcp stream" };
    if (error.rawPacket !== undefined) new MarkerWatch(about, this.#parts.report).feed(error.rawPacket);
    socket.destroy();
  }
}

function tcp(serve: (socket: Socket) => void): Server {
  return createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    serve(socket);
  });
}

/** Reads until the client has no more to send, and only then answers: the digest of what it read. */
function digestServer(): Server {
  return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const hash = createHash("sha256");
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => hash.update(chunk));
    socket.on("end", () => void setTimeout(() => socket.end(`${hash.digest("hex")}\n`), 300));
  });
}

function listenUdpEcho(address: string, port: number): Promise<void> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (message, from) => socket.send(message, from.port, from.address, () => {}));
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, resolve);
  });
}
