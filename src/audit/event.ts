/** The record's schema: one event per decision and one per finished flow (`docs/events.md`). */
import type { Application, Mode, Stage, Tier, Transport } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";

export type EventKind = "connection" | "dns" | "flow_end" | "detection" | "policy" | "lifecycle";

/** What a producer hands to the record. `time`, `id`, `seq`, `prev` and `hash` are the recorder's. */
export interface EventBody {
  kind: EventKind;
  verdict?: "allow" | "deny" | "would_deny";
  enforced?: boolean;
  reason?: Reason;
  stage?: Stage;
  /** `rule` null with `tier` 3 is the default. */
  rule?: { name: string | null; tier: Tier; mode: Mode; policy: string };
  /** Names of rules in monitor mode that matched as well. */
  monitored?: string[];
  source?: { ip: string; port?: number; group?: string | null };
  destination?: {
    name: string | null;
    name_from: "sni" | "host" | "dns" | "none";
    ip?: string;
    port?: number;
    protocol: Application | Transport | "dns";
    names_of_ip?: string[];
  };
  tls?: {
    version: string | null;
    alpn: string[];
    ech: boolean;
    ja4: string;
    hello_bytes: number;
    hello_segments: number;
  };
  dns?: { qtype: string; server?: string; rcode?: string; answers?: string[]; ttl?: number };
  bytes?: { up: number; down: number };
  packets?: { up: number; down: number };
  duration_ms?: number;
  /** Of a `detection`: what kind of thing was noticed, and what shows it. */
  detection?: { type: string; [evidence: string]: unknown };
  /** Aggregated repeats: how many, first and last (RFC 3339). Absent means one. */
  count?: number;
  first?: string;
  last?: string;
  /** `policy` and `lifecycle`: what happened, in words, and its data. */
  message?: string;
  data?: Record<string, unknown>;
}

/** One line of the record. */
export interface Event extends EventBody {
  schema: "sallyport.event/1";
  /** RFC 3339 UTC with microseconds. */
  time: string;
  /** ULID. */
  id: string;
  /** 1, 2, 3 … without a gap over the life of a state directory. */
  seq: number;
  /** `hash` of the record before, 64 hex digits; zeros for the first. */
  prev: string;
  /** SHA-256 of `prev` and this line without its `hash` member. */
  hash: string;
}
