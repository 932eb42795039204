/**
 * Foreign values looked at with care: only an object's own keys, only the type that was asked for, and `unknown` as a value of its own:
 * what Terraform will know only after it has applied is {@link UNKNOWN}, and whoever reads it has to say what that means. Never a pass.
 */

/** A value that is not known yet: not absent, not empty. */
export const UNKNOWN: unique symbol = Symbol("unknown");

export type Fields = Readonly<Record<string, unknown>>;

/** An object, and no array. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object's own value; undefined where it has none, whatever its prototype has under that name. */
export function own(value: unknown, key: string): unknown {
  return isFields(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** A text that says something, or null. */
export function textAt(value: unknown, key: string): string | null {
  const found = own(value, key);
  return typeof found === "string" && found !== "" ? found : null;
}

export function flagAt(value: unknown, key: string): boolean | null {
  const found = own(value, key);
  return typeof found === "boolean" ? found : null;
}

/** A number, or the digits of one: Terraform's state has both. */
export function numberAt(value: unknown, key: string): number | null {
  const found = own(value, key);
  if (typeof found === "number") return found;
  return typeof found === "string" && /^-?\d{1,9}$/.test(found) ? Number(found) : null;
}

/** The elements of an array; none where it is something else. */
export function listAt(value: unknown, key: string): readonly unknown[] {
  const found = own(value, key);
  return Array.isArray(found) ? found : [];
}

/** The texts of an array, or the one text that stands for an array of one; others are left out. */
export function textsAt(value: unknown, key: string): string[] {
  const found = own(value, key);
  return (Array.isArray(found) ? found : [found]).filter((each) => typeof each === "string");
}

/** True where the value or anything in the array under `key` is not known yet. */
export function isUnknownAt(value: unknown, key: string): boolean {
  const found = own(value, key);
  return found === UNKNOWN || (Array.isArray(found) && found.includes(UNKNOWN));
}

/** Foreign text for a line of a terminal: no control characters, of bounded length. */
export function shown(text: string, most = 160): string {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
  return plain.length > most ? `${plain.slice(0, most - 1)}…` : plain;
}
