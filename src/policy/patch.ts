/**
 * The least change to a policy that allows one flow: a rule to copy, and where it goes. Nothing is offered on trust: the
 * changed policy is loaded as far as rules go, compiled and asked again, and an offer that does not hold is not made.
 */
import { formatAddress } from "../address/ip.ts";
import { specialClass } from "../address/special.ts";
import { compile } from "./compile.ts";
import type { Document } from "./document.ts";
import { isEndpointDefect, parseEndpoint } from "./endpoint.ts";
import type { Policy, Rule, Source } from "./model.ts";
import { Problems } from "./problem.ts";
import { answer, setScene, usualProtocol } from "./question.ts";
import type { Answer, Question, Scene } from "./question.ts";
import { memberOfTerm, termText } from "./process.ts";
import type { ProcessTerm } from "./process.ts";
import { isServiceDefect, servicesFor } from "./services.ts";
import { findUnreachable } from "./shadow.ts";
import { entryFor, fronts } from "./sinks.ts";
import { addressText, yamlText } from "./wording.ts";

/** A change to a policy file. */
export interface Patch {
  /** Rules to take out first, because the new one would leave them nothing to decide or they come in every place before. */
  readonly remove: readonly Rule[];
  /** The section that has no entry left then; its key must go, too. */
  readonly empties: "permits" | "rules" | null;
  /** Null: taking out is enough. */
  readonly insert: {
    readonly section: "permits" | "rules";
    /** The rule it must come before; null: anywhere after the rules that are there. */
    readonly before: Rule | null;
    /** One YAML list item, without indent. */
    readonly yaml: string;
    /** The section has no entry yet, so its key may be missing from the file. */
    readonly isFirst: boolean;
  } | null;
}

/** A rule as a patch writes it. */
interface NewRule {
  name: string;
  from: string | null;
  /** What an inline source asks; `from` is then null. */
  process: ProcessTerm | null;
  to: string;
  protocol: string | null;
  ech: "allow" | null;
}

/** The patch for a question that is not allowed; null where no rule could allow it. */
export function patchFor(scene: Scene, now: number, question: Question, { flow }: Answer): Patch | null {
  const { policy } = scene;
  const decider = flow.rule === null ? null : (policy.rules.find((rule) => rule.name === flow.rule!.name) ?? null);
  const fresh = newRule(policy, scene, question);
  const candidates: Patch[] = [];
  const insert = (before: Rule | null): Patch["insert"] => {
    const section = before?.tier === 1 ? "permits" : "rules";
    const isFirst = !policy.rules.some((rule) => rule.tier === (section === "permits" ? 1 : 2));
    return { section, before, yaml: yamlOf(fresh), isFirst };
  };
  candidates.push({ remove: [], empties: null, insert: insert(decider) });
  if (decider !== null) {
    const remove = [decider];
    const isOnly = policy.rules.every((rule) => rule === decider || rule.tier !== decider.tier);
    const empties = isOnly ? (decider.tier === 1 ? "permits" : "rules") : null;
    candidates.push({ remove, empties, insert: null });
    candidates.push({ remove, empties: null, insert: insert(nextOf(policy, decider)) });
  }
  return candidates.find((patch) => holds(scene, now, question, patch, fresh)) ?? null;
}

/** The rule after `rule` in its tier, so that a new one takes its place. */
function nextOf({ rules }: Policy, rule: Rule): Rule | null {
  const next = rules[rules.indexOf(rule) + 1];
  return next !== undefined && next.tier === rule.tier ? next : null;
}

function newRule(policy: Policy, { engine }: Scene, question: Question): NewRule {
  const { asked, source, name, address, port, protocol } = question;
  // A name rule never reaches a special address, so there the address itself has to be written.
  const host = name !== null && (address === null || specialClass(address) === null) ? name : addressText(address!);
  const isUsual = usualProtocol(port) === protocol;
  const taken = new Set(policy.rules.map((rule) => rule.name));
  const isPlain = port === 0 || port === 443;
  const wanted = `allow ${host}${isUsual && isPlain ? "" : isPlain ? ` ${protocol}` : ` port ${port}`}`;
  let unique = wanted;
  for (let i = 2; taken.has(unique); i++) unique = `${wanted} (${i})`;
  // Whoever asks about an address that belongs to nobody means that one, not everybody.
  const own = policy.sources.length === 0 ? null : (engine.group(source) ?? formatAddress(source));
  const declared = policy.sources.find((s) => s.name === asked.source);
  // Whoever asks about a process means that one; a declared source that asks for one says it already.
  const process = asked.process === null ? null : termOf(question);
  const from = declared !== undefined ? asked.source : asked.source === "any" ? null : own;
  return {
    name: unique,
    from: process === null ? from : null,
    process,
    to: isPlain ? host : `${host}:${port}`,
    protocol: isUsual ? null : protocol,
    ech: question.asked.ech && entryFor(fronts, host) !== null ? "allow" : null,
  };
}

/** A term for exactly what is known of the process. */
function termOf({ process }: Question): ProcessTerm {
  const { step, action, exe } = process!;
  return {
    steps: step === null ? null : [step],
    actions: action === null ? null : [action.toLowerCase()],
    exes: exe === null ? null : [{ kind: "file", path: exe, text: exe }],
    runner: false,
  };
}

function yamlOf({ name, from, process, to, protocol, ech }: NewRule): string {
  const parts = [
    `name: ${yamlText(name)}`,
    ...(from === null ? [] : [`from: ${yamlText(from)}`]),
    ...(process === null ? [] : [`from: { process: { ${processYaml(process)} } }`]),
    `to: [${yamlText(to)}]`,
    ...(protocol === null ? [] : [`protocol: ${protocol}`]),
    ...(ech === null ? [] : [`ech: ${ech}`]),
  ];
  return `- { ${parts.join(", ")} }`;
}

function processYaml(process: ProcessTerm): string {
  const { step, action, exe } = memberOfTerm(process);
  const keys = { step, action, exe };
  return Object.entries(keys)
    .flatMap(([key, value]) => (value === null ? [] : [`${key}: ${yamlText(value)}`]))
    .join(", ");
}

/** True where the policy with the patch loads and allows what was asked. */
function holds(scene: Scene, now: number, question: Question, patch: Patch, fresh: NewRule): boolean {
  const policy = applyPatch(scene.policy, question, patch, fresh);
  if (policy === null) return false;
  const problems = new Problems(policy.file);
  findUnreachable(policy, noDocument, problems);
  if (problems.count > 0) return false;
  const changed = setScene(policy, compile(policy, now));
  return answer(changed, question).outcome.answer === "allow";
}

function applyPatch(policy: Policy, question: Question, patch: Patch, fresh: NewRule): Policy | null {
  const rules = policy.rules.filter((rule) => !patch.remove.includes(rule));
  if (patch.insert !== null) {
    const rule = modelOf(policy, question, fresh, patch.insert.section === "permits" ? 1 : 2);
    if (rule === null) return null;
    const { before } = patch.insert;
    const last = rule.tier === 1 ? rules.filter((r) => r.tier === 1).length : rules.length;
    rules.splice(before === null ? last : rules.indexOf(before), 0, rule);
  }
  return { ...policy, rules };
}

function modelOf(policy: Policy, question: Question, fresh: NewRule, tier: 1 | 2): Rule | null {
  const parsed = parseEndpoint(fresh.to);
  if (isEndpointDefect(parsed)) return null;
  const services = servicesFor(parsed.ports, question.protocol);
  if (isServiceDefect(services)) return null;
  const source = policy.sources.find((s) => s.name === fresh.from) ?? alone(question, fresh.process);
  return {
    name: fresh.name,
    tier,
    action: "allow",
    mode: "enforce",
    monitorUntil: null,
    expires: null,
    ech: fresh.ech,
    uploadLimit: null,
    reason: null,
    owner: null,
    from: fresh.from === null && fresh.process === null ? null : [source],
    targets: [{ endpoint: parsed.endpoint, services }],
    line: 0,
    column: 0,
  };
}

function alone({ source }: Question, process: ProcessTerm | null): Source {
  const subnets = process === null ? [{ address: source, length: source.length * 8 }] : null;
  const name = process === null ? formatAddress(source) : termText(process);
  return { name, declared: false, subnets, process, line: 0, column: 0 };
}

/** Places do not matter here: whether there is a problem does. */
const noDocument: Document = {
  value: null,
  place: () => ({ line: 0, column: 0, text: "" }),
  itemPositions: () => [],
};
