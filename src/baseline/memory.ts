/**
 * What earlier events of a record say about later ones. Repeats are recorded as one event with a count, which has only what all of
 * them share: not the names of the address, not the hello. The first of them were recorded one by one, just before. And the list of
 * an address's names is cut where it is long: whether the name shown was among the rest, an earlier look-up tells.
 */
import type { Event } from "../audit/event.ts";

/** What counted repeats leave out. */
export interface Told {
  /** As recorded, unchecked. */
  names: unknown;
  /** Some hello of the kind carried Encrypted Client Hello. */
  ech: boolean;
}

/** Kinds of connection, and look-ups, remembered at a time; the oldest are forgotten. */
const most = 100_000;

export class Memory {
  readonly #told = new Map<string, Told>();
  readonly #lookups = new Set<string>();

  /** Call it with every event, in the record's order, before anything is asked about it. */
  add(event: Event): void {
    const { kind, source, destination, dns } = event;
    if (kind === "connection" && event.count === undefined) {
      const key = keyOf(event);
      const ech = event.tls?.ech === true || this.#told.get(key)?.ech === true;
      this.#told.delete(key);
      this.#told.set(key, { names: destination?.names_of_ip, ech });
      if (this.#told.size > most) this.#told.delete(this.#told.keys().next().value!);
    }
    if (kind !== "dns" || event.verdict === "deny" || typeof destination?.name !== "string") return;
    if ((dns?.answers?.length ?? 0) === 0) return;
    this.#lookups.add(`${source?.ip} ${destination.name}`);
    if (this.#lookups.size > most) this.#lookups.delete(this.#lookups.keys().next().value!);
  }

  /** Of the last connection that a counted event repeats; null: none was told in full. */
  told(event: Event): Told | null {
    return this.#told.get(keyOf(event)) ?? null;
  }

  /** DNS answered this name to this source, with addresses. */
  lookedUp(source: string, name: string): boolean {
    return this.#lookups.has(`${source} ${name}`);
  }
}

/** What repeats have in common (`audit/aggregate.ts`), as far as it tells connections apart. */
function keyOf({ verdict, reason, source, destination }: Event): string {
  const { name, name_from, ip, port, protocol } = destination ?? {};
  return JSON.stringify([verdict, reason, source?.ip, name, name_from, ip, port, protocol]);
}
