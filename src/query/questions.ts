/**
 * The questions that come with the program, as SQL over sums of events (`parts.ts`). The tests put each beside a plain pass over
 * the events themselves (`testing/naive.ts`).
 */
import { quoted } from "./columns.ts";
import type { Family } from "./parts.ts";

export type Kind = "text" | "number" | "bytes" | "time" | "rule";

/** A column of an answer. */
export interface Field {
  name: string;
  kind: Kind;
  /** Of the table for people; the name otherwise. */
  title?: string;
}

export interface Question {
  /** What it answers, in one line. */
  about: string;
  /** What the answer's columns are, in order. */
  fields: readonly Field[];
  family: Family;
  /** For how long back it looks when nobody says, milliseconds; null: to the beginning. */
  sinceMs: number | null;
  /** It needs what was before, too: `since` is no bound of what is read, but of `first`. */
  needsPast?: true;
  /** Columns that say what a row is about, and their SQL over parts. */
  key: Readonly<Record<string, string>>;
  /** Which parts. */
  where: string;
  measures: readonly (keyof typeof measures)[];
  /** A further column, of the rows of the answer, to order them by. */
  rank?: string;
  order: string;
}

/** Columns of an answer: their name, and their SQL over parts. */
const measures = {
  connections: ["connections", "sum(connections)"],
  allowed: ["allowed", "sum(allowed)"],
  wouldDeny: ["would_deny", "sum(would_deny)"],
  denied: ["denied", "sum(denied)"],
  refusable: ["connections", "sum(would_deny)"],
  flows: ["flows", "sum(flows)"],
  up: ["bytes_up", "sum(bytes_up)"],
  down: ["bytes_down", "sum(bytes_down)"],
  largest: ["largest", "max(largest)"],
  first: ["first", 'min("first")'],
  last: ["last", 'max("last")'],
  lastEnd: ["last", "max(last_end)"],
  lastWouldDeny: ["last", "max(last_would_deny)"],
} as const;

/** `parts` is a SELECT of rows of parts; `since` an SQL literal, null where there is none. */
export function questionSql(question: Question, parts: string, since: string | null, limit: number): string {
  const { key, where, order, rank } = question;
  const keys = Object.keys(key).map(quoted);
  const named = Object.entries(key).map(([name, sql]) => `${sql} AS ${quoted(name)}`);
  const measured = question.measures.map((name) => `${measures[name][1]} AS ${quoted(measures[name][0])}`);
  const isNew = since === null ? '"first" IS NOT NULL' : `"first" >= ${since}`;
  return `SELECT ${question.fields.map(({ name }) => quoted(name)).join(", ")}
FROM (
  SELECT *${rank === undefined ? "" : `, ${rank} AS rank`} FROM (
    SELECT ${[...named, ...measured].join(", ")}
    FROM (${parts}) AS parts
    WHERE ${where} GROUP BY ${keys.map((_, i) => i + 1).join(", ")}
  ) WHERE ${question.needsPast === true ? isNew : "true"}
)
ORDER BY ${order}, ${keys.map((name) => `${name} NULLS LAST`).join(", ")}
LIMIT ${limit}`;
}

const text = (name: string, title?: string): Field => ({
  name,
  kind: "text",
  ...(title === undefined ? {} : { title }),
});
const number = (name: string, title?: string): Field => ({ ...text(name, title), kind: "number" });
const bytes = (name: string, title?: string): Field => ({ ...text(name, title), kind: "bytes" });
const time = (name: string): Field => ({ name, kind: "time" });
const rule: Field = { name: "rule", kind: "rule" };
const tier = number("rule_tier", "tier");
const counts = [
  number("connections", "conns"),
  number("allowed"),
  number("would_deny", "would deny"),
  number("denied"),
];
const traffic = [bytes("bytes_up", "up"), bytes("bytes_down", "down")];
const countNames = ["connections", "allowed", "wouldDeny", "denied"] as const;
const trafficNames = ["up", "down"] as const;
const mostFirst = "connections DESC, bytes_up DESC";
const week = 7 * 24 * 3_600_000;

/** Something in it is an attempt or the end of a connection. */
const isCounted = '"last" IS NOT NULL';
const destination = "coalesce(name, ip)";
const endpoint = { destination, port: "port", protocol: "protocol" };
const same = (...names: string[]) => Object.fromEntries(names.map((name) => [name, quoted(name)]));

export const questions = {
  destinations: {
    about: "where connections went, the most first",
    fields: [text("destination"), number("port"), text("protocol"), ...counts, ...traffic, time("last")],
    family: "destinations",
    sinceMs: null,
    key: endpoint,
    where: isCounted,
    measures: [...countNames, ...trafficNames, "last"],
    order: mostFirst,
  },
  runners: {
    about: "which runners (source addresses) connected how often, and sent how much",
    fields: [
      text("gateway"),
      text("source_ip", "runner"),
      text("source_group", "group"),
      ...counts,
      ...traffic,
      time("last"),
    ],
    family: "runners",
    sinceMs: null,
    key: same("gateway", "source_ip", "source_group"),
    where: isCounted,
    measures: [...countNames, ...trafficNames, "last"],
    order: mostFirst,
  },
  rules: {
    about: "which rules decided how often, and what went through them",
    fields: [rule, tier, ...counts, ...traffic, time("last")],
    family: "rules",
    sinceMs: null,
    key: same("rule", "rule_tier"),
    where: isCounted,
    measures: [...countNames, ...trafficNames, "last"],
    order: mostFirst,
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
      time("last"),
    ],
    family: "runners",
    sinceMs: null,
    key: same("gateway", "repository", "workflow", "job", "run_id", "run_attempt"),
    where: isCounted,
    measures: [...countNames, ...trafficNames, "last"],
    order: mostFirst,
  },
  "would-deny": {
    about: "what enforcing would refuse, by rule and destination",
    fields: [
      rule,
      tier,
      text("reason"),
      text("destination"),
      number("port"),
      text("protocol"),
      number("connections", "conns"),
      time("last"),
    ],
    family: "destinations",
    sinceMs: null,
    key: { ...same("rule", "rule_tier", "reason"), ...endpoint },
    where: "last_would_deny IS NOT NULL",
    measures: ["refusable", "lastWouldDeny"],
    // A rule's rows stay together, the rule with the most first.
    rank: 'sum(connections) OVER (PARTITION BY "rule", "rule_tier")',
    order: 'rank DESC, "rule" NULLS LAST, "rule_tier" NULLS LAST, connections DESC',
  },
  "new-names": {
    about: "names seen for the first time: in the last 7 days, or since --since",
    fields: [text("name"), time("first"), ...counts, ...traffic],
    family: "destinations",
    sinceMs: week,
    needsPast: true,
    key: same("name"),
    where: "name IS NOT NULL",
    measures: [...countNames, ...trafficNames, "first"],
    order: '"first" DESC',
  },
  uploads: {
    about: "bytes sent, by name, the most first",
    fields: [text("destination"), number("flows"), ...traffic, bytes("largest"), time("last")],
    family: "destinations",
    sinceMs: null,
    key: { destination },
    where: "last_end IS NOT NULL",
    measures: ["flows", ...trafficNames, "largest", "lastEnd"],
    order: "bytes_up DESC, flows DESC",
  },
} as const satisfies Readonly<Record<string, Question>>;

export type QuestionName = keyof typeof questions;

export function isQuestion(name: string): name is QuestionName {
  return Object.hasOwn(questions, name);
}
