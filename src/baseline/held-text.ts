/**
 * What a proposed policy leaves out on purpose, as comments in it: whoever enforces the file must find there, and not only in a
 * report that is gone by then, what it will refuse of what jobs do today, and what he can do about it.
 */
import { comment } from "../translate/write.ts";
import { type Doubt, doubtText } from "./doubt.ts";
import type { Seen } from "./evidence.ts";
import { acceptKey } from "./accept.ts";
import type { Held } from "./propose.ts";

/** How many destinations of one source are listed; the report has all. */
const mostLines = 50;

/** Comment lines; none where nothing is held back. The same for the same destinations, however often they were met. */
export function heldNotes(
  sources: readonly {
    evidence: { name: string | null };
    held: readonly Held[];
    entries: readonly { seen: Seen[] }[];
  }[],
): string[] {
  const those = sources.filter(({ held }) => held.length > 0);
  if (those.length === 0) return [];
  const lines = those.flatMap(({ evidence, held, entries }) => {
    const plain = new Set(entries.flatMap(({ seen }) => seen).map(endpointOf));
    const texts = [...new Set(held.map(({ seen, doubt }) => lineOf(seen, doubt, plain.has(endpointOf(seen)))))];
    const rest = texts.length - mostLines;
    return [
      ...(evidence.name === null ? [] : comment(`From ${evidence.name}:`)),
      ...texts.slice(0, mostLines).flatMap((text) => comment(text, "#   ", "#     ")),
      ...(rest > 0 ? [`#   and ${rest} more`] : []),
    ];
  });
  const intro =
    "Not in it, though it was let through while monitoring: this is refused once the default enforces. " +
    "`sallyport baseline --accept HOST:PORT` puts one in.";
  return ["#", ...comment(intro, "# ", "# "), ...lines, "#"];
}

function lineOf(seen: Seen, doubt: Doubt, isAlsoPlain: boolean): string {
  const text = `${acceptKey(seen)} ${seen.protocol}: ${doubtText(doubt)}`;
  if (doubt !== "ech") return text;
  const only = isAlsoPlain ? "; hellos without it are allowed below" : "";
  return `${text}${only}. Jobs whose client sends it break: turn it off there, or --accept, which writes ech: allow for this name`;
}

function endpointOf({ host, port, protocol }: Seen): string {
  return `${host} ${port} ${protocol}`;
}
