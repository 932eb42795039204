/** What an enforcer is told: where it stands, what it enforces, and what it keeps. */
import type { EventBody } from "../audit/event.ts";
import type { RetentionLimits } from "../audit/retention.ts";
import type { SigningKey } from "../audit/signature.ts";
import type { SpareThreads } from "../datapath/pool.ts";
import type { Binding } from "../flow/book.ts";
import type { PolicyInForce } from "./policy-source.ts";
import type { Resolver } from "./resolvers.ts";

export interface EnforcerOptions {
  /** Where the interfaces are: a network namespace, or null for the process's own. */
  namespace: string | null;
  inside: readonly string[];
  outside: string | null;
  masquerade: boolean;
  queueBase: number;
  /** Data-path threads, one NFQUEUE each. */
  queues: number;
  /** Where the DNS firewall listens on the inside addresses; queries to port 53 are redirected there. */
  dnsPort: number;
  dnsDeny: "nxdomain" | "refused";
  upstreams: readonly Resolver[];
  policy: PolicyInForce;
  /** State directory: record, bindings, lock. */
  state: string;
  /** Signs the record's seals and heads; null: they are not signed. */
  signingKey: SigningKey | null;
  /** What of the record is kept. */
  retention: RetentionLimits;
  /** When a new segment of it is begun; left out: what a spool assumes. */
  segments?: { segmentBytes?: number; segmentAgeMs?: number };
  /** Names of the sinks that somebody sends the record to now: retention waits for them, within bounds. */
  sinks?: () => readonly string[];
  /** Data-path threads begun earlier. */
  spare?: SpareThreads;
  /** Names that need no DNS (the host's /etc/hosts). */
  fixed: readonly Binding[];
  /** Every event as it is recorded, for whoever shows it. */
  onEvent?: (event: EventBody) => void;
  /** Enforcement is lost for good: new connections are refused, and somebody should know. */
  onFatal?: (message: string) => void;
}
