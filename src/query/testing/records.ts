/** Records for the tests of this room: random events that share values, and state directories with the segments asked for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import fc from "fast-check";
import { genesis, sealLine, type Link } from "../../audit/chain.ts";
import { formatTime } from "../../audit/clock.ts";
import type { Event, EventBody } from "../../audit/event.ts";
import { segmentAt } from "../../audit/segment.ts";
import { ulidGenerator } from "../../audit/ulid.ts";
import { Query, type QueryOptions } from "../query.ts";
import type { QuestionName } from "../questions.ts";
import type { Value } from "../value.ts";

/** A new, empty directory; removed when the test file ends. */
export function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "sallyport-query-test-"));
  after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface Timed {
  body: EventBody;
  /** Microseconds. */
  time: number;
}

/** The first moment of random records, microseconds. */
export const epoch = Date.UTC(2026, 4, 4, 9, 0, 0) * 1000;

const few = <T>(...values: T[]) => fc.constantFrom(...values);
const count = fc.option(fc.oneof(fc.integer({ min: 1, max: 9 }), few(1_000_000_007)), { nil: undefined });

/** Events that have names, rules, runners and times in common, and odd ones: without a source, a rule, a destination. */
export const timed: fc.Arbitrary<Timed> = fc
  .record({
    kind: few<EventBody["kind"]>("connection", "connection", "dns", "flow_end", "flow_end", "detection", "lifecycle"),
    verdict: few<EventBody["verdict"]>("allow", "allow", "deny", "would_deny", undefined),
    reason: few<EventBody["reason"]>("rule", "default", "name_mismatch", undefined),
    rule: few(null, undefined, "packages", "registry", "Zoë’s rule", "zebra"),
    tier: few(1 as const, 2 as const, 3 as const),
    source: few(undefined, "10.0.0.1", "10.0.0.2", "fd00::1"),
    group: few(null, undefined, "python-runners"),
    job: few(undefined, "build", "release"),
    name: few(
      null,
      "a.example",
      "b.example",
      "xn--caf-dma.example",
      "\u001b[31mred.example",
      "z\u0000.example",
      '"q",.example',
    ),
    ip: few(undefined, "192.0.2.1", "2001:db8::1"),
    port: few(undefined, 443, 80),
    protocol: few("tls" as const, "tcp" as const),
    bytes: fc.option(fc.record({ up: fc.nat(1e9), down: fc.nat(1e9) }), { nil: undefined }),
    count,
    // Few moments, so that bounds hit them exactly; not in order, as after a clock that went back.
    time: fc.nat(40).map((step) => epoch + step * 250_000),
    whole: few(true, true, true, false),
  })
  .map(
    ({
      kind,
      verdict,
      reason,
      rule,
      tier,
      source,
      group,
      job,
      name,
      ip,
      port,
      protocol,
      bytes,
      count,
      time,
      whole,
    }) => {
      const identity = job === undefined ? {} : { identity: { repository: "example/app", job, run_id: "17" } };
      const body = {
        kind,
        verdict,
        reason,
        rule: rule === undefined ? undefined : { name: rule, tier, mode: "enforce", policy: "5d" },
        source: source === undefined ? undefined : { ip: source, group, ...identity },
        destination: whole || name !== null ? { name, name_from: "sni", ip, port, protocol } : undefined,
        bytes: kind === "flow_end" || kind === "detection" ? bytes : undefined,
        count: kind === "flow_end" ? undefined : count,
      };
      return { body: JSON.parse(JSON.stringify(body)) as EventBody, time };
    },
  );

/** Writes records as a spool does, a segment at a time. */
export class Recorder {
  readonly directory: string;
  readonly events: Event[] = [];
  #link: Link = genesis;
  readonly #ulid = ulidGenerator();

  constructor(directory = temporary()) {
    this.directory = directory;
    mkdirSync(join(directory, "events"), { recursive: true });
  }

  /** A new segment of these events, and then what a crash left at its end. Returns its path. */
  segment(events: readonly Timed[], torn = ""): string {
    const { path } = segmentAt(this.directory, this.#link.seq + 1);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${this.lines(events)}${torn}`);
    return path;
  }

  /** The lines that come next; whoever asks writes them. */
  lines(events: readonly Timed[]): string {
    return events
      .map(({ body, time }) => {
        const seq = this.#link.seq + 1;
        const sealed = sealLine(body, seq, this.#link.hash, formatTime(time), this.#ulid(Math.floor(time / 1000)));
        this.#link = { seq, hash: sealed.hash };
        this.events.push(JSON.parse(sealed.line) as Event);
        return `${sealed.line}\n`;
      })
      .join("");
  }
}

/** One answer, as objects. */
export async function ask(
  question: QuestionName,
  options: QueryOptions,
  limit = 1000,
): Promise<Record<string, Value>[]> {
  return await using(options, async (query) => {
    const { fields, rows } = await query.ask(question, limit);
    return rows.map((row) => Object.fromEntries(fields.map(({ name }, i) => [name, row[i] ?? null])));
  });
}

export async function select(sql: string, options: QueryOptions, limit = 1000): Promise<Value[][]> {
  return await using(options, async (query) => (await query.select(sql, limit)).rows);
}

export async function using<T>(options: QueryOptions, work: (query: Query) => Promise<T>): Promise<T> {
  const query = await Query.open(options);
  try {
    return await work(query);
  } finally {
    await query.close();
  }
}

/** A connection to `name`, at `time` or the beginning. */
export function connection(name: string, more: Partial<EventBody> & { time?: number } = {}): Timed {
  const { time = epoch, ...rest } = more;
  return {
    time,
    body: {
      kind: "connection",
      verdict: "allow",
      enforced: true,
      reason: "rule",
      stage: "name",
      rule: { name: "packages", tier: 2, mode: "enforce", policy: "5d" },
      source: { ip: "10.0.0.1", port: 40_000, group: null },
      destination: { name, name_from: "sni", ip: "192.0.2.1", port: 443, protocol: "tls" },
      ...rest,
    },
  };
}
