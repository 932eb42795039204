/**
 * Puts the step first in every job of a workflow: edits at positions, everything else stays byte for byte, and what came out is
 * read again and proven. A job that cannot take it, or whose text cannot be edited safely, is a finding. Pure: texts in.
 */
import type { Node } from "yaml";
import { applyEdits, unifiedDiff } from "./edit.ts";
import type { Edit } from "./edit.ts";
import { finding } from "./finding.ts";
import type { Finding } from "./finding.ts";
import { firewallOf, jobsOf } from "./jobs.ts";
import type { Job } from "./jobs.ts";
import { hiddenFirewalls } from "./local-action.ts";
import { dashOf, layoutObstacle, obstacleOf } from "./obstacle.ts";
import { needOf } from "./needs.ts";
import { isExcepted, isOurs } from "./options.ts";
import type { Scope, StepWanted } from "./options.ts";
import { isOnlyChange } from "./proof.ts";
import type { ListChange } from "./proof.ts";
import { replaceStep } from "./replace.ts";
import { readSource } from "./source.ts";
import type { Source } from "./source.ts";
import { stepText } from "./step-text.ts";

/** What was done in a job. */
export interface Done {
  readonly job: string;
  readonly line: number;
  readonly what: "added" | "moved" | "replaced";
  /** What of a replaced step is lost or means something else. */
  readonly lost: readonly string[];
  readonly message: string;
}

export interface Addition {
  readonly file: string;
  /** The text as it should be; the same as before where nothing is to be done. */
  readonly text: string;
  readonly diff: string;
  readonly done: readonly Done[];
  readonly findings: readonly Finding[];
  /** Policy files that a replaced step needs. */
  readonly policies: readonly { readonly path: string; readonly text: string }[];
}

/** `path` is the file's in the repository. Never throws, whatever the text. */
export function addStep(path: string, text: string, wanted: StepWanted, scope: Scope): Addition {
  const source = readSource(path, text);
  const nothing = { file: path, text, diff: "", done: [], policies: [] };
  if ("code" in source) return { ...nothing, findings: [source] };
  const work = new Work(source, wanted, scope);
  const jobs = jobsOf(source);
  for (const job of jobs)
    work.take(
      job,
      jobs.filter(({ list }) => list === job.list),
    );
  const out = applyEdits(text, work.edits);
  const again = readSource(path, out);
  if ("code" in again || !isOnlyChange(source, again, work.changes, wanted)) {
    const message = "the edit would change more than the steps that it is for, so it was not made";
    const fix = "Add the step by hand; anchors and odd layout between the steps are what gets in the way.";
    return { ...nothing, findings: [finding(path, null, { line: 1, column: 1 }, "odd_layout", message, fix)] };
  }
  const { done, findings, policies } = work;
  return { file: path, text: out, diff: unifiedDiff(path, text, work.edits), done, findings, policies };
}

class Work {
  readonly edits: Edit[] = [];
  readonly changes = new Map<Node, ListChange>();
  readonly done: Done[] = [];
  readonly findings: Finding[] = [];
  readonly policies: { path: string; text: string }[] = [];
  readonly #source: Source;
  readonly #wanted: StepWanted;
  readonly #scope: Scope;
  readonly #seen = new Set<Node>();
  readonly #replaced = new Set<Node>();

  constructor(source: Source, wanted: StepWanted, scope: Scope) {
    this.#source = source;
    this.#wanted = wanted;
    this.#scope = scope;
  }

  /** `sharing`: the jobs whose list of steps is the same one, by alias. */
  take(job: Job, sharing: readonly Job[]): void {
    const [source, scope] = [this.#source, this.#scope];
    if (isExcepted(scope, source, job)) return;
    const { list, steps } = job;
    const ours = steps.findIndex((step) => isOurs(scope, step));
    const obstacle = obstacleOf(source, job, scope);
    if (obstacle !== null && (ours !== 0 || obstacle.code === "container")) this.findings.push(obstacle);
    if (obstacle !== null || job.call !== null || list === null) return;
    // Lists shared by alias are edited once, where they are written.
    if (this.#seen.has(list)) return;
    this.#seen.add(list);
    this.findings.push(...hiddenFirewalls(source, job, scope));
    const rivals = steps.flatMap((step, i) => (firewallOf(step) === null ? [] : [i]));
    const index = ours < 0 ? (rivals[0] ?? -1) : ours;
    if (index === ours) this.#others(job, rivals);
    else this.#others(job, rivals.slice(1));
    if (ours === 0) return;
    const layout = layoutObstacle(source, job) ?? this.#shared(job, sharing) ?? this.#needs(job, index);
    if (layout !== null) this.findings.push(layout);
    else if (ours > 0)
      this.#move(job, ours, [], "moved", [], "its Sallyport step was not the first and is moved to the front");
    else if (index >= 0) this.#replace(job, index);
    else this.#insert(job);
  }

  /** What is written for this job would be in the other's steps too, where it fails or nobody wants it. */
  #shared(job: Job, sharing: readonly Job[]): Finding | null {
    for (const other of sharing) {
      const obstacle = obstacleOf(this.#source, other, this.#scope);
      const why = isExcepted(this.#scope, this.#source, other)
        ? "which is not to have the step"
        : obstacle === null || obstacle.code === "never_runs"
          ? null
          : `of which is to be said: ${obstacle.message}`;
      if (why === null) continue;
      const at = this.#source.spot(this.#source.entry(job.map, "steps")?.key ?? job.key);
      const message = `its steps are by alias those of job ${other.id} too, ${why}`;
      const fix = "Write the steps out for each of the two.";
      return finding(this.#source.path, job.id, at, "shared_steps", message, fix);
    }
    return null;
  }

  /** Where the step that is to be the first uses what one before it said. */
  #needs(job: Job, index: number): Finding | null {
    const need = index > 0 ? needOf(this.#source, job, index) : null;
    if (need === null) return null;
    const message = `its step ${index + 1} cannot be moved to the front: it uses ${need}, for which a step before it is needed`;
    const fix = "Write the value out, or let a job before this one work it out (needs).";
    return finding(this.#source.path, job.id, this.#source.spot(job.steps[index]!.node), "needs_earlier", message, fix);
  }

  /** Two firewalls on one machine undo each other's rules. */
  #others(job: Job, indexes: readonly number[]): void {
    for (const i of indexes) {
      const at = this.#source.spot(job.steps[i]!.node);
      const message = `its step ${i + 1} is another firewall, which is left as it is`;
      const fix = "Take it out; its list goes into the policy (sallyport policy import).";
      this.findings.push(finding(this.#source.path, job.id, at, "other_firewall", message, fix));
    }
  }

  #insert(job: Job): void {
    const at = this.#front(job, 0);
    const text = stepText(this.#wanted, this.#indent(job), this.#eol(at));
    this.edits.push({ from: at, to: at, text });
    this.changes.set(job.list!, { kind: "inserted" });
    this.#tell(job, "added", [], "the step is added");
  }

  #replace(job: Job, index: number): void {
    const step = job.steps[index]!;
    const product = firewallOf(step)!;
    // The step of another job, by alias: it is ours already where it is written.
    if (step.isAlias && index === 0 && this.#replaced.has(step.map!)) return;
    const made = replaceStep(this.#source, job, step, product, this.#wanted);
    if (typeof made === "string") {
      const at = this.#source.spot(step.node);
      const message = `its step with ${product} cannot be replaced: ${made}`;
      const fix = "Write that step out on lines of its own, or replace it by hand.";
      this.findings.push(finding(this.#source.path, job.id, at, "other_firewall", message, fix));
      return;
    }
    this.#replaced.add(step.map!);
    if (made.policy !== null) this.policies.push(made.policy);
    const message = `its step with ${product} is replaced`;
    if (index > 0)
      return this.#move(job, index, made.edits, "replaced", made.lost, `${message} and moved to the front`);
    this.edits.push(...made.edits);
    this.changes.set(job.list!, { kind: "replaced", index });
    this.#tell(job, "replaced", made.lost, message);
  }

  /** Takes a step with its comments from where it is to the front. */
  #move(
    job: Job,
    index: number,
    within: readonly Edit[],
    what: Done["what"],
    lost: readonly string[],
    message: string,
  ): void {
    const source = this.#source;
    const from = this.#front(job, index);
    const end = source.lineEnd(job.steps[index]!.node.range![1]);
    // An edit behind the last line's end belongs to the step as well.
    const to = Math.max(end, ...within.map((edit) => edit.to));
    const at = this.#front(job, 0);
    const text = applyEdits(source.text.slice(from, to), within, from);
    const eol = this.#eol(at);
    this.edits.push({ from: at, to: at, text: text.endsWith("\n") ? text : `${text}${eol}` }, { from, to, text: "" });
    this.changes.set(job.list!, what === "moved" ? { kind: "moved", index } : { kind: "replaced", index });
    this.#tell(job, what, lost, message);
  }

  /** Where a step's text begins: its dash's line, or the comments right above it, which are the step's. */
  #front({ list, steps }: Job, index: number): number {
    const { text } = this.#source;
    // What looks like a comment may be the last line of a script.
    const least = index === 0 ? 0 : this.#source.lineEnd(steps[index - 1]!.node.range![1]);
    let at = this.#source.lineStart(dashOf(list, index)!);
    for (;;) {
      const above = text.lastIndexOf("\n", at - 2) + 1;
      if (above >= at || above < least || !/^[ \t]*#/.test(text.slice(above, at))) return at;
      at = above;
    }
  }

  #indent({ list }: Job): string {
    const dash = dashOf(list, 0)!;
    return this.#source.text.slice(this.#source.lineStart(dash), dash);
  }

  /** The line break that stands before a place. */
  #eol(at: number): string {
    return this.#source.text.slice(0, at).endsWith("\r\n") ? "\r\n" : "\n";
  }

  #tell(job: Job, what: Done["what"], lost: readonly string[], message: string): void {
    const { line } = this.#source.spot(job.key);
    this.done.push({ job: job.id, line, what, lost, message });
  }
}
