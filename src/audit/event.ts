/** The record's schema: one event per decision and one per finished flow (`docs/events.md`). */
import type { Application, Mode, Stage, Tier, Transport } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";

export type EventKind = "connection" | "dns" | "flow_end" | "detection" | "tamper" | "policy" | "lifecycle";

export type DetectionType =
  | "denied_names"
  | "name_entropy"
  | "name_budget"
  | "upload_limit"
  | "reverse_shell"
  | "worker_memory"
  | "worker_environment"
  | "source_overwritten"
  | "outside_connection"
  | "background_connection"
  | "left_running"
  | "mining"
  | "metadata_service"
  | "firewall_command"
  | "container_root";

/** Who on the machine itself made a connection; only where the firewall stands on that machine. */
export interface EventProcess {
  pid: number;
  /** Path of the executable; null where it could not be read. */
  exe: string | null;
  /** Bounded, secrets masked. */
  args: readonly string[];
  uid: number | null;
  user: string | null;
  /** Parent first, as at fork. */
  ancestors: readonly { pid: number; exe: string | null }[];
  /** What the runner calls the step; null: outside of the job's steps, or not known. */
  step: string | null;
  /** The steps of a job in the order in which they began; null: outside. */
  step_number: number | null;
  /** `owner/name` of the action that the step uses; null: it runs commands. */
  action: string | null;
  /** How the step is known: by descent from it, or inferred from who was connected to the container engine; null: no step. */
  step_by: "descent" | "engine_client" | null;
  /** Steps of which several were connected as an engine started this one's container: nobody knows whose it is; null: of no step. */
  step_candidates?: readonly (string | null)[];
  container: { id: string; image: string | null } | null;
  /** The runner's own worker or listener. */
  runner: boolean;
  /** False: the likeliest of several; a policy takes its process for not known. */
  certain: boolean;
}

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
  process?: EventProcess;
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
  /** What was noticed over many decisions, and the evidence (`docs/detections.md`). */
  detection?: { type: DetectionType; [evidence: string]: unknown };
  /** Aggregated repeats: how many, first and last (RFC 3339). Absent means one. */
  count?: number;
  first?: string;
  last?: string;
  /** `policy`, `lifecycle`, `tamper` and `detection`: what happened, in words, and its data. */
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
