/** Why a host or pattern on an allowlist is a way out for anybody: wildcards, places for sinks, and hosts where strangers have accounts. */
import { formatPattern, isExact, isPatternDefect, parsePattern } from "../../address/pattern.ts";
import { entryFor, sinks } from "../../policy/sinks.ts";

/** Hosts that jobs need and where strangers have accounts too: open only for what is asked of them. */
const shared: ReadonlyMap<string, string> = new Map([
  ["api.github.com", "a token of anybody's makes repositories, gists and releases there"],
  ["raw.githubusercontent.com", "it serves anybody's repositories"],
  ["gist.githubusercontent.com", "it serves anybody's gists"],
  ["uploads.github.com", "a token of anybody's uploads there"],
  ["amazonaws.com", "anybody can have a bucket there"],
  ["blob.core.windows.net", "anybody can have an account there"],
  ["storage.googleapis.com", "anybody can have a bucket there"],
]);

/** Why a host or pattern is a way out for anybody; null: it is not known to be one. */
export function openness(text: string): string | null {
  const pattern = parsePattern(text);
  if (isPatternDefect(pattern)) return text.includes("*") ? `${text} is a wildcard` : null;
  const name = formatPattern(pattern).replace(/^(?:\*+\.)+/, "");
  const why = entryFor(sinks, name) ?? entryFor(shared, name);
  if (why !== null)
    return isExact(pattern) || !shared.has(name) ? `${text}: ${why}` : `${text}: a wildcard, and ${why}`;
  return isExact(pattern) || name.split(".").length > 2 ? null : `${text} is every name of a whole domain`;
}

/** The first six, and how many there are besides. */
export function listed(all: readonly string[]): string {
  return all.length <= 6 ? all.join(", ") : `${all.slice(0, 6).join(", ")} and ${all.length - 6} more`;
}
