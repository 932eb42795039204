/**
 * What the questions count: sums of events. A sealed segment's events are summed once, when it is copied, so that a question over
 * ten million events reads some hundred thousand rows. How many different runners there were for a destination, no sum can say;
 * SQL over `events` can.
 *
 * Sums know no time but their ends. A segment that lies across a bound of the question is read by event, one that lies inside by
 * its sums: the answer is the same to the microsecond.
 *
 * An attempt is a connection, or a name that was refused (or would have been) and so never became one. Bytes are those of
 * finished connections.
 */
import { columnList, literal, quoted } from "./columns.ts";
import type { Piece } from "./pieces.ts";

/** Which events are told apart by what. */
export type Family = "destinations" | "runners" | "rules";

const attempt = "(kind = 'connection' OR kind = 'dns' AND verdict <> 'allow')";
const end = "kind = 'flow_end'";
const wouldDeny = `${attempt} AND verdict = 'would_deny'`;

/** What is added up, in SQL over an event. */
const sums = {
  connections: when(attempt, "count"),
  allowed: when(`${attempt} AND verdict = 'allow'`, "count"),
  would_deny: when(wouldDeny, "count"),
  denied: when(`${attempt} AND verdict = 'deny'`, "count"),
  flows: when(end, "count"),
  bytes_up: when(end, "coalesce(bytes_up, 0)"),
  bytes_down: when(end, "coalesce(bytes_down, 0)"),
} as const;

/** What is the least or the most of its kind, in SQL over an event; null in an event that it is not about. */
const extremes = {
  largest: { of: `CASE WHEN ${end} THEN coalesce(bytes_up, 0) END`, by: "max", type: "BIGINT" },
  /** When its name was first seen. */
  first: { of: "CASE WHEN kind IN ('connection', 'dns') THEN time END", by: "min", type: "TIMESTAMP" },
  last: { of: `CASE WHEN ${attempt} OR ${end} THEN time END`, by: "max", type: "TIMESTAMP" },
  last_end: { of: `CASE WHEN ${end} THEN time END`, by: "max", type: "TIMESTAMP" },
  last_would_deny: { of: `CASE WHEN ${wouldDeny} THEN time END`, by: "max", type: "TIMESTAMP" },
  /** Of all events there are, for the bounds. */
  earliest: { of: "time", by: "min", type: "TIMESTAMP" },
  latest: { of: "time", by: "max", type: "TIMESTAMP" },
} as const;

function when(condition: string, value: string): string {
  return `CASE WHEN ${condition} THEN ${value} ELSE 0 END`;
}

/** For each family: the columns that say what a row is about, in SQL over an event. */
const families: Readonly<Record<Family, Readonly<Record<string, string>>>> = {
  destinations: {
    name: "name",
    // One row for a name, however many addresses it has.
    ip: "CASE WHEN name IS NULL THEN ip END",
    // A refused name has no port: its question was sent to port 53 of somebody.
    port: "CASE WHEN kind = 'dns' THEN NULL ELSE port END",
    protocol: "protocol",
    rule: "rule",
    rule_tier: "rule_tier",
    // Only what would be refused is asked for by reason.
    reason: `CASE WHEN ${wouldDeny} THEN reason END`,
  },
  runners: {
    source_ip: "source_ip",
    source_group: "source_group",
    repository: "repository",
    workflow: "workflow",
    job: "job",
    run_id: "run_id",
    run_attempt: "run_attempt",
  },
  rules: { rule: "rule", rule_tier: "rule_tier" },
};

const integers = new Set(["port", "rule_tier"]);
/** Every column of a key in any family, once, with its type: the sums of all families are one file. */
const keyTypes = new Map(
  Object.values(families).flatMap((key) =>
    Object.keys(key).map((name) => [name, integers.has(name) ? "INTEGER" : "VARCHAR"] as const),
  ),
);

/** Only these are counted. An event without a time that is one was not written by us. */
const counted = "kind IN ('connection', 'dns', 'flow_end') AND time IS NOT NULL";

/** The rows of a family, one for each event. */
function eventRows(family: Family, from: string, where: string): string {
  const list = [
    ...Object.entries(families[family]),
    ...Object.entries(sums),
    ...Object.entries(extremes).map(([name, { of }]) => [name, of] as const),
  ];
  const rows = list.map(([name, sql]) => `${sql} AS ${quoted(name)}`).join(", ");
  return `SELECT ${rows} FROM ${from} WHERE ${counted} AND ${where}`;
}

/** The sums of a segment's events, all families, for {@link partsSql} to read. */
export function sumsSql(from: string): string {
  const added = Object.entries(sums).map(([name, sql]) => saturated(sql, name));
  const ends = Object.entries(extremes).map(([name, { of, by }]) => `${by}(${of}) AS ${quoted(name)}`);
  return Object.entries(families)
    .map(([family, key]) => {
      const keys = [...keyTypes].map(([name, type]) => `${key[name] ?? `CAST(NULL AS ${type})`} AS ${quoted(name)}`);
      const groups = keys.map((_, i) => i + 2).join(", ");
      const list = [...keys, ...added, ...ends].join(", ");
      return `SELECT ${literal(family)} AS family, ${list} FROM ${from} WHERE ${counted} GROUP BY 1, ${groups}`;
    })
    .join("\nUNION ALL ");
}

/** Parquet has no wider integers; what is more than they hold was not counted by a kernel. */
function saturated(sql: string, name: string): string {
  return `CAST(CASE WHEN sum(${sql}) > ${most} THEN ${most} ELSE sum(${sql}) END AS BIGINT) AS ${name}`;
}

const most = "9223372036854775807";

/** A segment as it was copied. */
export interface Copy {
  /** Paths of its events and of their sums, in Parquet. */
  events: string;
  sums: string;
  /** The earliest and latest time in it, microseconds; null where nothing in it is counted. */
  times: readonly [first: number, last: number] | null;
}

/** A record as it was loaded. */
export interface LoadedRecord {
  gateway: string;
  copies: Copy[];
  /** Tables of events: what is being written, reports. */
  tables: string[];
  /** All of these in the order of the record, with what is known of each. */
  pieces: Piece[];
  /** The last record that the head names; null where it names none. */
  head: number | null;
  isReport: boolean;
}

/** Microseconds, from and before; null: no bound. */
export interface Window {
  since: number | null;
  until: number | null;
}

/**
 * `SELECT` of the rows of a family, with `gateway`, over all that was recorded within the window. `timeOf` makes an SQL literal
 * of microseconds.
 */
export function partsSql(
  family: Family,
  records: readonly LoadedRecord[],
  { since, until }: Window,
  timeOf: (micros: number) => string,
): string {
  const names = [...rowColumns(family).keys()].map(quoted).join(", ");
  const where =
    (since === null ? "true" : `time >= ${timeOf(since)}`) + (until === null ? "" : ` AND time < ${timeOf(until)}`);
  const isAcross = (first: number, last: number) =>
    (since !== null && first < since) || (until !== null && last >= until);
  const isTouched = (first: number, last: number) =>
    (since === null || last >= since) && (until === null || first < until);
  const selects: string[] = [];
  for (const { gateway, copies, tables } of records) {
    const inside: string[] = [];
    const across: string[] = [];
    for (const { times, sums, events } of copies) {
      if (times === null || !isTouched(...times)) continue;
      if (isAcross(...times)) across.push(events);
      else inside.push(sums);
    }
    const add = (rows: string) => selects.push(`SELECT ${literal(gateway)} AS gateway, ${names} FROM (${rows})`);
    if (inside.length > 0) add(`SELECT * FROM ${parquet(inside)} WHERE family = ${literal(family)}`);
    if (across.length > 0) add(eventRows(family, parquet(across), where));
    for (const table of tables) add(eventRows(family, table, where));
  }
  if (selects.length > 0) return selects.join("\nUNION ALL ");
  const nulls = [...rowColumns(family)].map(([name, type]) => `CAST(NULL AS ${type}) AS ${quoted(name)}`);
  return `SELECT CAST(NULL AS VARCHAR) AS gateway, ${nulls.join(", ")} WHERE false`;
}

function rowColumns(family: Family): Map<string, string> {
  return new Map([
    ...Object.keys(families[family]).map((name) => [name, keyTypes.get(name)!] as const),
    ...Object.keys(sums).map((name) => [name, "BIGINT"] as const),
    ...Object.entries(extremes).map(([name, { type }]) => [name, type] as const),
  ]);
}

/** `SELECT` of every event, with `gateway`: the view `record`. */
export function recordSql(records: readonly LoadedRecord[], empty: string): string {
  const selects = records.flatMap(({ gateway, copies, tables }) => {
    const from = [...(copies.length > 0 ? [parquet(copies.map(({ events }) => events))] : []), ...tables];
    return from.map((each) => `SELECT ${literal(gateway)} AS gateway, ${columnList} FROM ${each}`);
  });
  return selects.length > 0 ? selects.join("\nUNION ALL ") : `SELECT NULL::VARCHAR AS gateway, ${empty} WHERE false`;
}

export function parquet(paths: readonly string[]): string {
  return `read_parquet([${paths.map(literal).join(", ")}])`;
}
