/**
 * What the DNS firewall is given and what it hands out. The only types that cross from `dns` to the rooms above it.
 */
import type { Address } from "../address/ip.ts";
import type { EventBody, EventProcess } from "../audit/event.ts";
import type { Engine } from "../policy/decision.ts";
import type { Claimant } from "./limits.ts";

/** An IP address in text and a port. */
export interface Endpoint {
  address: string;
  port: number;
}

export type DnsTransport = "udp" | "tcp";

/** "This name was answered with this address." What the data path matches connections against. */
export interface Binding {
  /** Canonical name that was asked. */
  name: string;
  address: Address;
  /** Milliseconds since the epoch. */
  expires: number;
  /**
   * Null: the answer came from a configured upstream and holds for every source. Otherwise only for this source: the
   * answer came from a server the client chose itself (monitor mode), and must not speak for anyone else.
   */
  source: Address | null;
}

/** A query as it came to us: from a client, to an address of ours. */
export interface Redirected {
  client: Endpoint;
  local: Endpoint;
}

export interface DnsFirewallOptions {
  /** The policy in force now. */
  policy: () => Engine;
  /** Configured resolvers, in order of preference; at least one. */
  upstreams: readonly Endpoint[];
  /** Writes bindings to every data-path worker; resolves when all have them. Called before the answer leaves. */
  bind: (bindings: Binding[]) => Promise<void>;
  /**
   * The server each redirected query was addressed to; null where that is unknown or is this firewall itself, undefined where asking
   * failed: that query is dropped rather than sent elsewhere. Throws where none can be told.
   */
  originalServers: (transport: DnsTransport, queries: readonly Redirected[]) => (Endpoint | null | undefined)[];
  /** Whose a question is that was addressed to `server`; left out, or null: nobody is known. */
  askerOf?: (transport: DnsTransport, client: Endpoint, server: Endpoint) => EventProcess | null;
  record: (event: EventBody) => void;
  /** Runs what sends an answer once what was recorded so far is on its way; left out: at once. */
  release?: (send: () => void) => void;
  /** False while whoever records is far behind: then nobody finds a place. Left out: never. */
  hasRoom?: () => boolean;
  /**
   * How a denied name is answered. `nxdomain` lets a tool fail at once with "no such host"; `refused` is plainer to
   * people who read packets, but stubs then try their next server.
   */
  deny: "nxdomain" | "refused";
  /** All who ask are one sender where budgets and places are counted (a machine). */
  oneSender?: boolean;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Overrides of {@link defaultLimits}. */
  limits?: Partial<DnsLimits>;
}

/** Every bound of the firewall. */
export interface DnsLimits {
  /** Queries being worked on, all sources together; one link may hold as many as it leaves free. */
  outstanding: number;
  /** Here and below: a source is an IPv4 address or an IPv6 /64, on one link. */
  outstandingPerSource: number;
  /** TCP connections from clients, all sources together; for a link as above. */
  connections: number;
  connectionsPerSource: number;
  /** Queries being worked on, per TCP connection; the connection is not read further meanwhile. */
  pipeline: number;
  /** Milliseconds without a whole message before a TCP connection is closed. */
  idle: number;
  /** Distinct names of one source in an hour: under one registrable domain, and in all. */
  namesPerDomain: number;
  namesPerSource: number;
  /** Questions under one registrable domain that no cache answered, of one source in an hour. */
  questionsPerDomain: number;
  /** What all sources of one link have together, in budgets of one source. */
  sourcesPerLink: number;
  cacheEntries: number;
  /** Approximate bytes of cached answers. */
  cacheBytes: number;
  /** Milliseconds for one attempt at an upstream over UDP. */
  upstreamTimeout: number;
}

export const defaultLimits: DnsLimits = {
  outstanding: 2000,
  outstandingPerSource: 200,
  connections: 1000,
  connectionsPerSource: 100,
  pipeline: 32,
  idle: 10_000,
  namesPerDomain: 500,
  namesPerSource: 2000,
  questionsPerDomain: 20_000,
  sourcesPerLink: 4,
  cacheEntries: 50_000,
  cacheBytes: 32 * 1024 * 1024,
  upstreamTimeout: 1500,
};

/** Who sent a query, how, and where to. */
export interface Client extends Claimant {
  source: Address;
  endpoint: Endpoint;
  transport: DnsTransport;
  /** The server the query was addressed to; null: this firewall. */
  server: Endpoint | null;
  /** Who asks, where the machine is our own. */
  process?: EventProcess;
}

/** Buckets of the time an answer takes, seconds. */
export const answerBounds: readonly number[] = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/** Counters since start, and levels now. */
export interface DnsStats {
  queries: number;
  allowed: number;
  denied: number;
  wouldDeny: number;
  /** Queries passed on unchanged for monitored sources. */
  passed: number;
  /** Queries or connections turned away by a limit. */
  overLimit: number;
  cacheHits: number;
  staleAnswers: number;
  upstreamQueries: number;
  upstreamFailures: number;
  /** Datagrams from an upstream's address that answer nothing we asked. */
  upstreamMismatches: number;
  /** Queries answered SERVFAIL because something of ours failed. */
  failures: number;
  outstanding: number;
  connections: number;
  cacheEntries: number;
  bindings: number;
}
