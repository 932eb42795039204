/**
 * What would happen to one flow and why, at every stage; the rules that came close; and the rule that would allow it.
 * `sallyport policy explain` prints it (`explain-text.ts`). Pure: it asks the same engine that decides packets.
 */
import { formatAddress } from "../address/ip.ts";
import { askedView, processText } from "./asked-process.ts";
import type { AskedProcess } from "./asked-process.ts";
import type { Decision, NotYet, RuleRef, Stage } from "./decision.ts";
import { holdsAddress } from "./model.ts";
import type { Policy, Rule } from "./model.ts";
import { carriesEch } from "./ech.ts";
import { nearRules } from "./near.ts";
import type { Miss } from "./near.ts";
import { patchFor } from "./patch.ts";
import type { Patch } from "./patch.ts";
import { meetsProcess, termText } from "./process.ts";
import { answer, flowOf } from "./question.ts";
import type { Answer, Question, Scene } from "./question.ts";
import { reasonTexts } from "./reason.ts";
import type { Reason } from "./reason.ts";

/** A rule in a report. */
export interface RuleView {
  name: string;
  tier: number;
  action: "allow" | "deny";
  mode: "monitor" | "enforce";
  /** Why the rule is there, in its owner's words. */
  reason: string | null;
  file: string;
  line: number;
}

/** One stage. `not_yet`: it waits for the next; `hold` says that no payload leaves meanwhile. */
export interface StageView {
  stage: Stage;
  /** False: settled before, so this is only what it would have said. */
  reached: boolean;
  verdict: Decision["verdict"] | "not_yet";
  hold: boolean;
  reason: Reason | null;
  rule: RuleView | null;
  monitored: RuleView[];
}

/** The whole answer; the JSON of `sallyport policy explain --json`. */
export interface Explanation {
  schema: "sallyport.explain/1";
  policy: { file: string; hash: string };
  at: string;
  source: {
    asked: string;
    address: string;
    group: string | null;
    /** What is known of the process; null: nothing, as on a gateway. */
    process: AskedProcess | null;
  };
  destination: {
    asked: string;
    name: string | null;
    /** Null: wherever the name is. */
    address: string | null;
    /** Null: icmp. */
    port: number | null;
    protocol: string;
    protocol_assumed: boolean;
    ech: boolean;
  };
  verdict: Decision["verdict"];
  /** The stage that settles it. */
  stage: Stage;
  reason: Reason;
  reason_text: string;
  rule: RuleView | null;
  /** What the deny rule asks of the process, where it is met only because that is not known. */
  for_want_of: string | null;
  /** Allowed, but not so with Encrypted Client Hello in its hello: what it would come to. */
  with_ech: Decision["verdict"] | null;
  /** Bytes that one source may send in an hour under the rule that allows it. */
  upload_limit: number | null;
  stages: StageView[];
  near: { rule: RuleView; misses: Miss[] }[];
  /** How many more rules came close than `near` lists. */
  more: number;
  patch: {
    remove: RuleView[];
    /** A section that has no entry left then: its key must go, too. */
    empties: "permits" | "rules" | null;
    insert: { section: "permits" | "rules"; before: RuleView | null; is_first: boolean; yaml: string } | null;
  } | null;
}

/** How many rules that came close are told. */
const maxNear = 5;

/** Explains a question at a time (milliseconds since the epoch) that is the one the scene's engine was made for. */
export function explain(scene: Scene, question: Question, now: number): Explanation {
  const { policy, engine } = scene;
  const given = answer(scene, question);
  const { outcome } = given;
  const { asked, source, process, name, address, port, protocol, assumed } = question;
  const view = (rule: RuleRef | Rule | null): RuleView | null => (rule === null ? null : ruleView(rule, policy.file));
  const near = nearTo(scene, question, given, now);
  const patch = outcome.answer === "allow" ? null : patchFor(scene, now, question, given);
  return {
    schema: "sallyport.explain/1",
    policy: { file: policy.file, hash: policy.hash },
    at: new Date(now).toISOString(),
    source: {
      asked: asked.source,
      address: formatAddress(source),
      group: engine.group(source),
      process: askedView(process),
    },
    destination: {
      asked: asked.endpoint,
      name,
      address: address === null ? null : formatAddress(address),
      port: port === 0 ? null : port,
      protocol,
      protocol_assumed: assumed,
      ech: asked.ech,
    },
    verdict: outcome.verdict,
    stage: outcome.stage,
    reason: outcome.reason,
    reason_text: reasonTexts[outcome.reason],
    rule: view(outcome.rule),
    for_want_of: unknownTo(policy, question, outcome),
    with_ech: withEch(scene, question, given),
    upload_limit:
      outcome.answer === "allow"
        ? (policy.rules.find(({ name }) => name === outcome.rule?.name)?.uploadLimit ?? null)
        : null,
    stages: given.stages.map(({ stage, reached, decision }) => ({
      stage,
      reached,
      ...(isNotYet(decision)
        ? { verdict: "not_yet" as const, hold: decision.hold, reason: null, rule: null, monitored: [] }
        : {
            verdict: decision.verdict,
            hold: false,
            reason: decision.reason,
            rule: view(decision.rule),
            monitored: decision.monitored.map((rule) => ruleView(rule, policy.file)),
          }),
    })),
    near: near
      .slice(0, maxNear)
      .map(({ rule, misses }) => ({ rule: ruleView(rule, policy.file), misses: [...misses] })),
    more: Math.max(0, near.length - maxNear),
    patch: patch === null ? null : patchView(patch, policy.file),
  };
}

/** What the extension would make of an allowed flow; null where it changes nothing. */
function withEch(scene: Scene, question: Question, { outcome }: Answer): Decision["verdict"] | null {
  if (outcome.answer !== "allow" || outcome.stage !== "name" || !carriesEch(question.protocol)) return null;
  const { verdict } = scene.engine.name({ ...flowOf(scene, question), ech: true });
  return verdict === "allow" ? null : verdict;
}

/** Null where the deny rule would meet the flow if everything were known that it asks. */
function unknownTo(policy: Policy, { source, process }: Question, { answer, rule }: Decision): string | null {
  const decider =
    answer === "deny" && rule?.action === "deny" ? policy.rules.find(({ name }) => name === rule.name) : null;
  const here = decider?.from?.filter((each) => holdsAddress(each, source)) ?? [];
  const isMet = here.some((each) => each.process === null || meetsProcess(each.process, true, process));
  const met = here.filter((each) => each.process !== null && meetsProcess(each.process, false, process));
  return isMet || met.length === 0 ? null : met.map((each) => termText(each.process!)).join(", or ");
}

function isNotYet(decision: Decision | NotYet): decision is NotYet {
  return decision.answer === "not_yet";
}

/** Allow rules that could have allowed it; for an allowed flow, deny rules that only come too late or only watch. */
function nearTo(scene: Scene, question: Question, { outcome, flow }: Answer, now: number) {
  const { policy, engine } = scene;
  const group = engine.group(question.source);
  const known = policy.sources.some((source) => source.name === question.asked.source);
  const about = {
    facts: flowOf(scene, question),
    protocol: question.protocol,
    isAssumed: question.assumed,
    name: question.name,
    isAt: question.address !== null,
    process: processText(question.process),
    source: question.asked.source === "any" || known ? question.asked.source : (group ?? question.asked.source),
  };
  const decider = flow.rule === null ? null : (policy.rules.find((rule) => rule.name === flow.rule!.name) ?? null);
  if (outcome.answer === "deny") return nearRules(policy, now, about, "allow", decider);
  const isOnlyLate = ({ what }: Miss) => what === "order" || what === "monitor" || what === "expired";
  return nearRules(policy, now, about, "deny", decider).filter(({ misses }) => misses.every(isOnlyLate));
}

function ruleView(rule: RuleRef | Rule, file: string): RuleView {
  const { name, tier, action, mode, reason, line } = rule;
  return { name, tier, action, mode, reason, file, line };
}

function patchView({ remove, empties, insert }: Patch, file: string): Explanation["patch"] {
  return {
    remove: remove.map((rule) => ruleView(rule, file)),
    empties,
    insert:
      insert === null
        ? null
        : {
            section: insert.section,
            before: insert.before === null ? null : ruleView(insert.before, file),
            is_first: insert.isFirst,
            yaml: insert.yaml,
          },
  };
}
