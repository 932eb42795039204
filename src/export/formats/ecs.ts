/** Events as the Elastic Common Schema 8.11. What it has no field for is under `sallyport`, by the record's own names. */
import type { Event } from "../../audit/event.ts";
import { version } from "../../version.ts";
import { severityOf, summaryOf } from "./severity.ts";

const severities = { info: 21, low: 47, medium: 73, high: 99 } as const;
/** A map: a record may hold any word, `constructor` too. */
const transports: ReadonlyMap<string, string> = new Map(
  Object.entries({ tls: "tcp", http: "tcp", ssh: "tcp", quic: "udp" }),
);

/** One event as an ECS document. */
export function ecsOf(event: Event): object {
  const { source, destination, rule, bytes, packets, dns } = event;
  const protocol = destination?.protocol;
  const { job, ...who } = processOf(event);
  return {
    "@timestamp": event.time,
    ecs: { version: "8.11.0" },
    message: summaryOf(event),
    event: defined({
      kind: event.kind === "detection" || event.kind === "tamper" ? "alert" : "event",
      category: categoryOf(event),
      type: typesOf(event),
      action: event.verdict ?? event.kind,
      outcome: event.verdict === undefined ? "unknown" : event.verdict === "deny" ? "failure" : "success",
      reason: event.reason,
      id: event.id,
      sequence: event.seq,
      hash: event.hash,
      severity: severities[severityOf(event)],
      module: "sallyport",
      dataset: `sallyport.${event.kind}`,
      // Nanoseconds.
      duration: event.duration_ms === undefined ? undefined : event.duration_ms * 1_000_000,
      start: event.first,
      end: event.last,
    }),
    observer: { vendor: "Sallyport", product: "Sallyport", type: "firewall", version },
    ...(rule === undefined
      ? {}
      : { rule: { name: rule.name ?? "default", ruleset: rule.policy, category: `tier ${rule.tier}` } }),
    ...(source === undefined
      ? {}
      : {
          source: defined({
            ip: source.ip,
            address: source.ip,
            port: source.port,
            bytes: bytes?.up,
            packets: packets?.up,
          }),
        }),
    ...(destination === undefined
      ? {}
      : {
          destination: defined({
            ip: destination.ip,
            address: destination.ip ?? destination.name ?? undefined,
            domain: event.kind === "dns" ? undefined : (destination.name ?? undefined),
            port: destination.port,
            bytes: bytes?.down,
            packets: packets?.down,
          }),
          network: defined({
            // Of a perimeter, which is where we stand: `egress` is a host's word.
            direction: "outbound",
            type: destination.ip === undefined ? undefined : destination.ip.includes(":") ? "ipv6" : "ipv4",
            protocol,
            transport: protocol === "dns" ? undefined : (transports.get(protocol ?? "") ?? protocol),
            bytes: bytes === undefined ? undefined : bytes.up + bytes.down,
          }),
        }),
    ...(event.kind === "dns" && typeof destination?.name === "string"
      ? {
          dns: defined({
            question: defined({ name: destination.name, type: dns?.qtype }),
            answers: dns?.answers?.map((data) => ({ data })),
            response_code: dns?.rcode,
          }),
        }
      : {}),
    ...who,
    ...(event.tls === undefined
      ? {}
      : {
          tls: defined({
            version: event.tls.version ?? undefined,
            client: defined({
              server_name: destination?.name_from === "sni" ? (destination.name ?? undefined) : undefined,
            }),
          }),
        }),
    sallyport: defined({
      verdict: event.verdict,
      enforced: event.enforced,
      stage: event.stage,
      tier: rule?.tier,
      mode: rule?.mode,
      group: source?.group ?? undefined,
      name_from: destination?.name_from,
      names_of_ip: destination?.names_of_ip,
      monitored: event.monitored,
      tls: event.tls,
      detection: event.detection,
      job,
      data: event.data,
      count: event.count,
      prev: event.prev,
    }),
  };
}

function categoryOf({ kind }: Event): string[] {
  if (kind === "policy" || kind === "lifecycle") return ["configuration"];
  return [kind === "tamper" ? "intrusion_detection" : "network"];
}

/** Who on the machine it was; nothing at a gateway. */
function processOf({ process }: Event): Record<string, unknown> {
  if (process === undefined) return {};
  const { pid, exe, args, uid, user, ancestors, container, ...job } = process;
  const parent = ancestors[0];
  return {
    process: defined({
      pid,
      executable: exe ?? undefined,
      name: exe?.split("/").at(-1),
      args: args.length === 0 ? undefined : args,
      args_count: args.length === 0 ? undefined : args.length,
      command_line: args.length === 0 ? undefined : args.join(" "),
      parent: parent === undefined ? undefined : defined({ pid: parent.pid, executable: parent.exe ?? undefined }),
    }),
    ...(uid === null ? {} : { user: defined({ id: String(uid), name: user ?? undefined }) }),
    ...(container === null
      ? {}
      : {
          container: defined({
            id: container.id,
            image: container.image === null ? undefined : { name: container.image },
          }),
        }),
    // What runs in a job has no field of its own there.
    job,
  };
}

function typesOf({ kind, verdict }: Event): string[] {
  if (kind === "policy" || kind === "lifecycle") return ["change"];
  if (kind === "tamper") return ["info"];
  // A detection is about many decisions: nothing was allowed or denied by it.
  if (kind === "detection") return ["info"];
  if (kind === "flow_end") return ["connection", "end"];
  const outcome = verdict === "deny" ? "denied" : "allowed";
  return kind === "dns" ? ["protocol", outcome] : ["connection", outcome];
}

function defined(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, content]) => content !== undefined));
}
