/**
 * The record's time: microseconds since the epoch, and RFC 3339 text. Within one process it never goes back: it runs on
 * the monotonic clock, follows the wall clock when that jumps ahead (a resumed virtual machine), and does not follow it
 * back, so a record's order is never contradicted by its times. Across a restart times may go back with the wall clock;
 * order is what `seq` says.
 */

/** Microseconds since 1970-01-01T00:00:00Z, never decreasing. */
export interface Clock {
  now(): number;
}

/** A jump ahead of the wall clock beyond this is followed; below it is the slewing of a synchronised clock. */
const jumpMilliseconds = 1000;

/** The machine's clock. */
export function systemClock(): Clock {
  let origin = performance.timeOrigin;
  let last = 0;
  return {
    now() {
      const monotonic = performance.now();
      const wall = Date.now();
      if (wall - (origin + monotonic) > jumpMilliseconds) origin = wall - monotonic;
      const micros = Math.floor((origin + monotonic) * 1000);
      if (micros > last) last = micros;
      return last;
    },
  };
}

let cachedSecond = -1;
let cachedText = "";

/** RFC 3339, UTC, always six decimals (27 characters), so that text order is time order. */
export function formatTime(time: number): string {
  const micros = Math.floor(time);
  const second = Math.floor(micros / 1_000_000);
  if (second !== cachedSecond) {
    cachedText = new Date(second * 1000).toISOString().slice(0, 20);
    cachedSecond = second;
  }
  return `${cachedText}${String(micros - second * 1_000_000).padStart(6, "0")}Z`;
}

const rfc3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

/** Microseconds of an RFC 3339 time (any offset, digits beyond microseconds dropped); null where it is none. */
export function parseTime(text: string): number | null {
  const match = rfc3339.exec(text);
  if (match === null) return null;
  const milliseconds = Date.parse(match[1]! + match[3]!);
  if (Number.isNaN(milliseconds)) return null;
  return milliseconds * 1000 + Number((match[2] ?? "").padEnd(6, "0").slice(0, 6));
}
