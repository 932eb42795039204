/** `workflow add --check`: whether every job has the step, first, whole and pinned. Pure: texts and ages in, findings out. */
import type { Node } from "yaml";
import { finding } from "./finding.ts";
import type { Finding, FindingCode } from "./finding.ts";
import { firewallOf, jobsOf } from "./jobs.ts";
import type { Job, Step } from "./jobs.ts";
import { hiddenFirewalls } from "./local-action.ts";
import { obstacleOf } from "./obstacle.ts";
import { isExcepted, isOurs } from "./options.ts";
import type { Scope } from "./options.ts";
import { readSource } from "./source.ts";
import type { Source } from "./source.ts";

/** How long a step may only audit. */
export interface AuditLimit {
  readonly days: number;
  /** When a line of a file was last changed; null where that is not known. */
  readonly changed: (file: string, line: number) => Date | null;
  readonly now: Date;
}

/** Everything that is wrong with the step in one workflow, in the order of the file. Never throws, whatever the text. */
export function checkWorkflow(path: string, text: string, scope: Scope, audit: AuditLimit | null): Finding[] {
  const source = readSource(path, text);
  if ("code" in source) return [source];
  return jobsOf(source)
    .filter((job) => !isExcepted(scope, source, job))
    .flatMap((job) => checkJob(source, job, scope, audit))
    .toSorted((a, b) => a.line - b.line || a.column - b.column);
}

const write = "sallyport workflow add --write puts it there";

function checkJob(source: Source, job: Job, scope: Scope, audit: AuditLimit | null): Finding[] {
  const say = (node: unknown, code: FindingCode, message: string, fix: string) =>
    finding(source.path, job.id, source.spot(node), code, message, fix);
  const index = job.steps.findIndex((step) => isOurs(scope, step));
  const obstacle = obstacleOf(source, job, scope);
  const found: Finding[] = [];
  if (obstacle !== null && (index < 0 || obstacle.code === "container" || obstacle.code === "never_runs"))
    found.push(obstacle);
  if (job.call !== null || job.list === null) return found;
  found.push(...hiddenFirewalls(source, job, scope));
  const rivals = job.steps.filter((step) => firewallOf(step) !== null);
  if (index < 0) {
    const instead = rivals.length === 0 ? "" : "; it has another firewall";
    const key = source.entry(job.map, "steps")?.key ?? job.key;
    return obstacle !== null
      ? found
      : [...found, say(key, "missing", `it has no Sallyport step${instead}`, `${write}.`)];
  }
  const step = job.steps[index]!;
  if (index > 0) {
    const local = (job.steps[0]!.action ?? "").startsWith("./") ? ", the first a local action that can hide more" : "";
    const before = index === 1 ? "a step comes before it" : `${index} steps come before it`;
    found.push(say(step.node, "not_first", `${before}${local}, and what they do is not watched`, `${write}.`));
  }
  for (const rival of rivals)
    found.push(say(rival.node, "other_firewall", "it has another firewall besides", "Take it out."));
  const passedOver = source.entry(job.map, "continue-on-error");
  if (passedOver !== null && !isFalse(source, passedOver.value)) {
    const message = "its continue-on-error lets the workflow go on where enforcement failed";
    found.push(say(passedOver.key, "continue_on_error", message, "Put it at the steps that may fail."));
  }
  return [...found, ...checkStep(source, step, say), ...checkMode(source, job, step, audit)];
}

type Say = (node: unknown, code: FindingCode, message: string, fix: string) => Finding;

function checkStep(source: Source, step: Step, say: Say): Finding[] {
  const found: Finding[] = [];
  const condition = source.entry(step.map, "if");
  if (condition !== null) {
    const message = "its if: does not stop the phases before and after the job, and leaves the outputs out";
    found.push(say(condition.key, "step_if", message, "Take it out; enabled: switches the step off."));
  }
  const passedOver = source.entry(step.map, "continue-on-error");
  if (passedOver !== null && !isFalse(source, passedOver.value)) {
    const message = "its continue-on-error keeps the job green where enforcement failed";
    found.push(say(passedOver.key, "continue_on_error", message, "Take it out."));
  }
  if (!/^[0-9a-f]{40}$/i.test(step.ref ?? "")) {
    const message = `it is pinned to ${step.ref ?? "nothing"}, which whoever owns the repository can move`;
    found.push(say(step.uses, "unpinned", message, "Write the commit's 40 digits, with the version as a comment."));
  }
  const enabled = input(source, step, "enabled");
  if (source.textOf(enabled)?.trim().toLowerCase() === "false")
    found.push(say(enabled, "disabled", "enabled: false switches everything off", "Take it out."));
  return found;
}

function checkMode(source: Source, job: Job, step: Step, audit: AuditLimit | null): Finding[] {
  const mode = input(source, step, "egress-policy");
  if (audit === null || source.textOf(mode)?.trim().toLowerCase() !== "audit") return [];
  const at = source.spot(mode);
  const changed = audit.changed(source.path, at.line);
  const fix = "Read what the summaries show, write the policy, and set egress-policy: block.";
  if (changed === null) {
    const message = "since when it audits is not known: no history of this line is at hand";
    return [finding(source.path, job.id, at, "audit_age_unknown", message, "Check out the whole history.")];
  }
  const days = Math.floor((audit.now.getTime() - changed.getTime()) / 86_400_000);
  if (days <= audit.days) return [];
  const message = `it has only audited for ${days} days, ${audit.days} are allowed`;
  return [finding(source.path, job.id, at, "audit_too_long", message, fix)];
}

/** An input by its name, which GitHub reads in any case. */
function input(source: Source, { map }: Step, name: string): Node | null {
  const inputs = source.value(map, "with");
  const items = (inputs as { items?: { key: unknown; value: unknown }[] } | null)?.items ?? [];
  const pair = items.find((each) => source.textOf((each as { key?: unknown }).key)?.toLowerCase() === name);
  return source.resolve(pair?.value);
}

function isFalse(source: Source, node: Node | null): boolean {
  return /^\s*(?:false|\$\{\{\s*false\s*\}\})?\s*$/i.test(source.textOf(node) ?? "");
}
