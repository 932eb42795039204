/** Why a job cannot take the step, in words: none is passed over in silence. Used by both adding and checking. */
import { isSeq } from "yaml";
import { finding } from "./finding.ts";
import type { Finding, FindingCode } from "./finding.ts";
import type { Job } from "./jobs.ts";
import type { Scope } from "./options.ts";
import type { Source } from "./source.ts";

const except = "or name the job with --except where it needs no firewall";

/** What makes a step in this job useless or harmful; null: nothing. */
export function obstacleOf(source: Source, job: Job, scope: Scope): Finding | null {
  const say = (node: unknown, code: FindingCode, message: string, fix: string) =>
    finding(source.path, job.id, source.spot(node), code, message, fix);
  if (job.neverRuns) {
    return say(job.key, "never_runs", "its if: is false, so it never runs", "Nothing, until that changes.");
  }
  if (job.call !== null) return callOf(source, job, scope);
  if (job.container !== null) {
    return say(
      job.container,
      "container",
      "it runs in a container, and inside of one the machine cannot be enforced",
      `Run the job on the runner itself and its tools with docker run, ${except}.`,
    );
  }
  if (job.list === null) {
    if (job.isMerged) {
      const fix = "GitHub reads no merge keys (<<): write the job's keys out.";
      return say(job.key, "merge_key", "its steps may come from a merge key", fix);
    }
    return say(job.key, "no_steps", "it has neither steps nor a workflow that it calls", "Give it steps.");
  }
  return platformObstacle(source, job, scope);
}

function platformObstacle(source: Source, job: Job, scope: Scope): Finding | null {
  const at = source.spot(source.entry(job.map, "runs-on")?.key ?? job.key);
  const say = (code: FindingCode, message: string, fix: string) => finding(source.path, job.id, at, code, message, fix);
  if (job.platform === "other") {
    return say(
      "runner_os",
      "it runs on Windows or macOS, where nothing can be enforced",
      `Run it on Linux, ${except}.`,
    );
  }
  if (job.platform === "mixed") {
    return say(
      "runner_os",
      "some runs of its matrix are on Windows or macOS, where the step would fail",
      "Part the job by system, or write the step by hand with enabled: ${{ runner.os == 'Linux' }}.",
    );
  }
  if (job.platform === "unknown" && !scope.assumeLinux) {
    return say(
      "runner_unknown",
      "its runs-on is an expression that only GitHub can work out",
      `Where it is always Linux, say --assume-linux; ${except}.`,
    );
  }
  return null;
}

/** A called workflow runs in jobs of its own: the step must be there. */
function callOf(source: Source, job: Job, { paths }: Scope): Finding | null {
  const target = source.textOf(job.call) ?? "";
  const at = source.spot(job.call);
  if (!target.startsWith("./")) {
    return finding(
      source.path,
      job.id,
      at,
      "called_elsewhere",
      `it calls ${target}, whose jobs must have the step themselves`,
      `Add it there, and ${except.slice(3)}.`,
    );
  }
  if (paths.has(target.slice(2))) return null;
  const message = `it calls ${target}, which is not among the workflows that were read`;
  return finding(source.path, job.id, at, "called_missing", message, "Correct the path, or name that file as well.");
}

/** Why text cannot be put before the first of the steps; null: it can. */
export function layoutObstacle(source: Source, job: Job): Finding | null {
  const { list } = job;
  if (!isSeq(list)) return null;
  const at = source.spot(source.entry(job.map, "steps")?.key ?? job.key);
  if (list.flow === true || list.items.length === 0) {
    const message = "its steps are written in brackets, where no step with a comment can be put";
    return finding(source.path, job.id, at, "flow_steps", message, "Write each step on lines of its own, behind a -.");
  }
  const dash = dashOf(list, 0);
  if (dash !== null && /^ *$/.test(source.text.slice(source.lineStart(dash), dash))) return null;
  const message = "its first step does not begin on a line of its own";
  return finding(source.path, job.id, at, "odd_layout", message, "Write - at the start of a line of its own.");
}

/** Where the dash of an item is; null where there is none. */
export function dashOf(list: Job["list"], index: number): number | null {
  const token = list?.srcToken;
  if (token?.type !== "block-seq") return null;
  // A comment at the end may be an item of the parser's without a dash.
  const items = token.items.flatMap(({ start }) => start.find(({ type }) => type === "seq-item-ind") ?? []);
  return items[index]?.offset ?? null;
}
