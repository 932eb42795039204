/**
 * What the questions count: events, or sums of them. A sealed segment's events are summed once, when it is copied, so that a
 * question over ten million events reads some hundred thousand rows. A row of parts is an event with its repeats added up: `count`
 * and bytes are sums, `first` and `last` are the earliest and latest times. How many different runners there were for a
 * destination, no sum can say; SQL over `events` can.
 *
 * Sums know no time but their ends. A segment that lies across a bound of the question is read by event, one that lies inside by
 * its sums: the answer is the same to the microsecond.
 */
import { columnList, literal, quoted } from "./columns.ts";

/** Which events are told apart by what. */
export type Family = "destinations" | "runners" | "rules";

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
    reason: "reason",
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
  const key = Object.entries(families[family]).map(([name, sql]) => `${sql} AS ${quoted(name)}`);
  return (
    `SELECT kind, verdict, ${key.join(", ")}, count, bytes_up, bytes_down, bytes_up AS largest, ` +
    `time AS "first", time AS "last" FROM ${from} WHERE ${counted} AND ${where}`
  );
}

/** The sums of a segment's events, all families, for {@link partsSql} to read. */
export function sumsSql(from: string): string {
  return Object.entries(families)
    .map(([family, key]) => {
      const keys = [...keyTypes].map(([name, type]) => `${key[name] ?? `CAST(NULL AS ${type})`} AS ${quoted(name)}`);
      return (
        `SELECT ${literal(family)} AS family, kind, verdict, ${keys.join(", ")}, ${saturated("count")}, ` +
        `${saturated("bytes_up")}, ${saturated("bytes_down")}, max(bytes_up) AS largest, ` +
        `min(time) AS "first", max(time) AS "last" ` +
        `FROM ${from} WHERE ${counted} GROUP BY 1, 2, 3, ${keys.map((_, i) => i + 4).join(", ")}`
      );
    })
    .join("\nUNION ALL ");
}

/** Parquet has no wider integers; what is more than they hold was not counted by a kernel. Null where nothing is added up. */
function saturated(name: string): string {
  return `CAST(CASE WHEN sum(${name}) > ${most} THEN ${most} ELSE sum(${name}) END AS BIGINT) AS ${name}`;
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
    ["kind", "VARCHAR"],
    ["verdict", "VARCHAR"],
    ...Object.keys(families[family]).map((name) => [name, keyTypes.get(name)!] as const),
    ...["count", "bytes_up", "bytes_down", "largest"].map((name) => [name, "BIGINT"] as const),
    ["first", "TIMESTAMP"],
    ["last", "TIMESTAMP"],
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
