/**
 * The questions that come with the program, as SQL over the view `record`. Every count sums `count`, because repeats are
 * recorded as one event. The tests put each beside a plain pass over the same events (`testing/naive.ts`).
 *
 * An attempt is a connection, or a name that was refused (or would have been) and so never became one. Bytes are those of
 * finished connections.
 */
import { quoted } from "./columns.ts";

export type Kind = "text" | "number" | "bytes" | "time" | "rule";

/** A column of an answer. */
export interface Field {
  name: string;
  kind: Kind;
  /** Of the table for people; the name in capitals otherwise. */
  title?: string;
}

export interface Question {
  /** What it answers, in one line. */
  about: string;
  fields: readonly Field[];
  /** For how long back it looks when nobody says, milliseconds; null: to the beginning. */
  sinceMs: number | null;
  sql: (bounds: Bounds, limit: number) => string;
}

/** SQL conditions on `time`. */
export interface Bounds {
  /** `time >= …`, or `true`. */
  since: string;
  /** `time < …`, or `true`. */
  until: string;
  /** The first moment asked about, as an SQL literal; null: the beginning. */
  from: string | null;
}

const attempt = "(kind = 'connection' OR kind = 'dns' AND verdict <> 'allow')";
const end = "kind = 'flow_end'";
const destination = "coalesce(name, ip)";
/** A refused name has no port; its question was sent to port 53 of somebody. */
const port = "CASE WHEN kind = 'dns' THEN NULL ELSE port END";

const total = (what: string, where: string) => `coalesce(sum(${what}) FILTER (WHERE ${where}), 0)`;

/** What is counted for each group of events: its name, how it is summed over events, how over groups. */
const measures = {
  connections: total("count", attempt),
  allowed: total("count", `${attempt} AND verdict = 'allow'`),
  would_deny: total("count", `${attempt} AND verdict = 'would_deny'`),
  denied: total("count", `${attempt} AND verdict = 'deny'`),
  flows: total("count", end),
  bytes_up: total("bytes_up", end),
  bytes_down: total("bytes_down", end),
} as const;

type Measure = keyof typeof measures;

/** What is told apart and counted: `runners` are source addresses, of one gateway each. */
const distincts = {
  runners: { parts: { gateway: "gateway", source_ip: "source_ip" }, counted: "(gateway, source_ip)", given: "source_ip" },
  destinations: { parts: { destination }, counted: "destination", given: "destination" },
} as const;

interface Grouping {
  /** Columns of the answer that say what a row is about, and their SQL. */
  key: Readonly<Record<string, string>>;
  /** Which events; those that no measure counts are left out anyway. */
  where: string;
  measures: readonly Measure[];
  distinct: readonly (keyof typeof distincts)[];
  /** Extremes: the column's name, and the SQL for events and for groups. */
  extremes: Readonly<Record<string, readonly [string, string]>>;
  having?: string;
  order: string;
}

/**
 * Two steps: first by the key and by what is told apart, then by the key alone. Counting distinct values in one step would keep
 * a set for each group while all events pass by.
 */
function grouped(grouping: Grouping, limit: number): string {
  const { key, where, distinct, extremes } = grouping;
  const parts: Record<string, string> = { ...key };
  for (const each of distinct) Object.assign(parts, distincts[each].parts);
  const sums = grouping.measures.map((name) => `${measures[name]} AS ${name}`);
  const ends = Object.entries(extremes);
  const first = [
    ...Object.entries(parts).map(([name, sql]) => `${sql} AS ${quoted(name)}`),
    ...sums,
    ...ends.map(([name, [sql]]) => `${sql} AS ${name}`),
  ];
  const keys = Object.keys(key).map(quoted);
  const second = [
    ...keys,
    ...grouping.measures.map((name) => `sum(${name}) AS ${name}`),
    ...distinct.map((each) => {
      const { counted, given } = distincts[each];
      return `count(DISTINCT ${counted}) FILTER (WHERE ${given} IS NOT NULL) AS ${each}`;
    }),
    ...ends.map(([name, [, sql]]) => `${sql} AS ${name}`),
  ];
  return `
WITH parts AS (
  SELECT ${first.join(", ")}
  FROM record WHERE ${where}
  GROUP BY ${Object.keys(parts).map((_, i) => i + 1).join(", ")}
)
SELECT * FROM (
  SELECT ${second.join(", ")}
  FROM parts GROUP BY ${keys.map((_, i) => i + 1).join(", ")}
  ${grouping.having === undefined ? "" : `HAVING ${grouping.having}`}
)
ORDER BY ${grouping.order}, ${keys.map((name) => `${name} NULLS LAST`).join(", ")}
LIMIT ${limit}`;
}

const within = ({ since, until }: Bounds) => `${since} AND ${until}`;
const last: Readonly<Record<string, readonly [string, string]>> = { last: ["max(time)", "max(last)"] };

const text = (name: string, title?: string): Field => ({ name, kind: "text", ...(title === undefined ? {} : { title }) });
const rule: Field = { name: "rule", kind: "rule" };
const number = (name: string, title?: string): Field => ({ ...text(name, title), kind: "number" });
const bytes = (name: string, title?: string): Field => ({ ...text(name, title), kind: "bytes" });
const time = (name: string): Field => ({ name, kind: "time" });
const counts = [
  number("connections", "conns"),
  number("allowed"),
  number("would_deny", "would deny"),
  number("denied"),
];
const traffic = [bytes("bytes_up", "up"), bytes("bytes_down", "down")];
const countNames = ["connections", "allowed", "would_deny", "denied"] as const;
const trafficNames = ["bytes_up", "bytes_down"] as const;
const mostFirst = "connections DESC, bytes_up DESC";
const week = 7 * 24 * 3_600_000;

export const questions = {
  destinations: {
    about: "where connections went, the most first",
    fields: [text("destination"), number("port"), text("protocol"), ...counts, ...traffic, number("runners"), time("last")],
    sinceMs: null,
    sql: (bounds, limit) =>
      grouped(
        {
          key: { destination, port, protocol: "protocol" },
          where: `${within(bounds)} AND (${attempt} OR ${end})`,
          measures: [...countNames, ...trafficNames],
          distinct: ["runners"],
          extremes: last,
          order: mostFirst,
        },
        limit,
      ),
  },
  runners: {
    about: "which runners (source addresses) connected how often, and sent how much",
    fields: [
      text("gateway"),
      text("source_ip", "runner"),
      text("source_group", "group"),
      ...counts,
      ...traffic,
      number("destinations"),
      time("last"),
    ],
    sinceMs: null,
    sql: (bounds, limit) =>
      grouped(
        {
          key: { gateway: "gateway", source_ip: "source_ip", source_group: "source_group" },
          where: `${within(bounds)} AND (${attempt} OR ${end})`,
          measures: [...countNames, ...trafficNames],
          distinct: ["destinations"],
          extremes: last,
          order: mostFirst,
        },
        limit,
      ),
  },
  rules: {
    about: "which rules decided how often; rule - tier 3 is the default",
    fields: [
      rule,
      number("rule_tier", "tier"),
      ...counts,
      ...traffic,
      number("destinations"),
      number("runners"),
      time("last"),
    ],
    sinceMs: null,
    sql: (bounds, limit) =>
      grouped(
        {
          key: { rule: "rule", rule_tier: "rule_tier" },
          where: `${within(bounds)} AND (${attempt} OR ${end})`,
          measures: [...countNames, ...trafficNames],
          distinct: ["destinations", "runners"],
          extremes: last,
          order: mostFirst,
        },
        limit,
      ),
  },
  jobs: {
    about: "which jobs connected how often, where the record knows jobs",
    fields: [
      text("gateway"),
      text("repository"),
      text("workflow"),
      text("job"),
      text("run_id", "run"),
      text("run_attempt", "attempt"),
      ...counts,
      ...traffic,
      number("destinations"),
      time("last"),
    ],
    sinceMs: null,
    sql: (bounds, limit) =>
      grouped(
        {
          key: {
            gateway: "gateway",
            repository: "repository",
            workflow: "workflow",
            job: "job",
            run_id: "run_id",
            run_attempt: "run_attempt",
          },
          where: `${within(bounds)} AND (${attempt} OR ${end})`,
          measures: [...countNames, ...trafficNames],
          distinct: ["destinations"],
          extremes: last,
          order: mostFirst,
        },
        limit,
      ),
  },
  "would-deny": {
    about: "what enforcing would refuse, by rule and destination",
    fields: [
      rule,
      number("rule_tier", "tier"),
      text("reason"),
      text("destination"),
      number("port"),
      text("protocol"),
      number("connections", "conns"),
      number("runners"),
      time("last"),
    ],
    sinceMs: null,
    sql: (bounds, limit) =>
      grouped(
        {
          key: { rule: "rule", rule_tier: "rule_tier", reason: "reason", destination, port, protocol: "protocol" },
          where: `${within(bounds)} AND ${attempt} AND verdict = 'would_deny'`,
          measures: ["connections"],
          distinct: ["runners"],
          extremes: last,
          // A rule's rows stay together, the rule with the most first.
          order: 'sum(connections) OVER (PARTITION BY "rule", "rule_tier") DESC, "rule" NULLS LAST, "rule_tier" NULLS LAST, connections DESC',
        },
        limit,
      ),
  },
  "new-names": {
    about: "names seen for the first time (in the last 7 days, unless --since says otherwise)",
    fields: [text("name"), time("first"), ...counts, ...traffic, number("runners")],
    sinceMs: week,
    sql: (bounds, limit) =>
      grouped(
        {
          key: { name: "name" },
          where: `${bounds.until} AND name IS NOT NULL AND (kind IN ('connection', 'dns') OR ${end})`,
          measures: [...countNames, ...trafficNames],
          distinct: ["runners"],
          extremes: { first: ["min(time) FILTER (WHERE kind IN ('connection', 'dns'))", "min(first)"] },
          having: bounds.from === null ? "min(first) IS NOT NULL" : `min(first) >= ${bounds.from}`,
          order: "first DESC",
        },
        limit,
      ),
  },
  uploads: {
    about: "bytes sent, by name, the most first",
    fields: [text("destination"), number("flows"), ...traffic, bytes("largest"), number("runners"), time("last")],
    sinceMs: null,
    sql: (bounds, limit) =>
      grouped(
        {
          key: { destination },
          where: `${within(bounds)} AND ${end}`,
          measures: ["flows", ...trafficNames],
          distinct: ["runners"],
          extremes: { largest: ["max(bytes_up)", "max(largest)"], ...last },
          order: "bytes_up DESC, flows DESC",
        },
        limit,
      ),
  },
} as const satisfies Readonly<Record<string, Question>>;

export type QuestionName = keyof typeof questions;

export function isQuestion(name: string): name is QuestionName {
  return Object.hasOwn(questions, name);
}
