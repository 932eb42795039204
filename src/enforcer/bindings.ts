/** Bindings as rows of a snapshot: without them every name that clients still hold would be refused after a restart. */
import { formatAddress, parseAddress } from "../address/ip.ts";
import { canonicalName } from "../address/name.ts";
import type { AddressBook, Binding } from "../flow/book.ts";

/** TTL cap plus grace: nothing legitimate lasts longer, whatever the file says. */
const longestMs = 25 * 3_600_000;

export function bindingRows(book: AddressBook, now: number): unknown[][] {
  return [...book.entries(now)].map(({ name, address, expires, source }) => [
    name,
    formatAddress(address),
    expires,
    source === null ? null : formatAddress(source),
  ]);
}

/** Null for a row that is none or has run out. */
export function bindingOf(row: readonly unknown[], now: number): Binding | null {
  const [name, addressText, expires, sourceText] = row;
  if (typeof name !== "string" || canonicalName(name) !== name || typeof addressText !== "string") return null;
  const address = parseAddress(addressText);
  const source = typeof sourceText === "string" ? parseAddress(sourceText) : null;
  if (address === null || (source === null && sourceText !== null)) return null;
  if (typeof expires !== "number" || expires <= now || expires > now + longestMs) return null;
  return { name, address, expires, source };
}
