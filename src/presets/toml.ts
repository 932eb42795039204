/** TOML files of clients, read defensively: what has another shape than expected says nothing. */
import { parse } from "smol-toml";
import { shown } from "./finding.ts";
import type { Finding } from "./finding.ts";
import type { Text } from "./machine.ts";

/** A table of a file. */
export type Table = Readonly<Record<string, unknown>>;

/** A file's root; null, and noted as missing, where it is no TOML. */
export function readToml({ name, text }: Text, finding: Finding): Table | null {
  try {
    return parse(text, { unsafeKeyBehaviour: "drop" });
  } catch (error) {
    // A RangeError: nested beyond the stack.
    finding.broken(`${name} is no TOML: ${shown((error as Error).message.split("\n")[0] ?? "")}`);
    return null;
  }
}

/** The table at a key; an empty one where there is none. */
export function tableOf(table: Table, key: string): Table {
  const value = table[key];
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Table) : {};
}

/** The tables of an array at a key. */
export function tablesOf(table: Table, key: string): Table[] {
  const value = table[key];
  return Array.isArray(value) ? value.filter((each): each is Table => typeof each === "object" && each !== null) : [];
}

/** The texts at a key: one, or an array of them. */
export function textsOf(table: Table, key: string): string[] {
  const value = table[key];
  return (Array.isArray(value) ? value : [value]).filter(
    (each): each is string => typeof each === "string" && each !== "",
  );
}
