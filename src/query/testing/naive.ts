/**
 * The questions answered by one plain pass over the events, as docs/query.md words them: nothing of SQL, sums or Parquet. What
 * the engine says must be this.
 */
import { formatTime, parseTime } from "../../audit/clock.ts";
import type { Event } from "../../audit/event.ts";
import type { QuestionName } from "../questions.ts";
import type { Value } from "../value.ts";

export interface Seen {
  gateway: string;
  event: Event;
}

export interface Asked {
  /** Microseconds. */
  since: number | null;
  until: number | null;
  limit: number;
}

type Row = Record<string, Value>;

const identity = ["repository", "workflow", "job", "run_id", "run_attempt"] as const;

const destinationOf = ({ destination }: Event) => destination?.name ?? destination?.ip ?? null;
const portOf = ({ kind, destination }: Event) => (kind === "dns" ? null : (destination?.port ?? null));
const protocolOf = ({ destination }: Event) => destination?.protocol ?? null;
const ruleOf = ({ rule }: Event) => ({ rule: rule?.name ?? null, rule_tier: rule?.tier ?? null });
const jobOf = ({ source }: Event) => {
  const known = (source as { identity?: Record<string, string> } | undefined)?.identity ?? {};
  return Object.fromEntries(identity.map((name) => [name, known[name] ?? null]));
};

const isAttempt = ({ kind, verdict }: Event) =>
  kind === "connection" || (kind === "dns" && verdict !== undefined && verdict !== "allow");
const isEnd = ({ kind }: Event) => kind === "flow_end";

/** What a row is about, for each question. */
const keys: Record<QuestionName, (seen: Seen) => Row> = {
  destinations: ({ event }) => ({
    destination: destinationOf(event),
    port: portOf(event),
    protocol: protocolOf(event),
  }),
  runners: ({ gateway, event }) => ({
    gateway,
    source_ip: event.source?.ip ?? null,
    source_group: event.source?.group ?? null,
  }),
  rules: ({ event }) => ruleOf(event),
  jobs: ({ gateway, event }) => ({ gateway, ...jobOf(event) }),
  "would-deny": ({ event }) => ({
    ...ruleOf(event),
    reason: event.reason ?? null,
    destination: destinationOf(event),
    port: portOf(event),
    protocol: protocolOf(event),
  }),
  "new-names": ({ event }) => ({ name: event.destination?.name ?? null }),
  uploads: ({ event }) => ({ destination: destinationOf(event) }),
};

export function answerNaively(question: QuestionName, events: readonly Seen[], { since, until, limit }: Asked): Row[] {
  const groups = new Map<string, { key: Row; events: Event[] }>();
  for (const seen of events) {
    const { event } = seen;
    const time = parseTime(event.time)!;
    if (until !== null && time >= until) continue;
    if (since !== null && time < since && question !== "new-names") continue;
    if (!isAsked(question, event)) continue;
    const key = keys[question](seen);
    const text = JSON.stringify(key);
    const group = groups.get(text) ?? { key, events: [] };
    group.events.push(event);
    groups.set(text, group);
  }
  let rows: Row[] = [...groups.values()].map(({ key, events }) => ({ ...key, ...measure(events) }));
  if (question === "new-names") {
    rows = rows.filter(({ first }) => first !== null && (since === null || parseTime(first as string)! >= since));
  }
  const total = new Map<string, number>();
  for (const row of rows) {
    const rule = JSON.stringify([row["rule"], row["rule_tier"]]);
    total.set(rule, (total.get(rule) ?? 0) + (row["connections"] as number));
  }
  const order: Record<QuestionName, (row: Row) => Value[]> = {
    destinations: most,
    runners: most,
    rules: most,
    jobs: most,
    "would-deny": (row) => [
      -total.get(JSON.stringify([row["rule"], row["rule_tier"]]))!,
      row["rule"] ?? null,
      row["rule_tier"] ?? null,
      -(row["connections"] as number),
    ],
    "new-names": (row) => [-parseTime(row["first"] as string)!],
    uploads: (row) => [-(row["bytes_up"] as number), -(row["flows"] as number)],
  };
  const names = Object.keys(keys[question]({ gateway: "", event: {} as Event }));
  const sortKey = (row: Row) => [...order[question](row), ...names.map((name) => row[name] ?? null)];
  return rows.toSorted((a, b) => compareLists(sortKey(a), sortKey(b))).slice(0, limit);
}

const most = (row: Row): Value[] => [-(row["connections"] as number), -(row["bytes_up"] as number)];

function isAsked(question: QuestionName, event: Event): boolean {
  if (question === "uploads") return isEnd(event);
  if (question === "would-deny") return isAttempt(event) && event.verdict === "would_deny";
  if (question === "new-names") {
    return (event.destination?.name ?? null) !== null && ["connection", "dns", "flow_end"].includes(event.kind);
  }
  return isAttempt(event) || isEnd(event);
}

function measure(events: readonly Event[]): Row {
  const attempts = events.filter(isAttempt);
  const ends = events.filter(isEnd);
  const count = (list: readonly Event[]) => list.reduce((sum, { count }) => sum + (count ?? 1), 0);
  const times = (list: readonly Event[]) => list.map(({ time }) => parseTime(time)!);
  const sightings = times(events.filter(({ kind }) => kind === "connection" || kind === "dns"));
  return {
    connections: count(attempts),
    allowed: count(attempts.filter(({ verdict }) => verdict === "allow")),
    would_deny: count(attempts.filter(({ verdict }) => verdict === "would_deny")),
    denied: count(attempts.filter(({ verdict }) => verdict === "deny")),
    flows: count(ends),
    bytes_up: ends.reduce((sum, { bytes }) => sum + (bytes?.up ?? 0), 0),
    bytes_down: ends.reduce((sum, { bytes }) => sum + (bytes?.down ?? 0), 0),
    largest: ends.length === 0 ? null : Math.max(...ends.map(({ bytes }) => bytes?.up ?? 0)),
    first: sightings.length === 0 ? null : formatTime(Math.min(...sightings)),
    last: formatTime(Math.max(...times(events))),
  };
}

/** As SQL orders: numbers by size, text by its bytes, null last. */
function compareLists(a: readonly Value[], b: readonly Value[]): number {
  for (const [i, left] of a.entries()) {
    const order = compare(left, b[i] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

function compare(a: Value, b: Value): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return Buffer.compare(Buffer.from(a as string), Buffer.from(b as string));
}
