/** What `status` tells, on the control socket and in `--json`. */
import { formatAddress } from "../address/ip.ts";
import type { SpoolStatus } from "../audit/spool.ts";
import type { WorkerStatistics } from "../datapath/messages.ts";
import type { DnsStats } from "../dns/types.ts";
import type { SinkStatus } from "../export/record.ts";
import type { RulesetState } from "../kernel/ruleset.ts";
import { version } from "../version.ts";
import type { Enforcer } from "./enforcer.ts";
import { protocolOf } from "../datapath/flow-end.ts";
import type { LiveFlows } from "./live-flows.ts";
import { whereOf } from "./options.ts";
import type { UnjudgedCounts } from "./unjudged.ts";

export interface Status {
  schema: "sallyport.status/1";
  version: string;
  pid: number;
  /** RFC 3339: since when this process enforces. */
  since: string;
  /** `enforcing`: all is well. `degraded`: something below is not; what is not judged is refused. */
  state: "enforcing" | "degraded";
  /** Why it is degraded, in words. */
  problems: string[];
  policy: {
    file: string;
    hash: string;
    /** RFC 3339: since when this text is in force. */
    since: string;
    default_mode: "monitor" | "enforce";
    /** The last text that did not load, if it came after the one in force. */
    rejected: { at: string; message: string } | null;
  };
  /** `sallyport.config.yaml`; null where there is none. */
  config: ConfigurationView | null;
  /** Between links, or around the machine itself: then `outside` names its uplinks. */
  stand: "links" | "machine";
  inside: string[];
  outside: string | null;
  ruleset: RulesetState;
  /** Whether packet sockets are bounded; null between links, where nobody has one. */
  egress_guard: boolean | null;
  threads: { running: number; wanted: number };
  flows: { live: number; undecided: number };
  decisions: { packets: number; allowed: number; denied: number; would_deny: number };
  data_path: Pick<WorkerStatistics, "pendingBytes" | "lateVerdicts" | "failures"> & UnjudgedCounts;
  dns: DnsStats;
  bindings: number;
  record: SpoolStatus;
  /** Where the record goes besides; empty where it goes nowhere. */
  exports: readonly SinkStatus[];
  memory: { rss: number };
}

export interface ConfigurationView {
  file: string;
  /** RFC 3339: since when this text is in force. */
  since: string;
  /** The last text that did not load, if it came after the one in force. */
  rejected: { at: string; message: string } | null;
  /** What the file says otherwise than this process was started with, and only a restart changes: `record.keep_for`. */
  restart: readonly string[];
}

/** One live flow as `sallyport flows` shows it. */
export interface FlowView {
  since: string;
  source: string;
  source_port: number;
  destination: string;
  destination_port: number;
  name: string | null;
  protocol: string;
  verdict: "allow" | "would_deny";
  rule: string | null;
  tier: 1 | 2 | 3;
  bytes_up: number;
  bytes_down: number;
}

/** What was decided so far, as the data path's threads told last: of everything that is recorded. */
export function decisionsOf({ dataPath }: Enforcer): Status["decisions"] {
  const { packets, allowed, denied, wouldDeny } = dataPath.statistics();
  return { packets, allowed, denied, would_deny: wouldDeny };
}

/** The state of an enforcer right now. */
export async function statusOf(enforcer: Enforcer): Promise<Status> {
  // First, and aside: this thread goes on meanwhile. All the rest is of one moment. The tools are begun where the interfaces are;
  // waiting for them there would leave this thread there.
  const { looking } = enforcer.within(() => ({ looking: enforcer.ruleset.look() }));
  const [ruleset, dns] = await Promise.all([looking, enforcer.dns.look()]);
  const { options, policy, dataPath } = enforcer;
  const work = dataPath.statistics();
  const record = await enforcer.recorder.look();
  const problems = [...enforcer.problems];
  if (ruleset !== "present") problems.push(`the ruleset is ${ruleset}`);
  if (dataPath.running < options.queues) problems.push("a data-path thread is down; its share of packets is dropped");
  if (enforcer.dns.problem !== null) problems.push(enforcer.dns.problem);
  const unjudged = enforcer.denials.problem(Date.now());
  if (unjudged !== null) problems.push(unjudged);
  if (record.degraded) problems.push(recordProblem(record));
  problems.push(...(enforcer.exporter?.problems() ?? []));
  const config = enforcer.configuration?.() ?? null;
  if (config !== null && config.restart.length > 0) {
    problems.push(
      `${config.file} was changed, and not all of it is in force before a restart: ${config.restart.join(", ")}`,
    );
  }
  return {
    schema: "sallyport.status/1",
    version,
    pid: process.pid,
    since: enforcer.since.toISOString(),
    state: problems.length === 0 ? "enforcing" : "degraded",
    problems,
    policy: {
      file: policy.file,
      hash: policy.loaded.engine.hash,
      since: enforcer.policySince.toISOString(),
      default_mode: policy.loaded.policy.default.mode,
      rejected: enforcer.rejected,
    },
    config,
    stand: options.stand.kind,
    ...whereOf(options),
    ruleset,
    egress_guard: enforcer.ruleset.guardsEgress ?? null,
    threads: { running: dataPath.running, wanted: options.queues },
    flows: { live: enforcer.live.count(Date.now()), undecided: work.pending },
    decisions: decisionsOf(enforcer),
    data_path: {
      pendingBytes: work.pendingBytes,
      lateVerdicts: work.lateVerdicts,
      failures: work.failures,
      ...enforcer.denials.unjudged,
    },
    dns: dns.stats,
    bindings: enforcer.book.size,
    record,
    exports: enforcer.exporter?.status() ?? [],
    memory: { rss: process.memoryUsage.rss() },
  };
}

/** Red while events are lost, and already while they only wait for the disk. */
function recordProblem({ fault, since, losing }: SpoolStatus): string {
  const lost = losing === 0 ? "no event is lost yet" : `${losing} events are lost so far`;
  return `the record cannot be written: ${fault ?? "unknown"}; since ${since ?? "now"}, ${lost}`;
}

/** The live flows with the kernel's counts so far, longest-lived first. */
export function viewFlows(flows: LiveFlows): FlowView[] {
  const views: FlowView[] = [];
  for (const { live, flow } of flows.views()) {
    views.push({
      since: new Date(live.since).toISOString(),
      source: formatAddress(live.source),
      source_port: live.sourcePort,
      destination: formatAddress(live.destination),
      destination_port: live.destinationPort,
      name: live.name ?? live.names[0] ?? null,
      protocol: protocolOf(live),
      verdict: live.verdict,
      rule: live.rule,
      tier: live.tier,
      bytes_up: flow.counters.original.bytes,
      bytes_down: flow.counters.reply.bytes,
    });
  }
  return views.toSorted((a, b) => (a.since < b.since ? -1 : 1));
}
