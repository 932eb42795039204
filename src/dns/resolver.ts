/**
 * Answers to allowed questions: from the cache, from a question already on its way, from upstream, or, when no upstream
 * answers, from the cache past its time (RFC 8767). Knows nothing of clients: what one of them may see of an answer is the
 * caller's judgement.
 */
import type { WireName } from "../wire/dns/name.ts";
import { readAnswer, type UpstreamAnswer } from "./answer.ts";
import { Cache } from "./cache.ts";
import type { UpstreamFailure, Upstreams } from "./upstream.ts";

/** Milliseconds past its TTL that an answer may be served while upstreams fail. */
const maxStale = 3_600_000;

/** Seconds; the TTL of a stale answer (RFC 8767 section 4). */
const staleTtl = 30;

/** Milliseconds a client waits for a refresh before it gets the stale answer (RFC 8767 section 5). */
const staleWait = 1800;

/** Milliseconds after a failure in which upstreams are left alone: with a stale answer to give, and without. */
const recheckWithStale = 30_000;
const recheckWithout = 1000;

/** `unusable`: the answer is well formed but its alias chain is not. `budget`: the asker may send no more. */
export type ResolutionFailure = UpstreamFailure | "unusable" | "recent" | "budget";

export type Resolution =
  | { answer: UpstreamAnswer; /** seconds left */ ttl: number; stale: boolean }
  | { failed: ResolutionFailure };

export class Resolver {
  readonly counts = { hits: 0, stale: 0, failures: 0 };
  private readonly upstreams: Upstreams;
  private readonly cache: Cache;
  private readonly now: () => number;
  private readonly flights = new Map<string, Promise<Resolution>>();

  constructor(upstreams: Upstreams, cache: Cache, now: () => number) {
    this.upstreams = upstreams;
    this.cache = cache;
    this.now = now;
  }

  get cached(): number {
    return this.cache.size;
  }

  /** What the cache knows of `name` (lower case) and `type`, within its time. */
  known(name: WireName, type: number): Resolution | null {
    const fresh = this.fresh(Cache.key(name, type));
    if (fresh !== null) this.counts.hits++;
    return fresh;
  }

  /**
   * Resolves what is not {@link known}. Never rejects. `maySend` is asked once when the question would go upstream for
   * this asker.
   */
  async resolve(name: WireName, type: number, maySend: () => boolean): Promise<Resolution> {
    const key = Cache.key(name, type);
    const recent = this.now() < (this.cache.get(key)?.retryAt ?? 0);
    if (recent) return this.countStale(this.stale(key)) ?? { failed: "recent" };
    const under = this.flights.get(key);
    if (under === undefined && !maySend()) return this.countStale(this.stale(key)) ?? { failed: "budget" };
    const flight = under ?? this.start(key, name, type);
    if (this.stale(key) === null) return flight;
    const result = await withDeadline(flight, staleWait);
    if (result !== null && "answer" in result) return result;
    return this.countStale(this.stale(key)) ?? result ?? flight;
  }

  private countStale(stale: Resolution | null): Resolution | null {
    if (stale !== null) this.counts.stale++;
    return stale;
  }

  private fresh(key: string): Resolution | null {
    const entry = this.cache.get(key);
    const left = entry === undefined ? 0 : Math.floor((entry.expires - this.now()) / 1000);
    const answer = entry?.answer ?? null;
    return answer === null || left <= 0 ? null : { answer, ttl: left, stale: false };
  }

  /** Only answers with records are worth serving past their time. */
  private stale(key: string): Resolution | null {
    const entry = this.cache.get(key);
    const answer = entry?.answer ?? null;
    if (entry === undefined || answer === null || answer.records.length === 0) return null;
    return this.now() < entry.expires + maxStale ? { answer, ttl: staleTtl, stale: true } : null;
  }

  private start(key: string, name: WireName, type: number): Promise<Resolution> {
    const flight = this.fetch(key, name, type).finally(() => this.flights.delete(key));
    this.flights.set(key, flight);
    return flight;
  }

  private async fetch(key: string, name: WireName, type: number): Promise<Resolution> {
    const result = await this.upstreams.ask(name, type);
    const answer = "message" in result ? readAnswer(name, type, result.message) : null;
    const now = this.now();
    if (answer !== null && "message" in result) {
      const size = result.bytes + 2 * name.length + 200;
      this.cache.set(key, { answer, expires: now + answer.ttl * 1000, retryAt: 0, size });
      return { answer, ttl: answer.ttl, stale: false };
    }
    this.counts.failures++;
    const failed = "failed" in result ? result.failed : "unusable";
    // Shutting down says nothing about the upstream.
    if (failed === "closed") return { failed };
    const known = this.cache.get(key);
    const usable = this.stale(key) !== null && known !== undefined;
    this.cache.set(
      key,
      usable
        ? { ...known, retryAt: now + recheckWithStale }
        : { answer: null, expires: 0, retryAt: now + recheckWithout, size: 2 * name.length + 200 },
    );
    return { failed };
  }
}

/** The promise's value, or null after `wait` milliseconds. */
async function withDeadline<T>(promise: Promise<T>, wait: number): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<null>((resolve) => (timer = setTimeout(resolve, wait, null)));
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
