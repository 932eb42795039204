/**
 * What a technique is, what a probe is given and what it says. A technique is data and one function that makes one attempt
 * and never throws for what the network does; whether anything arrived is the sink's to say (`judge.ts`).
 */
import type { Reason } from "../policy/reason.ts";

/** Classes of techniques, as the catalogue groups them. */
export const classes = {
  T1: "HTTPS to an unknown host",
  T2: "HTTP to a raw address or an odd port",
  T3: "look-alike host",
  T4: "data in DNS labels",
  T5: "DNS over TCP",
  T6: "DNS over HTTPS",
  T7: "DNS over TLS or QUIC",
  T8: "another resolver",
  T9: "UDP and QUIC",
  T10: "ICMP payload",
  T11: "the code host itself",
  T12: "a foreign account at an allowed store",
  T13: "tunnel service",
  T14: "name games: SNI, Host, ECH, fronting",
  T15: "webhooks and drop boxes",
  T16: "cloud credentials",
  T17: "the workflow's log",
  T18: "caches and artifacts",
  T19: "publishing to a registry",
  T20: "a process that outlives its step",
  T21: "below or beside the firewall",
  T22: "around the proxy",
  T23: "a rogue runner",
} as const;

export type TechniqueClass = keyof typeof classes;

/** What a technique needs that not every place has. A probe whose need is not met is inconclusive. */
export type Need =
  /** A name that the policy allows over TLS on port 443. */
  | "tls-site"
  /** A name that the policy allows over plain HTTP on port 80. */
  | "http-site"
  /** A wildcard that the policy allows. */
  | "wildcard"
  | "ipv6"
  /** Raw sockets: root. */
  | "raw"
  /** A zone of DNS that leads to the sink. */
  | "zone"
  /** A range of our own: it would meet other people's machines, or change this one, anywhere else. */
  | "range";

export interface Technique {
  /** Kebab case. */
  id: string;
  name: string;
  class: TechniqueClass;
  /** MITRE ATT&CK technique ids. */
  attack: readonly string[];
  /** Where it was used or published. */
  incidents: readonly { name: string; year: number }[];
  /** What the probe does, and why it gets past others. One sentence each. */
  does: string;
  works: string;
  /** Under an enforcing policy that allows what it names. `reached`: not covered, and `limit` says why. */
  expected: "blocked" | "reached";
  limit?: string;
  needs: readonly Need[];
  /** What a sink has to serve for it to arrive. */
  channel: Channel;
  /** A name or address that only this attempt's events have, where it is not the collector's. */
  marks?: (shot: Shot) => string;
  probe: (shot: Shot) => Promise<Fired>;
}

/** `tcp`: by a listener; `wire`: only a packet capture sees it. */
export type Channel = { kind: "tcp" | "udp"; port: number } | { kind: "dns" } | { kind: "wire" };

/** One attempt: what to send and where. */
export interface Shot {
  canary: string;
  /** The attacker's machine. Its name resolves to its addresses, in a range or by the owner's DNS. */
  collector: { name: string | null; v4: string | null; v6: string | null };
  /** A domain of the attacker's: names below it lead to the collector's name server. */
  zone: string | null;
  /** What the policy allows. `address` null: resolve it. */
  site: { tls: string | null; http: string | null; wildcard: string | null; address: string | null };
  /** Where a range keeps what its probes may touch; null elsewhere. */
  range: { namespace: string; hostsFile: string } | null;
  /** A port of ours that no other attempt of this pass uses as its source. */
  sourcePort: number;
  /** How long to wait for an answer, ms. */
  patience: number;
}

/** What became of the attempt as its own program saw it. Proves nothing about the far end, but for `echo`. */
export type Fired =
  | { fired: true; saw: string; echo?: string }
  /** Not made, and why: no statement about the firewall. */
  | { fired: false; why: string };

export type Verdict = "blocked" | "reached" | "inconclusive";

/** Our own record's word on an attempt. */
export interface Denial {
  id: string;
  verdict: "allow" | "deny" | "would_deny";
  rule: string | null;
  reason: Reason | null;
}

/** The first line of a range's own hosts file: how a probe knows that it may edit it. */
export const hostsMarker = "# sallyport simulate: a range's own hosts file";
