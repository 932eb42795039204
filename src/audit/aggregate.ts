/**
 * Flood control in front of the record: a job that hammers a refused destination must not fill the disk, and must not
 * hide anything by trying. Denials that differ in nothing that matters are recorded one by one up to a number in a
 * window, then counted; when the window closes one event says how many, first and last. Allowed traffic, finished
 * flows and everything about Sallyport itself pass untouched.
 *
 * Memory is bounded. With too many different denials (a scan of addresses or names) from one source, or altogether, the
 * further ones are counted by source and reason with the destination dropped; with too many sources (spoofed
 * addresses), by reason alone. Coarser, never blind: over any stretch the `count`s that come out add up to those that
 * went in. Pure: the time is a parameter.
 */
import { formatTime } from "./clock.ts";
import type { EventBody } from "./event.ts";

export interface AggregatorOptions {
  /** Identical denials recorded one by one in each window (5). */
  individually?: number;
  /** Length of a window (1000 ms), from the first denial of its kind. */
  windowMs?: number;
  /** Most kinds of denial told apart (10 000), and most of one source (1000). */
  maxKeys?: number;
  maxKeysPerSource?: number;
}

interface Entry {
  /** Milliseconds since the epoch: when the window closes. */
  closes: number;
  seen: number;
  /** What all repeats share; never what only one of them had. */
  shared: EventBody;
  source: string;
  exact: boolean;
  count: number;
  first: string;
  last: string;
}

/** One per record: it must see every event of a source to bound them. */
export class Aggregator {
  readonly #individually: number;
  readonly #window: number;
  readonly #maxKeys: number;
  readonly #maxKeysPerSource: number;
  /** In the order of their windows' beginnings. */
  readonly #entries = new Map<string, Entry>();
  readonly #keysOf = new Map<string, number>();
  #exact = 0;
  #coarse = 0;
  #now = 0;

  constructor(options: AggregatorOptions = {}) {
    this.#individually = options.individually ?? 5;
    this.#window = options.windowMs ?? 1000;
    this.#maxKeys = options.maxKeys ?? 10_000;
    this.#maxKeysPerSource = options.maxKeysPerSource ?? 1000;
  }

  /**
   * What to record for an event at `now` (milliseconds since the epoch; a clock that goes back is held still): the
   * windows that have closed, then the event or nothing.
   */
  push(body: EventBody, now: number): EventBody[] {
    this.#now = Math.max(this.#now, now);
    return this.#pushAt(body, this.#now);
  }

  #pushAt(body: EventBody, now: number): EventBody[] {
    const out = this.tick(now);
    if (!isDenial(body)) return [...out, body];
    const entry = this.#entry(body, now);
    if (entry.exact && entry.seen < this.#individually) {
      entry.seen++;
      return [...out, body];
    }
    if (entry.count === 0) entry.first = body.first ?? formatTime(now * 1000);
    entry.last = body.last ?? formatTime(now * 1000);
    entry.count += body.count ?? 1;
    return out;
  }

  /** The counts of the windows that have closed by `now` (milliseconds; Infinity: all). Call it about once a window while nothing is pushed. */
  tick(now: number): EventBody[] {
    const out: EventBody[] = [];
    for (const [key, entry] of this.#entries) {
      if (entry.closes > now) break;
      this.#close(key, entry, out);
    }
    return out;
  }

  #entry(body: EventBody, now: number): Entry {
    const source = body.source?.ip ?? "";
    const exact = exactly(body);
    const key = keyOf(exact);
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const mine = this.#keysOf.get(source) ?? 0;
    if (this.#exact < this.#maxKeys && mine < this.#maxKeysPerSource && key.length <= maxKeyLength) {
      this.#exact++;
      this.#keysOf.set(source, mine + 1);
      return this.#begin(key, exact, source, true, now);
    }
    const bySource = coarsely(body, true);
    const found = this.#entries.get(keyOf(bySource));
    if (found !== undefined) return found;
    const shared = this.#coarse < this.#maxKeys ? bySource : coarsely(body, false);
    const last = this.#entries.get(keyOf(shared));
    if (last !== undefined) return last;
    this.#coarse++;
    return this.#begin(keyOf(shared), shared, source, false, now);
  }

  #begin(key: string, shared: EventBody, source: string, exact: boolean, now: number): Entry {
    const closes = now + this.#window;
    const entry = { closes, seen: 0, shared, source, exact, count: 0, first: "", last: "" };
    this.#entries.set(key, entry);
    return entry;
  }

  #close(key: string, entry: Entry, out: EventBody[]): void {
    this.#entries.delete(key);
    if (entry.exact) {
      this.#exact--;
      const left = (this.#keysOf.get(entry.source) ?? 1) - 1;
      if (left > 0) this.#keysOf.set(entry.source, left);
      else this.#keysOf.delete(entry.source);
    } else this.#coarse--;
    const { shared, count, first, last } = entry;
    if (count > 0) out.push({ ...shared, count, first, last });
  }
}

/** A key beyond this (an absurd name) is not worth telling apart. */
const maxKeyLength = 2048;

function isDenial(body: EventBody): boolean {
  return (
    (body.kind === "connection" || body.kind === "dns") && (body.verdict === "deny" || body.verdict === "would_deny")
  );
}

/** The members that make two denials the same, and therefore all that a count of them may claim. */
function exactly({ kind, verdict, enforced, reason, stage, rule, source, process, destination }: EventBody): EventBody {
  return defined({
    kind,
    verdict,
    enforced,
    reason,
    stage,
    rule: rule && { name: rule.name, tier: rule.tier, mode: rule.mode, policy: rule.policy },
    source: source && withGroup(source),
    process,
    destination:
      destination &&
      defined({
        name: destination.name,
        name_from: destination.name_from,
        ip: destination.ip,
        port: destination.port,
        protocol: destination.protocol,
      }),
  });
}

function coarsely({ kind, verdict, enforced, reason, source }: EventBody, bySource: boolean): EventBody {
  const message = bySource
    ? "Too many different denials from this source: destinations are left out."
    : "Too many different denials from too many sources: sources and destinations are left out.";
  return defined({
    kind,
    verdict,
    enforced,
    reason,
    source: bySource ? source && withGroup(source) : undefined,
    message,
  });
}

function withGroup(source: { ip: string; group?: string | null }): { ip: string; group?: string | null } {
  return defined({ ip: source.ip, group: source.group });
}

/** A process is told apart by its number: its arguments alone can be longer than a key. */
function keyOf(shared: EventBody): string {
  const { process } = shared;
  return JSON.stringify(process === undefined ? shared : { ...shared, process: process.pid });
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Leaves out the members that are undefined, keeping the order: equal values give equal text. */
function defined<T extends object>(value: T): Defined<T> {
  const out: Record<string, unknown> = {};
  for (const [member, content] of Object.entries(value)) if (content !== undefined) out[member] = content;
  return out as Defined<T>;
}
