/**
 * What the policy is asked, and what it answers. The only types that cross from `policy` to the rooms above it.
 *
 * The engine decides in stages, each with more knowledge: `dns` (a name), `connect` (an address, a port, a transport and
 * the names our DNS handed that address out for), `name` (the first bytes showed an application protocol and perhaps a
 * name). A stage answers for good only when no further knowledge could change the answer.
 */
import type { Address } from "../address/ip.ts";
import type { Reason } from "./reason.ts";

/** Protocols a rule may name. `tls`, `http`, `ssh` and `quic` are checked in the flow's first bytes. */
export type Protocol = "tls" | "http" | "ssh" | "tcp" | "udp" | "quic" | "icmp";

/** The IP payload protocol of a flow; `other` is everything that is not TCP, UDP, ICMP or ICMPv6. */
export type Transport = "tcp" | "udp" | "icmp" | "other";

/** What a flow's first bytes turned out to be. `other`: anything else, or nothing in time. */
export type Application = "tls" | "http" | "ssh" | "quic" | "other";

export type Stage = "dns" | "connect" | "name";
export type Tier = 1 | 2 | 3;
export type Mode = "monitor" | "enforce";

/** Known when a query arrives. `name` is canonical (see `address/name.ts`). */
export interface DnsFacts {
  source: Address;
  name: string;
}

/** What is known of the process behind a flow. Null: it cannot be known. */
export interface ProcessFacts {
  /** The job's step that it belongs to; null also where it belongs to none. */
  step: string | null;
  /** The repository of the step's action; null also where `step` is known and is no action's. */
  action: string | null;
  /** Absolute path of its executable. */
  exe: string | null;
  /** It is the CI runner itself and no step's. */
  runner: boolean;
  /** It is root's own, outside of the job's steps and of any container: a service of the machine. Absent: it is not. */
  system?: boolean;
}

/** Known when a flow's first packet arrives. */
export interface ConnectFacts {
  source: Address;
  /** Whose it is; null where nobody knows, as on a gateway. */
  process: ProcessFacts | null;
  destination: Address;
  /** The destination is an address of the gateway itself (kernel's `addrtype LOCAL`). */
  local: boolean;
  transport: Transport;
  /** Destination port; 0 where the transport has none. */
  port: number;
  /** Canonical names our DNS handed this address out for and that have not expired. */
  names: readonly string[];
}

/** Known when the flow's first bytes are read. */
export interface NameFacts extends ConnectFacts {
  application: Application;
  /** Canonical SNI or Host; null where the bytes show none. */
  name: string | null;
  /** The hello carries Encrypted Client Hello: `name` is its outer name. False where the application is not tls or quic. */
  ech: boolean;
}

/** The rule behind a decision, as shown everywhere. Null in a decision means the default (tier 3). */
export interface RuleRef {
  name: string;
  tier: Tier;
  mode: Mode;
  action: "allow" | "deny";
  /** Why the rule is there, in its owner's words. */
  reason: string | null;
  /** Source position in the policy file, 1-based. */
  line: number;
  column: number;
}

/** A settled answer. `passes` (allow, or a deny that is not enforced) is what the data path acts on. */
export interface Decision {
  answer: "allow" | "deny";
  /** `would_deny`: what enforce would refuse, let through because the mode is monitor. */
  verdict: "allow" | "deny" | "would_deny";
  /** False only for `would_deny`. */
  enforced: boolean;
  /** answer is allow, or verdict is would_deny. */
  passes: boolean;
  reason: Reason;
  stage: Stage;
  tier: Tier;
  /** An allow rule here with answer deny: the rule decided and did not let this flow through (`reason` says why). */
  rule: RuleRef | null;
  /** Rules in monitor mode that matched before the deciding one, in order. */
  monitored: readonly RuleRef[];
  /** Content hash of the policy. */
  policy: string;
}

/** The stage cannot settle it. `hold`: some completion is refused, so no payload may leave before the next stage. */
export interface NotYet {
  answer: "not_yet";
  hold: boolean;
}

/**
 * A compiled policy: immutable, shared by reference inside a thread, rebuilt from source text in each worker.
 * Every method is pure and total.
 */
export interface Engine {
  /** SHA-256 of the policy's source text, 64 hex digits. */
  readonly hash: string;
  /** Name of the first declared source group that holds the address whatever the process; null where none does. */
  group(source: Address): string | null;
  /** True where tier 3 refuses for this source (mode enforce, or a source listed in `enforce_for`). */
  enforcedFor(source: Address): boolean;
  /** Some rule asks for a process: facts with `process` null are not all that could be known. */
  readonly asksProcess: boolean;
  /** True where some source is treated worse than others may be: one is enforced, or an enforced rule denies to some addresses only. */
  readonly enforces: boolean;
  /** Never not_yet: allow means some flow of some process to this name could pass, so the query may go on. */
  dns(facts: DnsFacts): Decision;
  connect(facts: ConnectFacts): Decision | NotYet;
  name(facts: NameFacts): Decision;
  /** True where a CIDR rule allows some process of this source to reach this address on some port (private answers in DNS). */
  cidrAllows(source: Address, destination: Address): boolean;
}
