/**
 * What a policy lets one source reach, as a list of hosts with ports: all that products without rules can be told. A host is on
 * the list only where the policy allows it, deny rules counted in; what the list cannot say is noted at its rule.
 */
import { cidrCovers } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { countNames, formatPattern } from "../address/pattern.ts";
import type { LabelPattern, Pattern } from "../address/pattern.ts";
import type { Engine, Protocol } from "../policy/decision.ts";
import { appliesAt, modeAt } from "../policy/model.ts";
import type { Policy, Rule, Service } from "../policy/model.ts";
import { overlap } from "../policy/overlap.ts";
import { termText } from "../policy/process.ts";
import { transportOf } from "../policy/protocol.ts";
import { answer, isQuestionDefect, readQuestion, setScene } from "../policy/question.ts";
import type { Scene } from "../policy/question.ts";
import { timeText } from "../policy/wording.ts";
import type { Effect, Notes, Spot } from "./note.ts";

/** A range of more names than this is not written out. */
const maxNames = 256;

/** One entry of the list. */
export interface Allowed {
  readonly rule: Rule;
  readonly pattern: Pattern;
  /** The pattern's canonical text. */
  readonly host: string;
  /** Null: every port. */
  readonly port: number | null;
  readonly protocol: Protocol;
}

/** Whose list it is. */
export interface Whose {
  /** Name of a declared source; null: an address in no source. */
  readonly source: string | null;
  readonly now: number;
}

/** The list, in the order of the rules. Numbered hosts are written out where they are few. */
export function allowedHosts(policy: Policy, engine: Engine, { source, now }: Whose, notes: Notes): Allowed[] {
  const scene = setScene(policy, engine);
  const subnets = policy.sources.find(({ name }) => name === source)?.subnets ?? [];
  // A deny for a part of the source is one for the whole list: the list is not for a part.
  const mine = policy.rules.filter((rule) => isFor(rule, source) || (rule.action === "deny" && touches(rule, subnets)));
  const inForce = mine.filter((rule) => appliesAt(rule, now) && modeAt(rule, now) === "enforce");
  const denies = inForce.filter(({ action }) => action === "deny");
  for (const rule of policy.rules) noteRule(rule, mine.includes(rule), inForce.includes(rule), source, notes);
  const seen = new Set<string>();
  return inForce
    .filter(({ action }) => action === "allow")
    .flatMap((rule) => entriesOf(rule, notes))
    .flatMap((entry) => writtenOut(entry))
    .filter((entry) => {
      const key = `${entry.host} ${entry.port} ${entry.protocol}`;
      if (seen.has(key)) return false;
      seen.add(key);
      return isWhole(entry, scene, denies, source, notes);
    });
}

function isFor({ from }: Rule, source: string | null): boolean {
  return from === null || (source !== null && from.some(({ name, declared }) => declared && name === source));
}

/** Some source of the rule has an address of the subnets. */
function touches({ from }: Rule, subnets: readonly Cidr[]): boolean {
  return (from ?? []).some(
    (source) =>
      source.subnets === null || source.subnets.some((a) => subnets.some((b) => cidrCovers(a, b) || cidrCovers(b, a))),
  );
}

/** Where a rule stands, for notes. */
export function spotOf({ line, column }: Rule): Spot {
  return { line, column };
}

/** What of a rule no list can say. */
function noteRule(rule: Rule, isMine: boolean, inForce: boolean, source: string | null, notes: Notes): void {
  const { name, from, action, expires, uploadLimit, ech } = rule;
  const note = (effect: Effect, message: string): void => notes.add(effect, spotOf(rule), `rule “${name}”: ${message}`);
  if (!isMine) {
    const whose = from!.map((each) => each.name).join(", ");
    note(action === "allow" ? "narrower" : "wider", `it is for ${whose} and not for ${source ?? "every source"}`);
  } else if (!inForce) note("other", "it has expired or only monitors");
  const asking = inForce ? (from?.filter(({ process }) => process !== null) ?? []) : [];
  if (asking.length > 0) {
    const terms = asking.map(({ process }) => termText(process!)).join(", or ");
    if (action === "deny")
      note("narrower", `it denies to ${terms} alone, and a list is for every process: it is left out for all`);
    else note("wider", `it is for ${terms} alone, and a list is for every process`);
  }
  if (!inForce || action === "deny") return;
  if (expires !== null) note("wider", `it expires (${timeText(expires)}), and a list does not`);
  if (uploadLimit !== null) note("wider", "its upload_limit");
  if (ech === "deny") note("wider", "ech: deny");
}

function entriesOf(rule: Rule, notes: Notes): Allowed[] {
  return rule.targets.flatMap(({ endpoint, services }) => {
    if (endpoint.kind === "cidr") {
      notes.add("narrower", spotOf(rule), `rule “${rule.name}”: ${endpoint.text} is no host`);
      return [];
    }
    const { pattern, text: host } = endpoint;
    return services.map(({ port, protocol }) => ({ rule, pattern, host, port, protocol }));
  });
}

/** The names of a numbered pattern one by one; others as they are. */
function writtenOut(entry: Allowed): Allowed[] {
  if (countNames(entry.pattern) > maxNames || !entry.pattern.labels.some(({ kind }) => kind === "range"))
    return [entry];
  const readings = entry.pattern.labels.map(readingsOf);
  const rows = readings.reduce<LabelPattern[][]>(
    (rows, each) => rows.flatMap((row) => each.map((label) => [...row, label])),
    [[]],
  );
  return rows.map((labels) => {
    const pattern = { deep: false, labels };
    return { ...entry, pattern, host: formatPattern(pattern) };
  });
}

function readingsOf(label: LabelPattern): LabelPattern[] {
  if (label.kind !== "range") return [label];
  return label.ranges.flatMap(({ from, to }) =>
    Array.from({ length: to - from + 1 }, (_, i) => ({
      kind: "literal",
      text: `${label.lead}${from + i}${label.trail}`,
    })),
  );
}

/** False, with a note, where the policy denies a part of the entry. */
function isWhole(entry: Allowed, scene: Scene, denies: readonly Rule[], source: string | null, notes: Notes): boolean {
  const { rule, pattern, host, port, protocol } = entry;
  if (port !== null && countNames(pattern) === 1) {
    const asked = { source: source ?? "any", endpoint: `${host}:${port}`, protocol, ech: false, process: null };
    const question = readQuestion(scene, asked);
    if (isQuestionDefect(question)) {
      notes.add("narrower", spotOf(rule), `rule “${rule.name}”: ${question.message}`);
      return false;
    }
    // Another rule may have denied it first. Its note is its own.
    if (answer(scene, question).outcome.answer !== "allow") return false;
  }
  const order = scene.policy.rules.indexOf(rule);
  const before = denies.filter((deny) => scene.policy.rules.indexOf(deny) < order);
  for (const deny of before.filter((each) => meets(each, entry, "cidr"))) {
    notes.add("wider", spotOf(deny), `rule “${deny.name}”: addresses that hosts of the list may have are denied by it`);
  }
  const cutting = before.filter((deny) => meets(deny, entry, "name"));
  const cut = cutting.find((deny) => !isFor(deny, source)) ?? cutting[0];
  if (cut === undefined) return true;
  // A single name was asked above, for an address that this deny is for.
  if (port !== null && countNames(pattern) === 1 && isFor(cut, source)) return true;
  notes.add(
    "narrower",
    spotOf(rule),
    `rule “${rule.name}”: ${host} is left out, because rule “${cut.name}” denies a part of it`,
  );
  return false;
}

function meets(deny: Rule, { pattern, port, protocol }: Allowed, kind: "name" | "cidr"): boolean {
  const isSame = (service: Service) =>
    transportOf(service.protocol) === transportOf(protocol) &&
    (service.port === null || port === null || service.port === port);
  return deny.targets.some(({ endpoint, services }) => {
    if (!services.some(isSame)) return false;
    // Every address of a family: no host is left that a list could name.
    if (endpoint.kind === "cidr") return (endpoint.cidr.length === 0) === (kind === "name");
    return kind === "name" && overlap(endpoint.pattern, pattern).length > 0;
  });
}
