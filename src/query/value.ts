/** The engine's values as JSON has them: times in RFC 3339, numbers exact. */
import type { DuckDBValue } from "@duckdb/node-api";
import { formatTime } from "../audit/clock.ts";

export type Value = null | boolean | number | string | Value[] | { [member: string]: Value };

/** An integer beyond 2^53 becomes a string of its digits, so that no reader rounds it; what JSON has no word for, its text. */
export function plain(value: DuckDBValue): Value {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if ("micros" in value && "isFinite" in value && value.isFinite) return timeText(value.micros, String(value));
  if ("items" in value) return value.items.map(plain);
  if ("entries" in value) {
    const { entries } = value;
    if (Array.isArray(entries)) return entries.map(({ key, value }) => ({ key: plain(key), value: plain(value) }));
    return Object.fromEntries(Object.entries(entries).map(([member, entry]) => [member, plain(entry)]));
  }
  const text = String(value);
  return "scale" in value && "width" in value && Number.isSafeInteger(Math.trunc(Number(text))) ? Number(text) : text;
}

/** Years that RFC 3339 has no four digits for stay as the engine writes them. */
function timeText(micros: bigint, otherwise: string): string {
  const number = Number(micros);
  return number >= -62_135_596_800_000_000 && number < 253_402_300_800_000_000 ? formatTime(number) : otherwise;
}
