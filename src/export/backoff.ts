/**
 * When to try again: the wait doubles with each failure up to a bound, and is drawn at random from its upper half, so that
 * many gateways do not come back to a recovered sink at one moment. A sink's own wish (Retry-After) is kept where it is longer.
 */

/** First wait, longest wait of our own, and longest wish of a sink that is kept, milliseconds. */
export const waits = { first: 500, longest: 60_000, wish: 3_600_000 } as const;

/** Milliseconds before the next attempt after `failures` in a row (1, 2, …). `chance` is from 0 to 1. */
export function waitAfter(failures: number, retryAfterMs: number | null, chance: number): number {
  const full = Math.min(waits.longest, waits.first * 2 ** Math.min(failures - 1, 30));
  const own = full * (0.5 + chance / 2);
  return Math.max(own, Math.min(retryAfterMs ?? 0, waits.wish));
}

/** Milliseconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date) at `now`; null where it says nothing. */
export function parseRetryAfter(text: string | undefined, now: number): number | null {
  const value = text?.trim() ?? "";
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  // A date has letters; Date.parse would take "-5" for a year.
  if (!/^[A-Z][a-z]{2,8},? /.test(value)) return null;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
