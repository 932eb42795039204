/**
 * The ways a probe sends: TCP, TLS, HTTP, UDP and DNS with Node alone. Each makes one attempt, waits a little for an answer
 * and says what it saw; errors of the network are results. Certificates are not checked: what counts is who received what.
 */
import { Resolver } from "node:dns/promises";
import dgram from "node:dgram";
import net from "node:net";
import tls from "node:tls";
import type { Fired, Shot } from "../technique.ts";

/** A target that is not there is no attempt; where the name was refused, the lookup was the attempt. */
export type Target = { address: string } | { refused: string };

/** Asks the machine's own resolver, as a program would. Prefers IPv4. */
export async function lookup(name: string, patience: number): Promise<Target> {
  const resolver = new Resolver({ timeout: patience, tries: 1 });
  try {
    const [address] = await resolver.resolve4(name);
    return address === undefined ? { refused: "no address" } : { address };
  } catch (error) {
    return { refused: codeOf(error) };
  }
}

/** Resolves a name and goes on with its address; a refused name is the end of the attempt. */
export async function towards(name: string, shot: Shot, go: (address: string) => Promise<Fired>): Promise<Fired> {
  const target = await lookup(name, shot.patience);
  return "refused" in target ? { fired: true, saw: `name ${target.refused}` } : go(target.address);
}

/** The collector by its name. */
export function toCollector(shot: Shot, go: (address: string) => Promise<Fired>): Promise<Fired> {
  if (shot.collector.name === null)
    return Promise.resolve({ fired: false, why: "the sink has no name, only an address" });
  return towards(shot.collector.name, shot, go);
}

/** Where the allowed site is. */
export async function siteAddress(shot: Shot, name: string): Promise<Target> {
  return shot.site.address === null ? lookup(name, shot.patience) : { address: shot.site.address };
}

/** The collector by its address of one family. */
export function toAddress(shot: Shot, of: 4 | 6, go: (address: string) => Promise<Fired>): Promise<Fired> {
  const address = of === 4 ? shot.collector.v4 : shot.collector.v6;
  return address === null ? Promise.resolve({ fired: false, why: `the sink has no IPv${of} address` }) : go(address);
}

/** The allowed site's name and where it is; the lookup itself is allowed, so its failure is no attempt. */
export async function toSite(
  shot: Shot,
  name: string | null,
  go: (address: string, name: string) => Promise<Fired>,
): Promise<Fired> {
  if (name === null) return { fired: false, why: "there is no allowed name to use" };
  const target = await siteAddress(shot, name);
  if ("refused" in target) return { fired: false, why: `the allowed name ${name} did not resolve: ${target.refused}` };
  return go(target.address, name);
}

/** The code of a system's or resolver's error. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
}

/** No way at all from this machine: it says nothing about a firewall. */
const isNoWay = (code: string) => ["EAFNOSUPPORT", "EADDRNOTAVAIL", "EPROTONOSUPPORT", "ENETUNREACH"].includes(code);

/** A socket's failure as a result. */
export function failed(error: unknown): Fired {
  const code = codeOf(error);
  return isNoWay(code) ? { fired: false, why: code } : { fired: true, saw: code };
}

/**
 * Sends `first` once connected, then each of `more` when something was answered, and reads until the far end closes, says
 * nothing more, or patience ends.
 */
export function converse(
  socket: net.Socket,
  ready: "connect" | "secureConnect",
  lines: readonly (string | Uint8Array)[],
  patience: number,
): Promise<Fired> {
  return new Promise((resolve) => {
    let answer = "";
    let isOpen = false;
    let next = 0;
    let quiet: NodeJS.Timeout | undefined;
    const timer = setTimeout(() => end(isOpen ? "connected, no answer" : "no answer"), patience);
    const say = () => {
      const line = lines[next++];
      if (line !== undefined) socket.write(line);
    };
    const end = (saw: string) => {
      clearTimeout(timer);
      clearTimeout(quiet);
      socket.destroy();
      const echo = /\becho: ?([0-9a-f]{32})/i.exec(answer)?.[1];
      resolve({ fired: true, saw, ...(echo === undefined ? {} : { echo }) });
    };
    socket.once(ready, () => {
      isOpen = true;
      say();
    });
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1").slice(0, 4096);
      if (next < lines.length) return say();
      clearTimeout(quiet);
      quiet = setTimeout(() => end("answered"), 150);
    });
    socket.once("end", () => end(answer === "" ? "closed" : "answered"));
    socket.once("error", (error) => {
      const seen = failed(error);
      clearTimeout(timer);
      clearTimeout(quiet);
      socket.destroy();
      resolve(seen.fired && isOpen ? { fired: true, saw: `connected, then ${seen.saw}` } : seen);
    });
  });
}

/** An HTTP/1.1 request with a body; the answer ends the connection unless it is kept. */
export function request(host: string, body: string, options: RequestOptions = {}): string {
  const { method = "POST", path = "/", headers = {}, keep = false, type = "application/octet-stream" } = options;
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === "" ? [] : [`Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(body, "latin1")}`]),
    `Connection: ${keep ? "keep-alive" : "close"}`,
  ];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

interface RequestOptions {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  keep?: boolean;
  type?: string;
}

export function plain(address: string, port: number, lines: readonly (string | Uint8Array)[], shot: Shot) {
  return converse(net.connect({ host: address, port }), "connect", lines, shot.patience);
}

/** `servername` empty: no SNI at all. */
export function secure(address: string, port: number, servername: string, lines: readonly string[], shot: Shot) {
  const options = { host: address, port, servername, rejectUnauthorized: false };
  const bytes = lines.map((line) => Buffer.from(line, "latin1"));
  return converse(tls.connect(options), "secureConnect", bytes, shot.patience);
}

/** One datagram; a refusal comes back by ICMP. */
export function datagram(address: string, port: number, payload: Uint8Array, shot: Shot): Promise<Fired> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket(net.isIPv6(address) ? "udp6" : "udp4");
    const end = (seen: Fired) => {
      clearTimeout(timer);
      socket.close();
      resolve(seen);
    };
    const timer = setTimeout(() => end({ fired: true, saw: "no answer" }), Math.min(shot.patience, 1_500));
    socket.once("error", (error) => end(failed(error)));
    socket.once("message", (message) => {
      const echo = /echo: ?([0-9a-f]{32})/.exec(message.toString("latin1"))?.[1];
      end({ fired: true, saw: "answered", ...(echo === undefined ? {} : { echo }) });
    });
    socket.connect(port, address, () => socket.send(payload));
  });
}

/** The bytes as text of one character each, for a request's body. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

/** A DNS query for one name (RFC 1035), recursion desired. Types: 1 A, 10 NULL, 16 TXT, 28 AAAA. */
export function dnsQuery(name: string, type: number): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const header = Buffer.from([Math.random() * 256, Math.random() * 256, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, type, 0, 1])]);
}

/** The same behind its length, as TCP and TLS carry it. */
export function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]);
}
