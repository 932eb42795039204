/** Whom a line of a difference is about: exactly, by one source for each class; and in words, by as few as it takes. */
import { formatAddress } from "../address/ip.ts";
import type { ProcessFacts } from "./decision.ts";
import type { SourceClass, Sources } from "./universe.ts";

/** `address` and `process` stand for the others like them; null: any address, whatever process. */
export interface SourceView {
  name: string;
  address: string | null;
  process: ProcessFacts | null;
}

/** Sources null: every source. `who`: the same for people. */
export interface Whom {
  sources: SourceView[] | null;
  who: string[];
}

/** How some of all source classes are called. */
export function whomOf(some: readonly SourceClass[], all: Sources): Whom {
  if (some.length === all.classes.length) return { sources: null, who: [] };
  const places = Map.groupBy(all.classes, ({ place }) => place);
  const roles = Map.groupBy(all.classes, ({ role }) => role);
  // All the processes of some addresses are those addresses, and one process at all addresses is that process.
  const sources: SourceView[] = [];
  const who: string[] = [];
  const rest: SourceClass[] = [];
  for (const [place, here] of Map.groupBy(some, (each) => each.place)) {
    if (here.length < places.get(place)!.length) rest.push(...here);
    else {
      sources.push({ name: place, address: formatAddress(here[0]!.address), process: null });
      who.push(place);
    }
  }
  for (const [role, same] of Map.groupBy(rest, (each) => each.role)) {
    if (same.length === roles.get(role)!.length) {
      sources.push({ name: role, address: null, process: same[0]!.process });
    } else {
      for (const { label: name, address, process } of same)
        sources.push({ name, address: formatAddress(address), process });
    }
  }
  // Places where the same processes are meant stand together.
  const described = [...Map.groupBy(rest, (each) => each.place)].map(([place, here]) => ({
    place,
    words: all.describe(new Set(here.map((each) => each.role))),
  }));
  for (const same of Map.groupBy(described, ({ words }) => JSON.stringify(words)).values()) {
    const { words } = same[0]!;
    if (same.length === places.size) who.push(...words);
    else for (const { place } of same) who.push(`${place} (${words.join(" or ")})`);
  }
  return { sources, who };
}
