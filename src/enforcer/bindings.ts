/**
 * The address book on disk, so that a restart does not forget which answers clients still hold: without it every cached
 * name would be refused until its client asks again.
 */
import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatAddress, parseAddress } from "../address/ip.ts";
import { canonicalName } from "../address/name.ts";
import type { AddressBook, Binding } from "../flow/book.ts";

const schema = "sallyport.bindings/1";
/** TTL cap plus grace: nothing legitimate lasts longer, whatever the file says. */
const longestMs = 25 * 3_600_000;

export function bindingsFile(state: string): string {
  return join(state, "bindings.json");
}

/** What still holds of the last snapshot. A missing or damaged file is an empty book: fail closed, clients ask again. */
export function readBindings(state: string, now: number): Binding[] {
  let rows: unknown;
  try {
    const file = JSON.parse(readFileSync(bindingsFile(state), "utf8")) as { schema?: unknown; bindings?: unknown };
    if (file.schema !== schema) return [];
    rows = file.bindings;
  } catch {
    return [];
  }
  if (!Array.isArray(rows)) return [];
  return rows.map((row) => parseRow(row, now)).filter((binding) => binding !== null);
}

function parseRow(row: unknown, now: number): Binding | null {
  if (!Array.isArray(row)) return null;
  const [name, addressText, expires, sourceText] = row as unknown[];
  if (typeof name !== "string" || canonicalName(name) !== name || typeof addressText !== "string") return null;
  const address = parseAddress(addressText);
  const source = typeof sourceText === "string" ? parseAddress(sourceText) : null;
  if (address === null || (source === null && sourceText !== null)) return null;
  if (typeof expires !== "number" || expires <= now || expires > now + longestMs) return null;
  return { name, address, expires, source };
}

/** Writes a snapshot in one step: a reader sees the old or the new one. */
export async function writeBindings(state: string, book: AddressBook, now: number): Promise<void> {
  const bindings = [...book.entries(now)].map((binding) => [
    binding.name,
    formatAddress(binding.address),
    binding.expires,
    binding.source === null ? null : formatAddress(binding.source),
  ]);
  const file = bindingsFile(state);
  await writeFile(`${file}.new`, JSON.stringify({ schema, bindings }), { mode: 0o600 });
  await rename(`${file}.new`, file);
}
