/**
 * Our policies for products that have a list of hosts: GitHub's egress firewall and harden-runner, as a second line. Pure: the
 * caller reads the file and the clock.
 */
import { formatPattern, isExact, isPatternDefect, parsePattern } from "../address/pattern.ts";
import type { Pattern } from "../address/pattern.ts";
import type { Engine } from "../policy/decision.ts";
import { modeAt } from "../policy/model.ts";
import type { Policy } from "../policy/model.ts";
import { overlap } from "../policy/overlap.ts";
import { yamlText } from "../policy/wording.ts";
import { allowedHosts, spotOf } from "./allowed.ts";
import type { Allowed, Whose } from "./allowed.ts";
import { githubDefaults } from "./github-firewall.ts";
import { isLoss, Notes, oneLine } from "./note.ts";
import type { Note } from "./note.ts";
import { headLines } from "./write.ts";

/** Every format that can be exported to. */
export const exportFormats = { github: toGithub, "harden-runner": toHardenRunner } as const;

export type ExportFormat = keyof typeof exportFormats;

/** What came out of an export. */
export interface Exported {
  readonly text: string;
  readonly notes: readonly Note[];
  /** Nothing was left out or changed. */
  readonly complete: boolean;
}

interface Written {
  readonly lines: readonly string[];
  readonly about: readonly string[];
}

/** Writes a loaded policy as another product's. */
export function exportPolicy(policy: Policy, engine: Engine, format: ExportFormat, whose: Whose): Exported {
  const notes = new Notes();
  const monitors =
    policy.default.mode === "monitor" && !policy.default.enforceFor.some(({ name }) => name === whose.source);
  if (monitors) noteDenies(policy, whose, notes);
  const allowed = allowedHosts(policy, engine, whose, notes);
  const { lines, about } = exportFormats[format](allowed, monitors, notes);
  const intro = `From ${oneLine(policy.file)} by \`sallyport policy export ${format}\`, for ${whose.source ?? "every source"}. Change it there.`;
  const text = `${[...headLines(intro, notes.list, policy.file, about), ...lines].join("\n")}\n`;
  return { text, notes: notes.list, complete: !notes.list.some(isLoss) };
}

/** A product that only watches refuses nothing; deny rules here refuse in monitor mode, too. */
function noteDenies({ rules }: Policy, { now }: Whose, notes: Notes): void {
  for (const rule of rules) {
    if (rule.action === "deny" && modeAt(rule, now) === "enforce")
      notes.add(
        "wider",
        spotOf(rule),
        `rule “${rule.name}”: it denies although the default monitors; a list that is only watched denies nothing`,
      );
  }
}

function leaveOut(entry: Allowed, why: string, notes: Notes): [] {
  notes.add("narrower", spotOf(entry.rule), `rule “${entry.rule.name}”: ${entry.host}: ${why}`);
  return [];
}

/** The body of `.github/egress-firewall.yaml`. */
function toGithub(allowed: readonly Allowed[], monitors: boolean, notes: Notes): Written {
  const web = allowed.filter(
    (entry) => isWeb(entry) || leaveOut(entry, `${serviceText(entry)} is not HTTP or HTTPS`, notes).length > 0,
  );
  const hasDefaults = githubDefaults().every(
    (text) => web.some(({ pattern }) => covers(pattern, text)) || coversRange(text, web),
  );
  const isDefault = (host: string): boolean => githubDefaults().some((text) => covers(patternOf(text), host));
  const listed = web.flatMap((entry) => {
    if (hasDefaults && isDefault(entry.host)) return [];
    return isExact(entry.pattern) ? [entry] : leaveOut(entry, "GitHub's list has exact hosts alone", notes);
  });
  const byRule = Map.groupBy(listed, ({ rule }) => rule);
  const seen = new Set<string>();
  const hosts = [...byRule].flatMap(([rule, entries]) => {
    const fresh = [...new Set(entries.map(({ host }) => host))].filter((host) => !seen.has(host));
    for (const host of fresh) seen.add(host);
    return fresh.length === 0
      ? []
      : [`  # ${oneLine(rule.name)} (line ${rule.line})`, ...fresh.map((host) => `  - ${yamlText(host)}`)];
  });
  return {
    lines: [
      `mode: ${monitors ? "log" : "enforce"}`,
      ...(hasDefaults ? [] : ["no-default-urls: true"]),
      ...(hosts.length === 0 ? ["allow: []"] : ["allow:", ...hosts]),
    ],
    about: [
      "It goes into .github/egress-firewall.yaml, exactly so; GitHub enforces nothing where the file has another name.",
      "GitHub's list has no ports: a host is open for HTTP and HTTPS, whichever the policy allows.",
      ...(hasDefaults ? ["GitHub's own defaults are left on: the policy allows them all."] : []),
    ],
  };
}

function isWeb({ port, protocol }: Allowed): boolean {
  if (protocol === "tls" || protocol === "tcp")
    return port === 443 || port === null || (protocol === "tcp" && port === 80);
  return protocol === "http" && (port === 80 || port === null);
}

function serviceText({ port, protocol }: Allowed): string {
  return port === null ? protocol : `${protocol} on ${port}`;
}

function patternOf(text: string): Pattern {
  const pattern = parsePattern(text);
  if (isPatternDefect(pattern)) throw new TypeError(pattern.defect);
  return pattern;
}

/** Every name of `text` is one of the pattern's. */
function covers(pattern: Pattern, text: string): boolean {
  return overlap(pattern, patternOf(text)).some((common) => formatPattern(common) === formatPattern(patternOf(text)));
}

/** Numbered hosts were written out one by one; together they may be the whole range. */
function coversRange(text: string, entries: readonly Allowed[]): boolean {
  const { labels } = patternOf(text);
  const range = labels.find((label) => label.kind === "range");
  if (range === undefined) return false;
  const count = range.ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  return new Set(entries.filter(({ host }) => covers(patternOf(text), host)).map(({ host }) => host)).size === count;
}

/** What harden-runner opens by itself, as our patterns: the fourth takes in more than GitHub's own accounts. */
const openedAnyway = [
  "codeload.github.com",
  "actions-results-receiver-production.githubapp.com",
  "**.actions.githubusercontent.com",
  "productionresultssa*.blob.core.windows.net",
].map(patternOf);

/** The inputs of a harden-runner step. */
function toHardenRunner(allowed: readonly Allowed[], monitors: boolean, notes: Notes): Written {
  const endpoints = allowed.flatMap((entry) => {
    const { port, protocol, pattern } = entry;
    if (protocol === "quic" || protocol === "udp" || protocol === "icmp")
      return leaveOut(entry, `${protocol} is not TCP`, notes);
    if (port === null) return leaveOut(entry, "an endpoint of harden-runner has one port", notes);
    if (port === 443 && openedAnyway.some((opened) => covers(opened, entry.host))) return [];
    if (isExact(pattern)) return [`${entry.host}:${port}`];
    const isSuffix = pattern.deep && pattern.labels.every(({ kind }) => kind === "literal");
    if (!isSuffix) return leaveOut(entry, "harden-runner's * also takes in dots, so it would match more", notes);
    return [
      `${["*", ...pattern.labels.map((label) => (label.kind === "literal" ? label.text : ""))].join(".")}:${port}`,
    ];
  });
  const lines = [...new Set(endpoints)].map((endpoint) => `    ${endpoint}`);
  return {
    lines: [
      "with:",
      `  egress-policy: ${monitors ? "audit" : "block"}`,
      ...(lines.length === 0 ? ['  allowed-endpoints: ""'] : ["  allowed-endpoints: >", ...lines]),
    ],
    about: [
      "These are the inputs of a step with step-security/harden-runner, the first of its job; pin it to a commit.",
      "harden-runner lets a host's address through on a port, whatever is spoken there. Besides it opens codeload.github.com, *.actions.githubusercontent.com, productionresultssa*.blob.core.windows.net, private networks, the metadata services and servers of its own.",
    ],
  };
}
