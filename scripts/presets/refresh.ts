/**
 * What a new answer of GitHub's `/meta` makes of the preset `github-actions`. Pure, and suspicious: the answer comes over a
 * network and ends up in everybody's policies, so what is empty, shrunk, far larger or from outside GitHub's own zones is
 * refused, and a host that is new gets in only when a person says why.
 *
 * The shape (GitHub's REST API, “Get GitHub meta information”): `domains.actions_inbound.full_domains` has exact hosts,
 * `.wildcard_domains` patterns, `domains.actions` both.
 */
import { formatPattern, isPatternDefect, parsePattern } from "../../src/address/pattern.ts";
import type { PresetHost } from "../../src/policy/presets.ts";

/** What a person says beside the answer. */
export interface Said {
  /** Hosts to add, with their reasons. */
  readonly reasons: ReadonlyMap<string, string>;
  /** Hosts of the preset that are to go. */
  readonly remove: readonly string[];
  /** Hosts of the preset that stay although the answer has them not. */
  readonly keep: readonly string[];
  /** How many numbered accounts there are to be, where that is far from how many there were. */
  readonly accounts: number | null;
}

/** What comes of it: a new version, or null where nothing changes; or why not. */
export type Refreshed =
  | { readonly refusals: readonly string[] }
  | { readonly refusals: null; readonly version: readonly PresetHost[] | null; readonly unlisted: readonly string[] };

/** Zones in which nobody but GitHub has names. */
const zones = ["github.com", "githubusercontent.com", "githubapp.com", "ghcr.io"];
const account = /^productionresultssa(0|[1-9]\d{0,4})\.blob\.core\.windows\.net$/;
const accounts = /^productionresultssa\{[\d,-]+\}\.blob\.core\.windows\.net$/;
/** Fewer exact hosts than this are no answer. */
const fewest = 5;

/** Holds an answer against the newest version. */
export function refresh(current: readonly PresetHost[], answer: unknown, said: Said): Refreshed {
  const read = hostsOf(answer);
  if (typeof read === "string") return { refusals: [read] };
  const { exact, patterns } = read;
  const refusals: string[] = [];
  const numbers = exact
    .flatMap((host) => account.exec(host)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b);
  const hosts = current.flatMap((entry): PresetHost[] => {
    if (said.remove.includes(entry.host)) return [];
    if (accounts.test(entry.host)) {
      refusals.push(...suspicionsOf(entry.host, numbers, said.accounts));
      return [{ ...entry, host: rangeOf(numbers) }];
    }
    const isThere = entry.host.includes("*") ? patterns.includes(entry.host) : exact.includes(entry.host);
    if (!isThere && !said.keep.includes(entry.host)) {
      refusals.push(`${entry.host} is in the preset and not in the answer. Add --remove or --keep ${entry.host}`);
    }
    return [entry];
  });
  for (const host of said.remove.filter((each) => !current.some((entry) => entry.host === each))) {
    refusals.push(`${host} is not in the preset, so it cannot be removed`);
  }
  for (const [host, reason] of said.reasons) {
    if (!exact.includes(host)) refusals.push(`${host} is not among the exact hosts of the answer`);
    else if (!isGithubs(host))
      refusals.push(`${host} is in none of the zones where GitHub alone has names: ${zones.join(", ")}`);
    else if (reason.trim().length < 10) refusals.push(`${host} needs a reason that says what it is for`);
    else if (!current.some((entry) => entry.host === host)) hosts.push({ host, reason: reason.trim() });
  }
  if (refusals.length > 0) return { refusals };
  const unlisted = exact.filter((host) => !account.test(host) && !hosts.some((entry) => entry.host === host));
  const isSame = JSON.stringify(hosts) === JSON.stringify(current);
  return { refusals: null, version: isSame ? null : hosts, unlisted };
}

function isGithubs(host: string): boolean {
  return zones.some((zone) => host === zone || host.endsWith(`.${zone}`));
}

/** The hosts of an answer, or what is wrong with it. */
function hostsOf(answer: unknown): { exact: string[]; patterns: string[] } | string {
  const domains = valueAt(answer, "domains");
  const inbound = valueAt(domains, "actions_inbound");
  const lists = [valueAt(inbound, "full_domains"), valueAt(inbound, "wildcard_domains"), valueAt(domains, "actions")];
  if (!Array.isArray(lists[0])) return "the answer has no domains.actions_inbound.full_domains";
  const all: string[] = [];
  for (const list of lists) {
    if (list === undefined) continue;
    if (!Array.isArray(list)) return "a list of domains in the answer is no list";
    for (const text of list) {
      const pattern = typeof text === "string" ? parsePattern(text) : null;
      if (pattern === null || isPatternDefect(pattern))
        return `${JSON.stringify(text).slice(0, 80)} in the answer is no host`;
      all.push(formatPattern(pattern));
    }
  }
  const unique = [...new Set(all)];
  const exact = unique.filter((host) => !host.includes("*"));
  if (exact.length < fewest) return `the answer has ${exact.length} exact hosts; fewer than ${fewest} are no answer`;
  return { exact, patterns: unique.filter((host) => host.includes("*")) };
}

function valueAt(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

/** A list that shrinks to less than half, or grows to more than double, is somebody else's until a person says otherwise. */
function suspicionsOf(before: string, numbers: readonly number[], expected: number | null): string[] {
  if (numbers.length === 0) return ["the answer has no numbered storage account"];
  if (expected !== null) {
    return numbers.length === expected ? [] : [`the answer has ${numbers.length} numbered accounts, not ${expected}`];
  }
  const had = countOf(before);
  if (numbers.length * 2 >= had && numbers.length <= had * 2) return [];
  return [
    `the answer has ${numbers.length} numbered accounts, the preset ${had}. Add --accounts ${numbers.length} if that is so`,
  ];
}

function countOf(host: string): number {
  const ranges = /\{([\d,-]+)\}/.exec(host)![1]!.split(",");
  return ranges.reduce((sum, range) => {
    const [from, to = from] = range.split("-").map(Number) as [number, number?];
    return sum + to - from + 1;
  }, 0);
}

function rangeOf(numbers: readonly number[]): string {
  const pattern = parsePattern(`productionresultssa{${[...new Set(numbers)].join(",")}}.blob.core.windows.net`);
  return isPatternDefect(pattern) ? "" : formatPattern(pattern);
}
