/**
 * The flows that have to be looked at to compare two policies: for every set of flows that no rule of either tells apart,
 * one that speaks for all. Sources and addresses are cut into regions by the prefixes; names into what each pattern and
 * each two overlapping patterns match; ports into those that are mentioned and one that is not.
 */
import { cidrContains, formatCidr } from "../address/cidr.ts";
import type { Address } from "../address/ip.ts";
import { formatPattern } from "../address/pattern.ts";
import type { LabelPattern, Pattern } from "../address/pattern.ts";
import { LabelTrie } from "../address/trie.ts";
import type { ProcessFacts } from "./decision.ts";
import { appliesAt, holdsAddress, modeAt } from "./model.ts";
import type { Policy, Rule } from "./model.ts";
import { numbered, overlap, startingWith } from "./overlap.ts";
import { processClasses } from "./process-classes.ts";
import { cidrsOf, ordinaryAddress, sourcesOf, strangerTo, subnetsOf } from "./question.ts";
import { regionsOf, specialPrefixes } from "./regions.ts";

/** Sources that both policies treat alike: an address, and a process there. */
export interface SourceClass {
  readonly address: Address;
  readonly process: ProcessFacts | null;
  /** For people; no two classes have the same. */
  readonly label: string;
  /** The label of its addresses alone, and of its processes alone (empty where no rule asks for one). */
  readonly place: string;
  readonly role: string;
}

/** Names that both policies treat alike: what `label` matches and narrower ones do not. */
export interface NameClass {
  readonly label: Pattern;
  readonly text: string;
  readonly name: string;
  /** Texts of the patterns that hold all of this. */
  readonly within: readonly string[];
  /** Those of them that were cut by their numbers, and this is a piece. */
  readonly wholes: readonly string[];
}

/** Addresses that both policies treat alike. Text null: ordinary ones that no CIDR endpoint covers. */
export interface AddressClass {
  readonly address: Address;
  readonly text: string | null;
  /** Some CIDR endpoint covers it. */
  readonly isCovered: boolean;
  /** Texts of the wider CIDR endpoints that hold it. */
  readonly within: readonly string[];
}

/** Bounds, so that a comparison of big policies ends; `isCut` says that one was reached. */
const maxPairs = 200_000;
const maxNames = 40_000;
const maxSources = 20_000;
const maxParts = 64;

/** The rules in force at a time, with the modes they then have. */
export function liveRules({ rules }: Policy, now: number): Rule[] {
  return rules.filter((rule) => appliesAt(rule, now)).map((rule) => ({ ...rule, mode: modeAt(rule, now) }));
}

/** The source classes of two policies. */
export interface Sources {
  readonly classes: readonly SourceClass[];
  readonly isCut: boolean;
  /** Calls a set of processes, given by their roles, in as few words as it takes. */
  readonly describe: (roles: ReadonlySet<string>) => string[];
}

/** One class for each set of sources that an address and its process can be in, in either policy. */
export function sourceClasses(a: Policy, b: Policy): Sources {
  const places = addressesOfSources(a, b);
  const limit = Math.max(16, Math.floor(maxSources / places.length));
  const { classes: roles, isCut, describe } = processClasses([...a.rules, ...b.rules], limit);
  const isAlone = places.length === 1;
  const classes = places.flatMap(({ address, label: place }) =>
    roles.map(({ facts, label: role }) => ({
      address,
      process: facts,
      label: role === "" ? place : isAlone ? role : `${place} (${role})`,
      place,
      role,
    })),
  );
  return { classes, isCut, describe };
}

/** One address for each set of sources that it can be in, whatever the process. */
function addressesOfSources(a: Policy, b: Policy): { address: Address; label: string }[] {
  const sides = [a, b].map((policy) => sourcesOf(policy).filter(({ subnets }) => subnets !== null));
  const subnets = [...subnetsOf(a), ...subnetsOf(b)];
  const found = new Map<string, { address: Address; prefixes: string[]; names: string[] }>();
  const add = (address: Address, prefix: string | null): void => {
    const holds = sides.map((sources) => sources.filter((s) => holdsAddress(s, address)));
    const key = JSON.stringify(holds.map((sources) => sources.map((s) => [s.declared, s.name])));
    const known = found.get(key);
    if (known !== undefined) {
      if (prefix !== null) known.prefixes.push(prefix);
      return;
    }
    const [before, after] = holds.map((sources) =>
      sources.filter((s) => s.declared && s.process === null).map((s) => s.name),
    );
    const isInline = holds.some((sources) => sources.some((s) => !s.declared && s.name === prefix));
    const isNamed = before!.join("\n") === after!.join("\n") && !isInline;
    found.set(key, { address, prefixes: prefix === null ? [] : [prefix], names: isNamed ? before! : [] });
  };
  const stranger = strangerTo(subnets);
  for (const { cidr, address } of regionsOf(subnets)) add(address, formatCidr(cidr));
  if (stranger !== null) add(stranger, null);
  const taken = new Set<string>();
  return [...found.values()].map(({ address, prefixes, names }) => {
    const prefix = prefixes.slice(0, 3).join(", ") + (prefixes.length > 3 ? " …" : "");
    let label = names.length > 0 ? names.join(" and ") : prefix === "" ? "every other source" : prefix;
    if (taken.has(label)) label += ` (${prefix})`;
    taken.add(label);
    return { address, label };
  });
}

/** How a report calls special addresses that no CIDR endpoint covers. */
export const elsewhereSpecial = "a private or special address";

/** The address classes: ordinary and special ones that no CIDR endpoint covers, then what each endpoint covers. */
export function addressClasses(a: Policy, b: Policy): AddressClass[] {
  const cidrs = [a, b].flatMap(({ rules }) => rules.flatMap(({ targets }) => cidrsOf(targets)));
  const isCovered = (address: Address) => cidrs.some((cidr) => cidrContains(cidr, address));
  const ordinary = ordinaryAddress(cidrs);
  const out: AddressClass[] = isCovered(ordinary)
    ? []
    : [{ address: ordinary, text: null, isCovered: false, within: [] }];
  const regions = regionsOf([...cidrs, ...specialPrefixes]);
  const special = regions.find(({ address }) => !isCovered(address));
  if (special !== undefined)
    out.push({ address: special.address, text: elsewhereSpecial, isCovered: false, within: [] });
  for (const { address, cidr } of regions) {
    if (!isCovered(address)) continue;
    const text = formatCidr(cidr);
    const wider = cidrs.filter((each) => cidrContains(each, address)).map(formatCidr);
    out.push({ address, text, isCovered: true, within: wider.filter((each) => each !== text) });
  }
  return out;
}

/** The name classes of two policies. */
export interface Names {
  readonly classes: readonly NameClass[];
  /** For each pattern that was cut into classes: texts of the patterns that hold all of it. */
  readonly wholes: ReadonlyMap<string, readonly string[]>;
  readonly isCut: boolean;
}

/** The name classes of a list of patterns. `isChanged`: only overlaps with at least one of these are looked for. */
export function nameClasses(patterns: ReadonlyMap<string, Pattern>, isChanged: (text: string) => boolean): Names {
  const labels = new Map<string, { label: Pattern; within: Set<string> }>();
  for (const [text, label] of patterns) labels.set(text, { label, within: new Set() });
  const wild = [...patterns].filter(([, pattern]) => isWild(pattern));
  const near = new Neighbours(wild);
  let pairs = 0;
  let isCut = false;
  for (const [textA, a] of wild) {
    if (!isChanged(textA)) continue;
    for (const [textB, b] of near.of(a)) {
      if (textA === textB) continue;
      if (++pairs > maxPairs) {
        isCut = true;
        break;
      }
      for (const label of overlap(a, b)) {
        const text = formatPattern(label);
        let known = labels.get(text);
        if (known === undefined) labels.set(text, (known = { label, within: new Set() }));
        for (const parent of [textA, textB]) if (parent !== text) known.within.add(parent);
      }
    }
  }
  const holders = new LabelTrie<string[]>();
  for (const [text, pattern] of wild) holders.getOrAdd(pattern, () => [text]);
  for (const known of labels.values()) {
    if (isWild(known.label)) continue;
    const name = known.label.labels.map((label) => (label.kind === "literal" ? label.text : "")).join(".");
    for (const [text] of holders.match(name)) known.within.add(text!);
  }
  const cutter = new Cutter([...labels.values()].map(({ label }) => label));
  const classes = new Map<string, { label: Pattern; name: string; within: Set<string>; wholes: Set<string> }>();
  const wholes = new Map<string, readonly string[]>();
  for (const [text, { label, within }] of labels) {
    wholes.set(text, [...within]);
    for (const { part, name } of cutter.parts(label)) {
      const partText = formatPattern(part);
      let known = classes.get(partText);
      if (known === undefined) {
        if (classes.size >= maxNames) {
          isCut = true;
          break;
        }
        classes.set(partText, (known = { label: part, name, within: new Set(), wholes: new Set() }));
      }
      for (const wider of within) known.within.add(wider);
      if (partText !== text) known.wholes.add(text);
    }
  }
  return {
    classes: [...classes].map(([text, { label, name, within, wholes }]) => ({
      label,
      text,
      name,
      within: [...within.union(wholes)].filter((wider) => wider !== text),
      wholes: [...wholes],
    })),
    wholes,
    isCut: isCut || cutter.isCut,
  };
}

/** True for patterns that match more than one name. */
export function isWild({ deep, labels }: Pattern): boolean {
  return deep || labels.some((label) => label.kind !== "literal");
}

/** Patterns by their last two labels: those that differ there have no name in common. */
class Neighbours {
  readonly #all: readonly (readonly [string, Pattern])[];
  readonly #byEnd = new Map<string | null, (readonly [string, Pattern])[]>();

  constructor(patterns: readonly (readonly [string, Pattern])[]) {
    this.#all = patterns;
    for (const entry of patterns) {
      const end = endOf(entry[1]);
      const list = this.#byEnd.get(end);
      if (list === undefined) this.#byEnd.set(end, [entry]);
      else list.push(entry);
    }
  }

  /** All that can overlap with a pattern. */
  of(pattern: Pattern): readonly (readonly [string, Pattern])[] {
    const end = endOf(pattern);
    return end === null ? this.#all : [...(this.#byEnd.get(end) ?? []), ...(this.#byEnd.get(null) ?? [])];
  }
}

/** The last two labels where they are written out. */
function endOf({ labels }: Pattern): string | null {
  const [first, second] = labels.slice(-2);
  return first?.kind === "literal" && second?.kind === "literal" ? `${first.text}.${second.text}` : null;
}

/** Finds names that match a pattern and as little else as possible, and cuts numbered labels where others begin or end. */
class Cutter {
  readonly #fill: string;
  readonly #deepest: number;
  readonly #edges = new Map<string, Set<number>>();
  readonly #stars: { lead: string; trail: string }[] = [];
  readonly #literals = new Set<string>();
  isCut = false;

  constructor(patterns: readonly Pattern[]) {
    const used = new Set<string>();
    for (const { labels } of patterns) {
      for (const label of labels) {
        if (label.kind === "literal") this.#literals.add(label.text);
        else for (const char of label.lead + label.trail) used.add(char);
        if (label.kind === "star") this.#stars.push(label);
        if (label.kind === "range")
          for (const { from, to } of label.ranges)
            this.#edgesOf(label)
              .add(from)
              .add(to + 1);
      }
    }
    // What no wildcard's fixed text has in it cannot make a filled label match another wildcard by accident.
    const letter = "qzjkvwxyubcdfghlmnprstaeio".split("").find((char) => !used.has(char)) ?? "q";
    let fill = letter;
    while (this.#literals.has(fill)) fill += letter;
    this.#fill = fill;
    this.#deepest = Math.max(1, ...patterns.map(({ labels }) => labels.length));
  }

  /** The pattern, cut by numbers; each part with a name in it. */
  parts({ deep, labels }: Pattern): { part: Pattern; name: string }[] {
    let rows: { labels: LabelPattern[]; name: string[] }[] = [{ labels: [], name: [] }];
    for (const label of labels) {
      const pieces = this.#pieces(label);
      const grown = rows.flatMap((row) =>
        pieces.map(({ piece, text }) => ({ labels: [...row.labels, piece], name: [...row.name, text] })),
      );
      if (grown.length > maxParts) this.isCut = true;
      rows = grown.slice(0, maxParts);
    }
    // More labels than any pattern without ** has, so that none of those matches.
    const above = deep ? Array.from({ length: this.#deepest - labels.length + 1 }, () => this.#fill) : [];
    return rows.map((row) => ({ part: { deep, labels: row.labels }, name: [...above, ...row.name].join(".") }));
  }

  #pieces(label: LabelPattern): { piece: LabelPattern; text: string }[] {
    if (label.kind === "literal") return [{ piece: label, text: label.text }];
    if (label.kind === "star") return [{ piece: label, text: label.lead + this.#fill + label.trail }];
    const edges = [...this.#cuts(label)].toSorted((a, b) => a - b);
    const pieces = label.ranges.flatMap(({ from, to }) => {
      const starts = [from, ...edges.filter((edge) => from < edge && edge <= to)];
      return starts.map((start, i) => ({ from: start, to: (starts[i + 1] ?? to + 1) - 1 }));
    });
    if (pieces.length > maxParts) this.isCut = true;
    return pieces.slice(0, maxParts).map((range) => {
      const text = numbered(label, range.from);
      return { piece: range.from === range.to ? { kind: "literal", text } : { ...label, ranges: [range] }, text };
    });
  }

  #edgesOf({ lead, trail }: { lead: string; trail: string }): Set<number> {
    const key = `${lead}*${trail}`;
    let edges = this.#edges.get(key);
    if (edges === undefined) this.#edges.set(key, (edges = new Set()));
    return edges;
  }

  /** Where another label begins or ends to match within a numbered one. */
  #cuts(label: Extract<LabelPattern, { kind: "range" }>): Set<number> {
    const cuts = new Set(this.#edgesOf(label));
    for (const { lead } of this.#stars) {
      const digits = lead.startsWith(label.lead) ? lead.slice(label.lead.length) : "";
      if (!/^[1-9][0-9]*$/.test(digits)) continue;
      for (const { from, to } of startingWith(digits, label.ranges)) cuts.add(from).add(to + 1);
    }
    for (const text of this.#literals) {
      if (!text.startsWith(label.lead) || !text.endsWith(label.trail)) continue;
      const digits = text.slice(label.lead.length, text.length - label.trail.length);
      if (/^(?:0|[1-9][0-9]{0,14})$/.test(digits)) cuts.add(Number(digits)).add(Number(digits) + 1);
    }
    return cuts;
  }
}
