/**
 * A policy in the making: what a translation from another product comes to, before it is text. Rules are built from lists of
 * hosts with ports, because that is what the products have; what a rule here must also say, its protocol, follows from the
 * ports as in a policy.
 */
import { parseAddress } from "../address/ip.ts";
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import type { Protocol } from "../policy/decision.ts";
import { usualProtocol } from "../policy/question.ts";
import type { Notes, Spot } from "./note.ts";
import { oneLine, quoted } from "./note.ts";
import { isGlobDefect, translateGlob } from "./glob.ts";
import type { Star } from "./glob.ts";

/** `any`: every port. */
export type PortSet = readonly number[] | "any";

/** A host pattern or a CIDR prefix in our spelling, and the ports. */
export interface Place {
  readonly text: string;
  readonly kind: "name" | "cidr";
  readonly ports: PortSet;
}

/** A rule as it will be written. */
export interface DraftRule {
  readonly name: string;
  /** Where it comes from in the file that was read; null: from nowhere in it. */
  readonly spot: Spot | null;
  /** Names of sources of the draft; null: every source. */
  readonly from: readonly string[] | null;
  readonly to: readonly string[];
  readonly ports?: PortSet;
  readonly protocol?: Protocol;
  readonly action?: "deny";
  readonly mode?: "monitor";
  readonly reason?: string;
  readonly owner?: string;
}

/** A policy in the making. */
export interface Draft {
  /** Sentences about the product as a whole: what its lists mean, what is left out on purpose. */
  readonly about: string[];
  readonly sources: Map<string, readonly string[]>;
  readonly destinations: Map<string, { readonly preset: string }>;
  rules: DraftRule[];
  mode: "monitor" | "enforce";
  enforceFor: string[];
}

export function emptyDraft(): Draft {
  return { about: [], sources: new Map(), destinations: new Map(), rules: [], mode: "enforce", enforceFor: [] };
}

/** What all rules of one list have in common. */
export interface RuleBase extends Pick<DraftRule, "spot" | "from"> {
  readonly name: string;
  readonly action?: "deny";
  readonly mode?: "monitor";
  readonly reason?: string;
}

/**
 * The rules for a list of places. Names on 443, 80 and 22 are known by what is spoken there; a place on other ports is opaque
 * TCP. With `every` ports that the list leaves open are open for UDP too.
 */
export function rulesFor(base: RuleBase, places: readonly Place[], udp: boolean): DraftRule[] {
  const known: string[] = [];
  const opaque: string[] = [];
  const datagrams: string[] = [];
  for (const { text, kind, ports } of places) {
    if (ports === "any") {
      opaque.push(withPorts(text, "any"));
      datagrams.push(withPorts(text, "any"));
      continue;
    }
    // A prefix is no name: what the first bytes are was never asked by the products that allow addresses.
    const usual = kind === "cidr" ? [] : ports.filter((port) => usualProtocol(port) !== null);
    const others = ports.filter((port) => !usual.includes(port));
    if (usual.length > 0) known.push(withPorts(text, usual));
    if (others.length > 0) opaque.push(withPorts(text, others));
    if (udp) datagrams.push(withPorts(text, ports));
  }
  const rules: DraftRule[] = [];
  const add = (to: string[], suffix: string, protocol?: Protocol): void => {
    if (to.length === 0) return;
    const name = rules.length === 0 ? base.name : `${base.name} (${suffix})`;
    rules.push({ ...base, name, to: [...new Set(to)], ...(protocol === undefined ? {} : { protocol }) });
  };
  add(known, "known ports");
  add(opaque, "other tcp", "tcp");
  if (udp) add(datagrams, "udp", "udp");
  return rules;
}

/** An endpoint with its ports, as a policy writes it. */
export function withPorts(text: string, ports: PortSet): string {
  const host = text.includes(":") ? `[${text}]` : text;
  if (ports === "any") return `${host}:*`;
  // A single word alone would be the name of a destination.
  if (ports.length === 1 && ports[0] === 443 && host === text && /[.*]/.test(text)) return host;
  return `${host}:${[...new Set(ports)].toSorted((a, b) => a - b).join(",")}`;
}

/** How a product spells hosts. */
export interface Spelling {
  readonly star: Star;
  /** The product's name in messages. */
  readonly product: string;
}

/** A host of the product as our patterns; a note and nothing where there is none, a note where a part is lost. */
export function placesOf(host: string, ports: PortSet, spot: Spot, { star, product }: Spelling, notes: Notes): Place[] {
  if (host.includes("${{")) {
    notes.add("narrower", spot, `${quoted(host)} is an expression; what it stands for is known only when the job runs`);
    return [];
  }
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  if (parseAddress(bare.split("/")[0]!) !== null) {
    const cidr = parseCidr(bare);
    if (!isCidrDefect(cidr)) return [{ text: bare, kind: "cidr", ports }];
    notes.add("narrower", spot, `${cidr.message}. ${cidr.fix}`);
    return [];
  }
  const glob = translateGlob(host, star);
  if (isGlobDefect(glob)) {
    notes.add("narrower", spot, `${quoted(host)}: ${glob.defect}`);
    return [];
  }
  const { patterns, lost } = glob;
  if (lost !== null) notes.add("narrower", spot, `${quoted(host)} became ${listed(patterns)}, without ${lost}`);
  else if (patterns.length > 1 || patterns[0] !== host) {
    notes.add("same", spot, `${quoted(host)} in ${product} means ${listed(patterns)} here`);
  }
  return patterns.map((text) => ({ text, kind: "name", ports }));
}

/** `a, b and c`. */
export function listed(texts: readonly string[]): string {
  return texts.length < 2 ? (texts[0] ?? "") : `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`;
}

/** A port number, or null. */
export function readPort(text: string): number | null {
  return /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65535 ? Number(text) : null;
}

/** Foreign text as a rule's or source's name. */
export function plainName(text: string): string {
  const clean = oneLine(text).slice(0, 180).trim();
  return clean === "" ? "unnamed" : clean;
}
