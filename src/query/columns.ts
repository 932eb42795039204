/**
 * The columns of `events`, the view that questions and SQL see: their stable names, their types, and where in an event's
 * JSON each comes from. docs/query.md has the same table; a test holds the two together.
 *
 * A member that an event has not is null. New members of events become new columns at the end; a column keeps its name
 * and its meaning.
 */

export interface Column {
  name: string;
  /** As DuckDB calls it. */
  type: string;
  /** SQL over the members of {@link members}. */
  from: string;
}

/** The members of an event that are read, with the types that DuckDB's JSON reader gives them. */
const members: Readonly<Record<string, string>> = {
  schema: "VARCHAR",
  time: "VARCHAR",
  id: "VARCHAR",
  seq: "BIGINT",
  kind: "VARCHAR",
  verdict: "VARCHAR",
  enforced: "BOOLEAN",
  reason: "VARCHAR",
  stage: "VARCHAR",
  rule: struct({ name: "VARCHAR", tier: "INTEGER", mode: "VARCHAR", policy: "VARCHAR" }),
  monitored: "VARCHAR[]",
  source: struct({
    ip: "VARCHAR",
    port: "INTEGER",
    group: "VARCHAR",
    identity: struct({
      repository: "VARCHAR",
      workflow: "VARCHAR",
      job: "VARCHAR",
      run_id: "VARCHAR",
      run_attempt: "VARCHAR",
      environment: "VARCHAR",
      runner: "VARCHAR",
    }),
  }),
  destination: struct({
    name: "VARCHAR",
    name_from: "VARCHAR",
    ip: "VARCHAR",
    port: "INTEGER",
    protocol: "VARCHAR",
    names_of_ip: "VARCHAR[]",
  }),
  tls: struct({
    version: "VARCHAR",
    alpn: "VARCHAR[]",
    ech: "BOOLEAN",
    ja4: "VARCHAR",
    hello_bytes: "BIGINT",
    hello_segments: "BIGINT",
  }),
  dns: struct({ qtype: "VARCHAR", server: "VARCHAR", rcode: "VARCHAR", answers: "VARCHAR[]", ttl: "BIGINT" }),
  bytes: struct({ up: "BIGINT", down: "BIGINT" }),
  packets: struct({ up: "BIGINT", down: "BIGINT" }),
  duration_ms: "BIGINT",
  detection: "JSON",
  count: "BIGINT",
  first: "VARCHAR",
  last: "VARCHAR",
  message: "VARCHAR",
  data: "JSON",
};

/** Every column but `gateway`, which is the same for all events of a record and is added when records are put together. */
export const columns: readonly Column[] = [
  { name: "seq", type: "BIGINT", from: "seq" },
  { name: "id", type: "VARCHAR", from: "id" },
  { name: "time", type: "TIMESTAMP", from: "TRY_CAST(time AS TIMESTAMP)" },
  { name: "kind", type: "VARCHAR", from: "kind" },
  { name: "verdict", type: "VARCHAR", from: "verdict" },
  { name: "enforced", type: "BOOLEAN", from: "enforced" },
  { name: "reason", type: "VARCHAR", from: "reason" },
  { name: "stage", type: "VARCHAR", from: "stage" },
  { name: "rule", type: "VARCHAR", from: "rule.name" },
  { name: "rule_tier", type: "INTEGER", from: "rule.tier" },
  { name: "rule_mode", type: "VARCHAR", from: "rule.mode" },
  { name: "policy", type: "VARCHAR", from: "rule.policy" },
  { name: "monitored", type: "VARCHAR[]", from: "monitored" },
  { name: "source_ip", type: "VARCHAR", from: "source.ip" },
  { name: "source_port", type: "INTEGER", from: "source.port" },
  { name: "source_group", type: "VARCHAR", from: 'source."group"' },
  { name: "repository", type: "VARCHAR", from: "source.identity.repository" },
  { name: "workflow", type: "VARCHAR", from: "source.identity.workflow" },
  { name: "job", type: "VARCHAR", from: "source.identity.job" },
  { name: "run_id", type: "VARCHAR", from: "source.identity.run_id" },
  { name: "run_attempt", type: "VARCHAR", from: "source.identity.run_attempt" },
  { name: "environment", type: "VARCHAR", from: "source.identity.environment" },
  { name: "runner", type: "VARCHAR", from: "source.identity.runner" },
  { name: "name", type: "VARCHAR", from: "destination.name" },
  { name: "name_from", type: "VARCHAR", from: "destination.name_from" },
  { name: "ip", type: "VARCHAR", from: "destination.ip" },
  { name: "port", type: "INTEGER", from: "destination.port" },
  { name: "protocol", type: "VARCHAR", from: "destination.protocol" },
  { name: "names_of_ip", type: "VARCHAR[]", from: "destination.names_of_ip" },
  { name: "tls_version", type: "VARCHAR", from: "tls.version" },
  { name: "tls_alpn", type: "VARCHAR[]", from: "tls.alpn" },
  { name: "ech", type: "BOOLEAN", from: "tls.ech" },
  { name: "ja4", type: "VARCHAR", from: "tls.ja4" },
  { name: "hello_bytes", type: "BIGINT", from: "tls.hello_bytes" },
  { name: "hello_segments", type: "BIGINT", from: "tls.hello_segments" },
  { name: "dns_qtype", type: "VARCHAR", from: "dns.qtype" },
  { name: "dns_server", type: "VARCHAR", from: "dns.server" },
  { name: "dns_rcode", type: "VARCHAR", from: "dns.rcode" },
  { name: "dns_answers", type: "VARCHAR[]", from: "dns.answers" },
  { name: "dns_ttl", type: "BIGINT", from: "dns.ttl" },
  { name: "bytes_up", type: "BIGINT", from: "bytes.up" },
  { name: "bytes_down", type: "BIGINT", from: "bytes.down" },
  { name: "packets_up", type: "BIGINT", from: "packets.up" },
  { name: "packets_down", type: "BIGINT", from: "packets.down" },
  { name: "duration_ms", type: "BIGINT", from: "duration_ms" },
  { name: "detection", type: "VARCHAR", from: "detection->>'$.type'" },
  { name: "count", type: "BIGINT", from: "coalesce(count, 1)" },
  { name: "first", type: "TIMESTAMP", from: "TRY_CAST(first AS TIMESTAMP)" },
  { name: "last", type: "TIMESTAMP", from: "TRY_CAST(last AS TIMESTAMP)" },
  { name: "message", type: "VARCHAR", from: "message" },
  { name: "data", type: "VARCHAR", from: "CAST(data AS VARCHAR)" },
];

/** Goes into the names of cached files: a cache made with other columns is not read. Change it with {@link columns}. */
export const layout = 1;

/** A member that no event is without: null in what the reader could make nothing of. */
export const isEvent = "schema = 'sallyport.event/1' AND time IS NOT NULL";

/** `SELECT` of all columns and `is_event`, from the JSON lines of a file. What is no JSON becomes a row of nulls. */
export function linesSql(path: string): string {
  const types = Object.entries(members).map(([name, type]) => `${quoted(name)}: '${type}'`);
  const source =
    `read_json('${path}', format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true, ` +
    `maximum_object_size = ${2 * 1024 * 1024}, columns = {${types.join(", ")}})`;
  const list = columns.map(({ name, type, from }) => `CAST(${from} AS ${type}) AS ${quoted(name)}`);
  return `SELECT ${list.join(", ")}, coalesce(${isEvent}, false) AS is_event FROM ${source}`;
}

export const columnList = columns.map(({ name }) => quoted(name)).join(", ");

/** A table without rows that has all columns. */
export const emptyTable = columns.map(({ name, type }) => `CAST(NULL AS ${type}) AS ${quoted(name)}`).join(", ");

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function struct(fields: Readonly<Record<string, string>>): string {
  return `STRUCT(${Object.entries(fields)
    .map(([name, type]) => `${quoted(name)} ${type}`)
    .join(", ")})`;
}
