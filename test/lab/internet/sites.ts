/**
 * The lab's TLS servers: one per address, made when the first client reaches it, each with its own default certificate
 * and a certificate for every tenant of that address. A name that the address does not serve gets the default, as on a
 * real shared host.
 */
import type { IncomingMessage } from "node:http";
import { createSecureServer } from "node:http2";
import type { Http2SecureServer } from "node:http2";
import type { Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { SecureContext } from "node:tls";
import type { CertificateIssuer } from "./certificates.ts";
import { tenant } from "./hosting.ts";
import type { Hosting } from "./hosting.ts";
import { MarkerWatch } from "./marker-watch.ts";
import type { PlaintextSighting } from "./marker-watch.ts";
import { plainAddress } from "./plain-address.ts";
import type { Web } from "./web.ts";
import { echoWebSocket } from "./websocket.ts";

export class Sites {
  readonly #issuer: CertificateIssuer;
  readonly #hosting: Hosting;
  readonly #web: Web;
  readonly #report: (sighting: PlaintextSighting) => void;
  readonly #contexts = new Map<string, Promise<SecureContext>>();
  readonly #servers = new Map<string, Promise<Http2SecureServer>>();

  constructor(issuer: CertificateIssuer, hosting: Hosting, web: Web, report: (sighting: PlaintextSighting) => void) {
    this.#issuer = issuer;
    this.#hosting = hosting;
    this.#web = web;
    this.#report = report;
  }

  /** HTTPS on an accepted TCP connection. */
  readonly serve = (socket: Socket): void => {
    socket.on("error", () => socket.destroy());
    const address = plainAddress(socket.localAddress);
    let server = this.#servers.get(address);
    if (server === undefined) {
      server = this.#create(address);
      this.#servers.set(address, server);
    }
    void server.then((ready) => ready.emit("connection", socket));
  };

  /** A TLS stream on an accepted TCP connection, for protocols other than HTTP. */
  async secure(socket: Socket): Promise<TLSSocket> {
    const address = plainAddress(socket.localAddress);
    const { key, cert } = await this.#issuer.issue(tenant(this.#hosting, address, undefined));
    const SNICallback = this.#selector(address);
    return new TLSSocket(socket, { isServer: true, secureContext: createSecureContext({ key, cert }), SNICallback });
  }

  async #create(address: string): Promise<Http2SecureServer> {
    const first = tenant(this.#hosting, address, undefined);
    const { key, cert } = await this.#issuer.issue(first);
    const server = createSecureServer({ allowHTTP1: true, key, cert, SNICallback: this.#selector(address) });
    server.on("request", this.#web.listener);
    server.on("upgrade", (request: IncomingMessage, socket: TLSSocket, head: Buffer) => {
      const about = { address, port: 443, server: socket.servername || first, where: "websocket" };
      const watch = new MarkerWatch(about, this.#report);
      echoWebSocket(request, socket, head, (bytes) => watch.feed(bytes));
    });
    server.on("sessionError", () => {});
    server.on("tlsClientError", () => {});
    // What is no HTTP still reached us decrypted: the sink must know.
    server.on("clientError", (error: Error & { rawPacket?: Buffer }, socket: Socket) => {
      const watch = new MarkerWatch({ address, port: 443, server: first, where: "tls stream" }, this.#report);
      if (error.rawPacket !== undefined) watch.feed(error.rawPacket);
      socket.destroy();
    });
    return server;
  }

  #selector(address: string) {
    return (name: string, done: (error: Error | null, context?: SecureContext) => void): void => {
      this.#context(tenant(this.#hosting, address, name)).then(
        (context) => done(null, context),
        (error: Error) => done(error),
      );
    };
  }

  /** Made once for each name: hundreds of clients come at the same time. */
  #context(name: string): Promise<SecureContext> {
    let context = this.#contexts.get(name);
    if (context === undefined) {
      context = this.#issuer.issue(name).then(({ key, cert }) => createSecureContext({ key, cert }));
      this.#contexts.set(name, context);
    }
    return context;
  }
}
