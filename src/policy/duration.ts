/** Lengths of time as people write them: one number and one unit. */

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds in `90s`, `10m`, `2h`, `3d`, 0 and more; null where it is none. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  return match === null ? null : Number(match[1]) * units[match[2]!]!;
}
