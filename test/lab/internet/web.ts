/**
 * What the lab's web servers answer, over HTTP/1.1 and HTTP/2, TLS or not: JSON that says which virtual host of which
 * address answered and what it read, so that a test scores at the far end. Some names serve more: an npm registry, a
 * Python index, a Debian archive, git, DNS over HTTPS. Every name takes WebSockets.
 *
 *   /bytes/N            N zero bytes                /slow?seconds=S   one byte each 100 ms for S seconds
 *   /status/N           that status code            /redirect?to=URL  302
 *   anything else       the JSON, after the whole request body was read
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { AptRepository } from "./apt-repository.ts";
import type { DnsServer } from "./dns-server.ts";
import type { GitServer } from "./git-server.ts";
import { tenant } from "./hosting.ts";
import type { Hosting } from "./hosting.ts";
import { MarkerWatch } from "./marker-watch.ts";
import type { PlaintextSighting } from "./marker-watch.ts";
import type { NpmRegistry } from "./npm-registry.ts";
import type { PipIndex } from "./pip-index.ts";
import { plainAddress } from "./plain-address.ts";

export type WebRequest = IncomingMessage | Http2ServerRequest;
export type WebResponse = ServerResponse | Http2ServerResponse;

/** What a server says about a request it answered. */
export type WebReport = {
  /** The virtual host that answered: the Host's if this address serves it, else the SNI's, else the address's first. */
  server: string;
  address: string;
  port: number;
  client: string;
  protocol: "http/1.0" | "http/1.1" | "h2";
  tls: boolean;
  sni: string | null;
  host: string | null;
  method: string;
  path: string;
  bodyBytes: number;
};

type Services = {
  hosting: Hosting;
  dns: DnsServer;
  registry: NpmRegistry;
  git: GitServer;
  pip: PipIndex;
  apt: AptRepository;
  report: (sighting: PlaintextSighting) => void;
};

const zeros = Buffer.alloc(65_536);

export class Web {
  readonly #services: Services;
  readonly requests: WebReport[] = [];

  constructor(services: Services) {
    this.#services = services;
  }

  /** The request listener of every HTTP server of the lab; never rejects. */
  readonly listener = (request: WebRequest, response: WebResponse): void => {
    this.#answer(request, response).catch(() => response.destroy());
  };

  async #answer(request: WebRequest, response: WebResponse): Promise<void> {
    const report = this.#identify(request);
    const watch = new MarkerWatch(
      { address: report.address, port: report.port, server: report.server, where: `${report.protocol} request` },
      this.#services.report,
    );
    watch.feed(`${report.method} ${report.path} ${report.sni} ${JSON.stringify(request.headers)} `);
    this.requests.push(report);
    const url = new URL(report.path, "http://lab.invalid");
    if (report.server === "registry.npm.example") return this.#services.registry.answer(request, response, url);
    if (report.server === "git.example") return this.#services.git.answer(request, response, url);
    if (/^(v[46]\.)?pypi\.example$/.test(report.server)) return this.#services.pip.answer(request, response, url);
    if (report.server === "apt.example") return this.#services.apt.answer(request, response, url);
    const body: Buffer[] = [];
    const isDns = url.pathname === "/dns-query";
    for await (const chunk of request as AsyncIterable<Buffer>) {
      report.bodyBytes += chunk.length;
      watch.feed(chunk);
      if (isDns && report.bodyBytes <= 65_535) body.push(chunk);
    }
    if (isDns) return this.#answerDns(report, url, Buffer.concat(body), response);
    const [, verb, argument] = url.pathname.split("/");
    if (verb === "bytes") return sendZeros(response, Number(argument));
    if (verb === "slow") return sendSlowly(response, Number(url.searchParams.get("seconds") ?? 1));
    if (verb === "redirect") return end(response, 302, { location: url.searchParams.get("to") ?? "/" }, "");
    const status = verb === "status" ? Number(argument) : 200;
    end(response, status, { "content-type": "application/json" }, `${JSON.stringify(report)}\n`);
  }

  #identify(request: WebRequest): WebReport {
    const { socket } = request;
    const address = plainAddress(socket.localAddress);
    const sni = ("servername" in socket && typeof socket.servername === "string" && socket.servername) || null;
    const authority = request.headers[":authority"];
    const host = request.headers.host ?? (typeof authority === "string" ? authority : null);
    const bySni = tenant(this.#services.hosting, address, sni ?? undefined);
    const hostName = host?.replace(/:\d+$/, "");
    const byHost = hostName === undefined ? bySni : tenant(this.#services.hosting, address, hostName);
    return {
      server: byHost === hostName?.toLowerCase().replace(/\.$/, "") ? byHost : bySni,
      address,
      port: socket.localPort ?? 0,
      client: plainAddress(socket.remoteAddress),
      protocol: request.httpVersion === "2.0" ? "h2" : request.httpVersion === "1.0" ? "http/1.0" : "http/1.1",
      tls: "encrypted" in socket && socket.encrypted,
      sni,
      host,
      method: request.method ?? "",
      path: request.url ?? "/",
      bodyBytes: 0,
    };
  }

  /** RFC 8484: POST with the message as the body, or GET with it in `dns`. */
  async #answerDns(report: WebReport, url: URL, body: Buffer, response: WebResponse): Promise<void> {
    const message = report.method === "POST" ? body : Buffer.from(url.searchParams.get("dns") ?? "", "base64url");
    const arrival = { server: report.address, transport: "https" as const, client: report.client };
    const [answer] = (await this.#services.dns.answer(message, arrival)).slice(-1);
    if (answer === undefined) return end(response, 504, {}, "");
    end(response, 200, { "content-type": "application/dns-message" }, answer);
  }
}

/** Ends a response of either protocol version with a whole body. */
export function end(
  response: WebResponse,
  status: number,
  headers: Record<string, string>,
  body: string | Buffer,
): void {
  const write = response as ServerResponse;
  write.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(body)) });
  write.end(body);
}

async function sendZeros(response: WebResponse, count: number): Promise<void> {
  const write = response as ServerResponse;
  if (!Number.isSafeInteger(count) || count < 0) return end(response, 400, {}, "");
  write.writeHead(200, { "content-type": "application/octet-stream", "content-length": String(count) });
  let left = count;
  const source = new Readable({
    read() {
      if (left === 0) return void this.push(null);
      const size = Math.min(left, zeros.length);
      left -= size;
      this.push(zeros.subarray(0, size));
    },
  });
  await pipeline(source, write);
}

async function sendSlowly(response: WebResponse, seconds: number): Promise<void> {
  const write = response as ServerResponse;
  write.writeHead(200, { "content-type": "text/plain" });
  for (let i = 0; i < seconds * 10 && !write.destroyed; i++) {
    write.write(".");
    await sleep(100);
  }
  write.end("\n");
}
