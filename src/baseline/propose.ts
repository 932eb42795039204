/**
 * From evidence to a proposal: for each source the endpoints that allow what was seen, no more than must be, in one order; and
 * beside it what was held back and what was refused. The proposal is asked about every kind of flow that it stands for, by the
 * engine that would decide them: what it would not let through is held back too, never passed over.
 */
import { formatAddress } from "../address/ip.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import type { Source } from "../policy/model.ts";
import type { Engine, Mode } from "../policy/decision.ts";
import { SallyportError } from "../errors.ts";
import type { Doubt } from "./doubt.ts";
import { type Evidence, orderOf, type Seen, type SourceEvidence } from "./evidence.ts";
import { foldNames, presetPattern, starCandidates } from "./fold.ts";
import { passes } from "./replay.ts";
import { checkAccept, isAccepted } from "./accept.ts";
import { heldNotes } from "./held-text.ts";
import { type Clause, hostText, policyText } from "./policy-text.ts";

/** One endpoint of the proposal. */
export interface Entry {
  /** Without port: a name, a pattern, or an address as a prefix. */
  host: string;
  port: number;
  protocol: Seen["protocol"];
  /** What it stands for; several where names were folded. */
  seen: Seen[];
  fold: "preset" | "numbers" | "star" | null;
  /** Hellos with Encrypted Client Hello pass as well: somebody accepted that. */
  ech: boolean;
}

/** Not proposed, and why. */
export interface Held {
  seen: Seen;
  doubt: Doubt;
}

export interface SourceProposal {
  evidence: SourceEvidence;
  entries: Entry[];
  held: Held[];
  denied: Seen[];
  /** Zones whose names look like shards; `stars` would fold them. */
  shards: { zone: string; names: number }[];
}

export interface Proposal {
  sources: SourceProposal[];
  /** The policy as YAML. */
  text: string;
  /** What `accept` names and is not held back: a slip of the pen, or gone. */
  unused: string[];
}

export interface ProposeOptions {
  mode: Mode;
  /** `host:port` of held destinations to propose all the same, `host:port=doubt` where there are several doubts. */
  accept: ReadonlySet<string>;
  /** Fold random-looking names into wildcards. */
  stars: boolean;
  /** Sources of the policy in force; others are declared by the addresses seen. */
  sources: readonly Source[];
}

const heading = "Proposed by sallyport baseline from recorded traffic: read it before it is in force.";

/** Builds the proposal. Throws USAGE where `accept` names an endpoint that is in several doubts, and not which. */
export function propose(evidence: Evidence, options: ProposeOptions): Proposal {
  const isAlone = evidence.sources.every(({ name }) => name === null);
  const unused = checkAccept(evidence, options.accept);
  const drafts = evidence.sources.map((source) => draft(source, options));
  const write = (sources: readonly SourceProposal[]) =>
    policyText(sources.map(clauseOf(isAlone)), { ...options, isAlone, heading, notes: heldNotes(sources) });
  const engine = engineOf(write(drafts));
  const sources = drafts.map((each) => withoutRefused(each, engine));
  return { sources, text: write(sources), unused };
}

function clauseOf(isAlone: boolean): (source: SourceProposal) => Clause {
  return ({ evidence, entries }) => ({
    source: evidence.name,
    addresses: isAlone ? [] : [...evidence.addresses],
    entries,
  });
}

function draft(evidence: SourceEvidence, { accept, stars }: ProposeOptions): SourceProposal {
  const held: Held[] = [];
  const good: Seen[] = [];
  for (const seen of evidence.passed.values()) {
    const { doubt, protocol } = seen;
    if (doubt !== null && !isAccepted(seen, accept)) held.push({ seen, doubt });
    else if (protocol === "other" || protocol === "dns") held.push({ seen, doubt: doubt ?? "protocol_denied" });
    else good.push(seen);
  }
  const wanted = good.filter(isByAddress).flatMap(byAddress);
  const names = Map.groupBy(
    good.filter(({ named }) => named),
    ({ port, protocol }) => `${port} ${protocol}`,
  );
  const shards: SourceProposal["shards"] = [];
  for (const group of names.values()) {
    const byName = Map.groupBy(group, ({ host }) => host);
    const { port, protocol } = group[0]!;
    const folds = foldNames([...byName.keys()], stars, port === 443 && protocol === "tls");
    const folded = new Set(folds.flatMap((fold) => fold.names));
    for (const { pattern, names, how } of folds) {
      const seen = names.flatMap((name) => byName.get(name)!);
      wanted.push({ host: pattern, port, protocol, seen, fold: how, ech: hasEch(seen) });
    }
    for (const [host, seen] of byName) {
      if (!folded.has(host)) wanted.push({ host, port, protocol, seen, fold: null, ech: hasEch(seen) });
    }
    if (!stars) shards.push(...starCandidates([...byName.keys()]));
  }
  return {
    evidence,
    entries: merged(wanted),
    held: held.toSorted((a, b) => bySeen(a.seen, b.seen) || orderOf(a.doubt, b.doubt)),
    denied: [...evidence.denied.values()].toSorted(bySeen),
    shards: shards.toSorted((a, b) => orderOf(a.zone, b.zone)),
  };
}

/**
 * Doubts in which no name is to be trusted, so that only the address could be allowed. In all others a rule for the name does what
 * can be done, and opens no more than that: what a packet was refused for, no rule lets through.
 */
const aboutAddresses: ReadonlySet<Doubt> = new Set([
  ...(["no_name", "name_mismatch", "missing_name", "invalid_name", "private_address", "protocol_denied"] as const),
]);

/** An accepted doubt that a name rule would not honour: the addresses are written out, and the name for its look-up. */
export function isByAddress({ named, doubt }: Pick<Seen, "named" | "doubt">): boolean {
  return !named || (doubt !== null && aboutAddresses.has(doubt));
}

/** By its address a front would be open for each of its tenants, sealed or not; by name and with `ech: allow` it is one. */
function hasEch(seen: readonly Seen[]): boolean {
  return seen.some(({ doubt }) => doubt === "ech");
}

function byAddress(seen: Seen): Entry[] {
  return [...seen.addresses].map((address) => ({
    host: `${formatAddress(address)}/${address.length * 8}`,
    port: seen.port,
    protocol: seen.protocol,
    seen: [seen],
    fold: null,
    ech: false,
  }));
}

/** One entry an endpoint, in order. */
function merged(entries: readonly Entry[]): Entry[] {
  const out = new Map<string, Entry>();
  for (const entry of entries) {
    const key = `${entry.host} ${entry.port} ${entry.protocol}`;
    const known = out.get(key);
    if (known === undefined) out.set(key, { ...entry, seen: [...entry.seen] });
    else {
      known.seen.push(...entry.seen);
      known.ech ||= entry.ech;
    }
  }
  return [...out.values()].toSorted(
    (a, b) => orderOf(a.host, b.host) || a.port - b.port || orderOf(a.protocol, b.protocol),
  );
}

/** By name, port and protocol. */
function bySeen(a: Seen, b: Seen): number {
  return orderOf(a.host, b.host) || a.port - b.port || orderOf(a.protocol, b.protocol) || orderOf(a.doubt, b.doubt);
}

function engineOf(text: string): Engine {
  const loaded = loadPolicy(text, "proposal", new Date(0));
  if (!isPolicyProblems(loaded)) return loaded.engine;
  const [first] = loaded.problems;
  throw new SallyportError("INTERNAL", `The proposal does not load: line ${first?.line}: ${first?.message}.`);
}

/** Entries of which the engine lets no flow through stand for nothing; flows it refuses are held back. */
function withoutRefused(proposal: SourceProposal, engine: Engine): SourceProposal {
  const held = [...proposal.held];
  const isIdle = new Set<Entry>();
  for (const entry of proposal.entries) {
    let allowed = 0;
    for (const seen of entry.seen) {
      const refused = [...seen.flows.values()]
        .map((facts) => passes(engine, facts))
        .filter(({ answer }) => answer === "deny");
      if (refused.length < seen.flows.size) allowed++;
      const [first] = refused;
      if (first === undefined) continue;
      const doubt = first.reason === "rule" || first.reason === "default" ? "name_mismatch" : first.reason;
      if (!held.some((each) => each.seen === seen)) held.push({ seen, doubt });
    }
    if (allowed === 0) isIdle.add(entry);
  }
  return {
    ...proposal,
    entries: proposal.entries.filter((entry) => !isIdle.has(entry)),
    held: held.toSorted((a, b) => bySeen(a.seen, b.seen) || orderOf(a.doubt, b.doubt)),
  };
}

/** How an entry is written where it stands alone. */
export function entryText({ host, port, protocol }: Pick<Entry, "host" | "port" | "protocol">): string {
  return hostText(host, protocol === "icmp" ? [] : [port], protocol === "tls");
}

/** The unit that completeness is counted in: a destination, or the preset's pattern that it falls under, known beforehand. */
export function unitOf(key: string): string {
  const [host, ...rest] = key.split(" ");
  return [(rest.join(" ") === "443 tls" ? presetPattern(host!) : null) ?? host, ...rest].join(" ");
}
