/**
 * Events as OCSF 1.5.0 (https://schema.ocsf.io/1.5.0): Network Activity (4001) for connections and their ends, DNS Activity
 * (4003) for names, both with the profile `security_control`; Base Event (0) for what is about no one connection.
 *
 * `would_deny` is action Allowed with disposition Logged: it was let through, and told. What OCSF has no member for is in
 * `unmapped`, under the record's own names.
 */
import type { Event } from "../../audit/event.ts";
import { version } from "../../version.ts";
import { severityOf, summaryOf, type Severity } from "./severity.ts";

const schemaVersion = "1.5.0";

const severities: Record<Severity, [number, string]> = {
  info: [1, "Informational"],
  low: [2, "Low"],
  medium: [3, "Medium"],
  high: [4, "High"],
};

const outcomes = {
  allow: { action_id: 1, action: "Allowed", disposition_id: 1, disposition: "Allowed" },
  deny: { action_id: 2, action: "Denied", disposition_id: 2, disposition: "Blocked" },
  would_deny: { action_id: 1, action: "Allowed", disposition_id: 17, disposition: "Logged" },
} as const;

/** RFC 6895, by the text in our events (`rcodeName`). Maps: a record may hold any word, `constructor` too. */
const rcodes: ReadonlyMap<string, [number, string]> = new Map(
  Object.entries<[number, string]>({
    NOERROR: [0, "NoError"],
    FORMERR: [1, "FormError"],
    SERVFAIL: [2, "ServError"],
    NXDOMAIN: [3, "NXDomain"],
    NOTIMP: [4, "NotImp"],
    REFUSED: [5, "Refused"],
    RCODE6: [6, "YXDomain"],
    RCODE7: [7, "YXRRSet"],
    RCODE8: [8, "NXRRSet"],
    RCODE9: [9, "NotAuth"],
    RCODE10: [10, "NotZone"],
    RCODE11: [11, "DSOTYPENI"],
    BADVERS: [16, "BADSIG_VERS"],
    RCODE17: [17, "BADKEY"],
    RCODE18: [18, "BADTIME"],
    RCODE19: [19, "BADMODE"],
    RCODE20: [20, "BADNAME"],
    RCODE21: [21, "BADALG"],
    RCODE22: [22, "BADTRUNC"],
    RCODE23: [23, "BADCOOKIE"],
  }),
);

/** IANA protocol numbers of transports. */
const protocolNumbers: ReadonlyMap<string, number> = new Map(Object.entries({ tcp: 6, udp: 17, icmp: 1 }));
const transports: ReadonlyMap<string, string> = new Map(
  Object.entries({ tls: "tcp", http: "tcp", ssh: "tcp", quic: "udp" }),
);

/** One event as an OCSF event. */
export function ocsfOf(event: Event): object {
  const about = event.destination?.ip !== undefined || typeof event.destination?.name === "string";
  if (about && event.kind === "dns") return dnsActivity(event);
  if (about && (event.kind === "connection" || event.kind === "flow_end")) return networkActivity(event);
  const { kind, detection, data, ...rest } = event;
  return {
    ...base(event, { class_uid: 0, class_name: "Base Event", category_uid: 0, category_name: "Uncategorized" }, [
      99,
      kind,
    ]),
    metadata: metadataOf(event, []),
    unmapped: defined({
      kind,
      verdict: rest.verdict,
      reason: rest.reason,
      rule: rest.rule,
      source: rest.source,
      process: rest.process,
      destination: rest.destination,
      bytes: rest.bytes,
      detection,
      data,
    }),
  };
}

function networkActivity(event: Event): object {
  const { kind, verdict, bytes, packets, duration_ms: duration, tls } = event;
  const activity: [number, string] =
    kind === "flow_end" ? [2, "Close"] : verdict === "deny" ? [5, "Refuse"] : [1, "Open"];
  return defined({
    ...network(event, { class_uid: 4001, class_name: "Network Activity" }, activity),
    duration,
    traffic:
      bytes === undefined
        ? undefined
        : defined({
            bytes_out: bytes.up,
            bytes_in: bytes.down,
            bytes: bytes.up + bytes.down,
            packets_out: packets?.up,
            packets_in: packets?.down,
            packets: packets === undefined ? undefined : packets.up + packets.down,
          }),
    tls:
      tls === undefined
        ? undefined
        : defined({
            version: tls.version ?? "unknown",
            sni: event.destination?.name_from === "sni" ? (event.destination.name ?? undefined) : undefined,
          }),
  });
}

function dnsActivity(event: Event): object {
  const { dns, destination } = event;
  const [rcodeId, rcode] = rcodes.get(dns?.rcode ?? "") ?? [99, dns?.rcode ?? "none"];
  return defined({
    ...network(event, { class_uid: 4003, class_name: "DNS Activity" }, [6, "Traffic"]),
    query:
      typeof destination?.name === "string"
        ? defined({ hostname: destination.name, type: dns?.qtype, class: "IN" })
        : undefined,
    answers: dns?.answers?.map((rdata) => defined({ rdata, type: dns.qtype, ttl: dns.ttl })),
    ...(dns?.rcode === undefined ? {} : { rcode_id: rcodeId, rcode }),
  });
}

function network(
  event: Event,
  kind: { class_uid: number; class_name: string },
  activity: readonly [number, string],
): Record<string, unknown> {
  const { source, destination, rule, verdict } = event;
  const protocol = destination?.protocol ?? "other";
  const transport = protocol === "dns" ? undefined : (transports.get(protocol) ?? protocol);
  const ip = destination?.ip ?? source?.ip;
  return {
    ...base(event, { ...kind, category_uid: 4, category_name: "Network Activity" }, activity),
    metadata: metadataOf(event, ["security_control"]),
    ...(verdict === undefined ? {} : outcomes[verdict]),
    status_detail: event.reason,
    ...(rule === undefined
      ? {}
      : {
          firewall_rule: {
            name: rule.name ?? "default",
            uid: `${rule.policy}/${rule.tier}/${rule.name ?? ""}`,
            category: `tier ${rule.tier}`,
            type: rule.mode,
          },
          policy: { uid: rule.policy, name: "sallyport" },
        }),
    ...(source === undefined
      ? {}
      : { src_endpoint: defined({ ip: source.ip, port: source.port, name: source.group ?? undefined }) }),
    dst_endpoint: defined({
      ip: destination?.ip,
      port: destination?.port,
      // A question's name is what it asks for, not where it went.
      hostname: event.kind === "dns" ? undefined : (destination?.name ?? undefined),
      svc_name: protocol,
    }),
    connection_info: defined({
      direction_id: 2,
      direction: "Outbound",
      protocol_name: transport,
      protocol_num: protocolNumbers.get(transport ?? ""),
      protocol_ver_id: ip === undefined ? 0 : ip.includes(":") ? 6 : 4,
    }),
    unmapped: defined({
      stage: event.stage,
      enforced: event.enforced,
      verdict,
      monitored: event.monitored,
      name_from: destination?.name_from,
      names_of_ip: destination?.names_of_ip,
      tls: event.tls,
      dns_server: event.dns?.server,
      process: event.process,
      data: event.data,
    }),
  };
}

function base(
  event: Event,
  kind: { class_uid: number; class_name: string; category_uid: number; category_name: string },
  [activityId, activity]: readonly [number, string],
): Record<string, unknown> {
  const [severityId, severity] = severities[severityOf(event)];
  return defined({
    ...kind,
    activity_id: activityId,
    activity_name: activity,
    type_uid: kind.class_uid * 100 + activityId,
    // The activity's caption, where the activity's name is a word of ours too.
    type_name: `${kind.class_name}: ${activityId === 99 ? "Other" : activity}`,
    time: Date.parse(event.time),
    severity_id: severityId,
    severity,
    message: summaryOf(event),
    count: event.count,
    start_time: event.first === undefined ? undefined : Date.parse(event.first),
    end_time: event.last === undefined ? undefined : Date.parse(event.last),
  });
}

function metadataOf(event: Event, profiles: string[]): object {
  return {
    version: schemaVersion,
    product: { name: "Sallyport", vendor_name: "Sallyport", version },
    profiles,
    uid: event.id,
    sequence: event.seq,
    original_time: event.time,
    // The hash of the record's line: what `sallyport logs verify` checks.
    correlation_uid: event.hash,
    log_name: event.schema,
  };
}

/** Without the members that are undefined. */
function defined(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, content]) => content !== undefined));
}
