/**
 * What the lab and its internet process say to each other over the IPC channel. The lab sends `Request`s; the process
 * sends one `Reply` each, `ready` once, and a `sighting` whenever a server reads a marker.
 */
import type { QueryRecord } from "./dns-server.ts";
import type { GitShellKeys } from "./git-shell.ts";
import type { Hosting } from "./hosting.ts";
import type { PlaintextSighting } from "./marker-watch.ts";
import type { ServiceRequest } from "./services.ts";
import type { WebReport } from "./web.ts";
import type { Zone, ZoneEntry } from "./zone.ts";

/** How the process is started: the first message that it gets. */
export type Start = { directory: string; zone: Zone; hosting: Hosting; dnsAddresses: string[] };

/** Operation to its argument and result. */
export type Operations = {
  "dns.set": { argument: { name: string; entry: ZoneEntry }; result: null };
  "dns.remove": { argument: { name: string }; result: null };
  "dns.queries": { argument: null; result: { queries: QueryRecord[]; forgotten: number } };
  "web.requests": { argument: null; result: WebReport[] };
  "host.set": { argument: { address: string; names: string[] }; result: null };
  "service.open": { argument: ServiceRequest; result: null };
  /** Sends a datagram over loopback, for the capture to see; replies when it is sent. */
  barrier: { argument: { token: string }; result: null };
  /** Issues a certificate for files-on-disk servers. */
  certificate: { argument: { name: string }; result: { keyFile: string; certFile: string } };
  /** What a client of git over SSH needs. */
  "git-shell.keys": { argument: null; result: GitShellKeys };
  forget: { argument: null; result: null };
};

export type Operation = keyof Operations;

export type Request = { id: number; operation: Operation; argument: unknown };

export type Message =
  | { kind: "ready" }
  | { kind: "failed"; error: string }
  | { kind: "reply"; id: number; result: unknown }
  | { kind: "error"; id: number; error: string }
  | { kind: "sighting"; sighting: PlaintextSighting };
