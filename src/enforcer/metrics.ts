/**
 * The state of an enforcer as Prometheus metrics (`docs/metrics.md`): `GET /metrics` on the control socket, and for a scraper
 * where the gateway was told to listen. Counters begin at zero with the process.
 */
import { verdictBounds } from "../datapath/messages.ts";
import { answerBounds } from "../dns/types.ts";
import type { SinkStatus } from "../export/record.ts";
import { queueStatistics } from "../kernel/nfqueue.ts";
import { Exposition, type Sample } from "../metrics/exposition.ts";
import type { Enforcer } from "./enforcer.ts";
import { type Status, statusOf } from "./status.ts";

/** The whole page. */
export async function metricsOf(enforcer: Enforcer): Promise<string> {
  const status = await statusOf(enforcer);
  const page = new Exposition();
  itself(page, status);
  decisions(page, enforcer, status);
  dns(page, enforcer, status);
  record(page, status);
  exports(page, status);
  return page.toString();
}

function itself(page: Exposition, status: Status): void {
  const { policy, threads, memory } = status;
  page
    .gauge("sallyport_build_info", "Which Sallyport this is.", [[{ version: status.version }, 1]])
    .gauge(
      "sallyport_enforcing",
      "1 while all is well, 0 while status says degraded.",
      flag(status.problems.length === 0),
    )
    .gauge("sallyport_policy_info", "The policy in force.", [
      [{ hash: policy.hash, default_mode: policy.default_mode }, 1],
    ])
    .gauge("sallyport_policy_since_timestamp_seconds", "Since when it is in force.", seconds(policy.since))
    .gauge(
      "sallyport_policy_rejected",
      "1 when the policy file's last text did not load.",
      flag(policy.rejected !== null),
    )
    .gauge("sallyport_threads", "Data-path threads.", [
      [{ state: "running" }, threads.running],
      [{ state: "wanted" }, threads.wanted],
    ])
    .gauge("process_start_time_seconds", "When the process began, Unix time.", performance.timeOrigin / 1000)
    .gauge("process_resident_memory_bytes", "Resident memory.", memory.rss)
    .gauge("sallyport_enforcing_since_timestamp_seconds", "Since when this process enforces.", seconds(status.since))
    .counter("sallyport_failures_total", "Packets and queries that a defect of ours lost.", [
      [{ part: "data_path" }, status.data_path.failures],
      [{ part: "dns" }, status.dns.failures],
    ]);
}

function decisions(page: Exposition, enforcer: Enforcer, status: Status): void {
  const { dataPath, options } = enforcer;
  const { tally } = enforcer.journal;
  const { data_path: path, flows } = status;
  const waiting = enforcer
    .within(queueStatistics)
    .filter(({ queue }) => queue >= options.queueBase && queue < options.queueBase + options.queues)
    .map(({ queue, waiting: packets }): Sample => [{ queue: String(queue) }, packets]);
  page
    .counter(
      "sallyport_connections_total",
      "Connections by verdict and the rule that decided (tier 3 and no name: the default).",
      tally.connections,
    )
    .counter("sallyport_refusals_total", "What was refused, or would have been, by reason.", tally.refusals)
    .counter("sallyport_detections_total", "Detections by type.", tally.detections)
    .counter("sallyport_packets_judged_total", "Packets that came to user space.", status.decisions.packets)
    .histogram(
      "sallyport_verdict_seconds",
      "From taking a packet out of the kernel's queue until the verdicts of its batch were sent.",
      verdictBounds,
      dataPath.verdictTimes(),
    )
    .gauge("sallyport_queue_packets", "Packets in the kernel's queue that wait for a verdict.", waiting)
    .counter("sallyport_unread_drops_total", "Refused without having been looked at.", [
      [{ kind: "over_rate" }, path.over_rate],
      [{ kind: "queue_full" }, path.kernel_drops],
      [{ kind: "dns_socket_full" }, path.dns_drops],
      [{ kind: "reassembly" }, path.fragment_drops],
      [{ kind: "packet_socket" }, path.packet_sockets],
      [{ kind: "undecided" }, path.undecided_drops],
    ])
    .counter("sallyport_late_verdicts_total", "Verdicts on packets that the kernel no longer had.", path.lateVerdicts)
    .gauge("sallyport_live_flows", "Connections that were let through and live.", flows.live)
    .gauge("sallyport_undecided_flows", "Connections without a verdict yet.", flows.undecided)
    .gauge("sallyport_held_bytes", "Bytes kept for undecided connections.", path.pendingBytes)
    .counter("sallyport_ended_flows_total", "Connections that ended.", tally.ended.flows)
    .counter("sallyport_ended_flow_bytes_total", "Bytes of connections that ended, IP headers included.", [
      [{ direction: "up" }, tally.ended.bytesUp],
      [{ direction: "down" }, tally.ended.bytesDown],
    ]);
}

function dns(page: Exposition, enforcer: Enforcer, status: Status): void {
  const stats = status.dns;
  page
    .counter("sallyport_dns_queries_total", "DNS queries from inside.", stats.queries)
    .counter("sallyport_dns_decisions_total", "DNS queries by verdict.", [
      [{ verdict: "allow" }, stats.allowed],
      [{ verdict: "deny" }, stats.denied],
      [{ verdict: "would_deny" }, stats.wouldDeny],
    ])
    .histogram(
      "sallyport_dns_answer_seconds",
      "From reading a DNS query until it was dealt with, the upstream's time included.",
      answerBounds,
      enforcer.dns.standing.times,
    )
    .counter("sallyport_dns_over_limit_total", "Queries and connections turned away by a limit.", stats.overLimit)
    .counter("sallyport_dns_cache_hits_total", "Queries answered from the cache.", stats.cacheHits)
    .counter("sallyport_dns_upstream_queries_total", "Queries sent to upstream resolvers.", stats.upstreamQueries)
    .counter("sallyport_dns_upstream_failures_total", "Queries that no upstream answered.", stats.upstreamFailures)
    .counter(
      "sallyport_dns_upstream_mismatches_total",
      "Datagrams from an upstream's address that answer nothing we asked.",
      stats.upstreamMismatches,
    )
    .gauge("sallyport_dns_outstanding", "Queries being worked on.", stats.outstanding)
    .gauge("sallyport_dns_cache_entries", "Answers in the cache.", stats.cacheEntries)
    .gauge("sallyport_bindings", "Names bound to addresses.", status.bindings);
}

function record(page: Exposition, { record: spool }: Status): void {
  page
    .gauge("sallyport_record_seq", "Number of the last record: the head of the chain.", spool.seq)
    .gauge("sallyport_record_durable_seq", "Number of the last record known to be on the disk.", spool.synced)
    .gauge("sallyport_record_lag_events", "Records that are not yet known to be on the disk.", spool.seq - spool.synced)
    .counter("sallyport_record_lost_events_total", "Events that could not be recorded.", spool.lost)
    .gauge("sallyport_record_degraded", "1 while the record cannot be written.", flag(spool.degraded))
    .gauge("sallyport_record_bytes", "Size of the record on the disk.", spool.bytes)
    .gauge("sallyport_record_buffered_bytes", "Bytes of the record that wait in memory.", spool.buffered);
}

function exports(page: Exposition, { exports: sinks }: Status): void {
  const of = (value: (sink: SinkStatus) => number) => sinks.map((sink): Sample => [{ sink: sink.name }, value(sink)]);
  page
    .gauge(
      "sallyport_export_failing",
      "1 while the last attempt at a sink failed.",
      of((sink) => flag(sink.failing > 0)),
    )
    .gauge(
      "sallyport_export_seq",
      "Number of the last record a sink has.",
      of((sink) => sink.seq),
    )
    .gauge(
      "sallyport_export_lag_events",
      "Records on the disk that a sink has not.",
      of((sink) => sink.lag),
    )
    .gauge(
      "sallyport_export_lag_seconds",
      "Age of the oldest record it has not.",
      of((sink) => sink.lag_seconds),
    )
    .counter(
      "sallyport_export_delivered_events_total",
      "Records a sink took.",
      of((sink) => sink.delivered),
    )
    .counter(
      "sallyport_export_failures_total",
      "Attempts that failed.",
      of((sink) => sink.failures),
    )
    .counter(
      "sallyport_export_lost_events_total",
      "Records a sink can never get: gone before it took them.",
      of((sink) => sink.lost),
    )
    .counter(
      "sallyport_export_rejected_events_total",
      "Records a sink refused for good.",
      of((sink) => sink.rejected),
    );
}

const flag = (value: boolean): number => (value ? 1 : 0);
const seconds = (time: string): number => Date.parse(time) / 1000;
