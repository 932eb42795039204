/** The middle and the end of many times. */
export interface Distribution {
  p50: number;
  p99: number;
  max: number;
  count: number;
}

/** Of times in any unit, to a tenth of it; sorts them. */
export function distribution(times: number[]): Distribution {
  times.sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round((times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0) * 10) / 10;
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: times.length };
}
