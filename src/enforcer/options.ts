/** What an enforcer is told: where it stands, what it enforces, and what it keeps. */
import type { EventBody } from "../audit/event.ts";
import type { RetentionLimits } from "../audit/retention.ts";
import type { SigningKey } from "../audit/signature.ts";
import type { AttributionOptions, Noticed } from "../datapath/attribution.ts";
import type { SpareThreads } from "../datapath/threads.ts";
import type { Binding } from "../flow/book.ts";
import type { AskersOptions } from "./dns-messages.ts";
import type { EarlierFlow } from "./earlier-flows.ts";
import type { PolicyInForce } from "./policy-source.ts";
import type { Resolver } from "./resolvers.ts";
import type { Place } from "./unjudged.ts";

/** Between links: what comes from the inside ones is decided. */
export interface LinksStand {
  kind: "links";
  inside: readonly string[];
  outside: string | null;
  masquerade: boolean;
}

/** Around the machine itself: what leaves it is decided, whoever on it sends (see `kernel/rules-machine.ts`). */
export interface MachineStand {
  kind: "machine";
  /** Devices that leave the machine whatever their kind; `findUplinks` of `kernel/devices.ts` finds them. */
  uplinks: readonly string[];
  /** The name of the cgroup that this process makes and joins: nobody else's. */
  cgroup: string;
  /** Whether a connection from before the start goes on under enforcement: nobody's else does. */
  keep: (flow: EarlierFlow) => boolean;
}

export type Stand = LinksStand | MachineStand;

export interface EnforcerOptions {
  /** Where the interfaces are: a network namespace, or null for the process's own. */
  namespace: string | null;
  stand: Stand;
  queueBase: number;
  /** Data-path threads, one NFQUEUE each. */
  queues: number;
  /**
   * Where the DNS firewall listens: on the inside addresses, or on a machine's loopback; on a machine the next port is taken as
   * well, on every address. Queries to port 53 are redirected there.
   */
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
  /** Tell whose each flow is, on the machine it comes from; left out: nobody can. */
  who?: AttributionOptions;
  /** Programs that somebody ran, of those that `who` notices. */
  onNoticed?: (noticed: Noticed[]) => void;
  /**
   * The same of DNS questions: how long descriptor tables may be searched for one asker, ms, and what another thread's process table
   * has read. Needs `who`.
   */
  askers?: Pick<AskersOptions, "searchFor" | "beginning">;
  /** Data-path threads begun earlier. */
  spare?: SpareThreads;
  /** Told when each part of the start is done. */
  lap?: (part: string) => void;
  /** Names that need no DNS (the host's /etc/hosts). */
  fixed: readonly Binding[];
  /** Every event as it is recorded, for whoever shows it. */
  onEvent?: (event: EventBody) => void;
  /** Enforcement is lost for good: new connections are refused, and somebody should know. */
  onFatal?: (message: string) => void;
}

/** Where an enforcer stands, as people and the record are told. */
export function whereOf({ stand }: Pick<EnforcerOptions, "stand">): { inside: string[]; outside: string | null } {
  if (stand.kind === "machine") return { inside: [], outside: stand.uplinks.join(" ") };
  return { inside: [...stand.inside], outside: stand.outside };
}

/** What of it the kernel counts that nobody has looked at. */
export function placeOf(options: EnforcerOptions, enforces: () => boolean): Place {
  const { stand, queueBase, queues, dnsPort } = options;
  if (stand.kind === "links") {
    return { inside: stand.inside, queueBase, queues, dnsPorts: [dnsPort], dropsUnmarked: null };
  }
  return { inside: [], queueBase, queues, dnsPorts: [dnsPort, dnsPort + 1], dropsUnmarked: enforces };
}
