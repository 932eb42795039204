/** Amounts of data as policies write them: decimal and binary units, and nothing without a unit. */

const units = { kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

/** What is an amount, but for nothing at all. */
export const sizePattern = /^(\d{1,9}(?:\.\d{1,3})?) ?(kB|MB|GB|KiB|MiB|GiB)$/;

/** Bytes in `10 MB`, `1.5 GiB`; null where it is no amount, or none at all. */
export function parseSize(text: string): number | null {
  const match = sizePattern.exec(text);
  if (match === null) return null;
  const bytes = Math.round(Number(match[1]) * units[match[2] as keyof typeof units]);
  return bytes > 0 ? bytes : null;
}

/** An amount for people, as short as it is exact: `10 MB`, `1 GiB`, `1234 bytes`. */
export function sizeText(bytes: number): string {
  const exact = (["GiB", "GB", "MiB", "MB", "KiB", "kB"] as const).find(
    (unit) => bytes >= units[unit] && Number.isInteger((bytes / units[unit]) * 10),
  );
  return exact === undefined ? `${bytes} bytes` : `${bytes / units[exact]} ${exact}`;
}
