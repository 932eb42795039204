/** RG-10, RG-11 and RG-12: every job has an egress control, first, enforcing, and without a known way around. */
import type { Finding, FindingInput, Severity } from "../finding.ts";
import { finding } from "../finding.ts";
import type { Frame, RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { platformOfLabels } from "../../workflow/platform.ts";
import type { Platform } from "../../workflow/platform.ts";
import { unreadText } from "../workflows/calls.ts";
import { compareVersions, controlsOf } from "../workflows/control.ts";
import type { Control } from "../workflows/control.ts";
import { hiddenControl } from "../workflows/hidden.ts";
import type { LocalActions } from "../workflows/local-actions.ts";
import type { Workflow, WorkflowJob } from "../workflows/read.ts";
import { kindOf } from "../workflows/runs-on.ts";
import { calledBy, callersOf, seenAt, whereOf } from "./callers.ts";
import type { NativePolicy } from "./native.ts";

type Say = (input: Omit<FindingInput, "subject" | "where"> & { at?: { line: number; column: number } }) => Finding;

interface Bypass {
  /** The first version without it. */
  readonly before: string;
  readonly severity: Severity;
  readonly text: string;
}

/** What published advisories and a product's own changes left open, the worst first. */
const bypassesOf: Readonly<Record<string, readonly Bypass[]>> = {
  "harden-runner": [
    { before: "2.14.2", severity: "high", text: "sendto and its like are not logged (GHSA-cpmj-h4f6-r6pq)" },
    {
      before: "2.16.0",
      severity: "high",
      text: "DNS over HTTPS and over TCP pass (GHSA-46g3-37rh-v698, GHSA-g699-3x6g-wm3g)",
    },
    {
      before: "2.21.0",
      severity: "medium",
      text: "block turns into audit by itself where the cache's host is not found",
    },
  ],
  Bullfrog: [{ before: "0.8.4", severity: "high", text: "DNS over TCP passes its list of domains" }],
};

/** What is read for these checks besides the workflows of the repository. */
export interface Around {
  /** Workflows elsewhere that these call. */
  readonly called: readonly Workflow[];
  /** Why a workflow that is called was not read, by its name. */
  readonly notCalled: ReadonlyMap<string, string>;
  readonly actions: LocalActions;
}

export function checkJobs(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  around: Around,
  native: NativePolicy,
  frame: Frame,
): Finding[] {
  const all = [...workflows, ...around.called];
  const known = new Set(all.map(({ path }) => path));
  const callers = callersOf(all);
  return all.flatMap((workflow) =>
    workflow.jobs.flatMap((job) => {
      const subject = subjectIn(repository, `${workflow.path}#${job.id}`);
      const by = calledBy(callers, workflow.path);
      const say: Say = ({ at = job, seen, ...rest }) => {
        const whole = rest.rule === "RG-10" && rest.status !== "pass" && by !== "" ? `${seen}; ${by}` : seen;
        // What nobody here calls is not checked.
        const where = whereOf(callers, workflow, job, at) ?? inFile(workflow.path, at.line, at.column);
        return finding({ ...rest, seen: seenAt(workflow, at, whole), subject, where });
      };
      return checkJob(workflow, job, { ...around, known }, native, frame, say);
    }),
  );
}

function checkJob(
  { source }: Workflow,
  each: WorkflowJob,
  { known, notCalled, actions }: Around & { readonly known: ReadonlySet<string> },
  native: NativePolicy,
  frame: Frame,
  say: Say,
): Finding[] {
  const { job, runsOn, calls } = each;
  if (job.neverRuns)
    return [say({ rule: "RG-10", check: "control", status: "pass", seen: "the job never runs: its if: is false" })];
  if (job.call !== null) {
    if (calls !== null && known.has(calls)) return [];
    const seen = `it calls ${source.textOf(job.call)}, ${unreadText(calls, notCalled)}`;
    const fix = "Look at the repository by --github, with a token that may read what it calls.";
    return [say({ rule: "RG-10", check: "control", status: "unknown", seen, fix, at: source.spot(job.call) })];
  }
  const controls = controlsOf(source, job, frame.own);
  const kinds = runsOn.possible.map((set) => kindOf(set, frame.largerRunners ?? new Set()));
  const isNative = runsOn.isWhole && kinds.every((kind) => kind === "firewall");
  if (isNative)
    return [...native.forJob(say, runsOn.text), ...controls.flatMap((one) => checkForce(one, frame, say, source.path))];
  const [first] = controls;
  if (first === undefined) return [withoutControl(each, source, actions, frame, say)];
  return [
    checkPlace(each, first, say),
    ...controls.flatMap((one) => checkForce(one, frame, say, source.path)),
    ...controls.flatMap((one) => checkVersion(one, say)),
  ];
}

function withoutControl(
  { job, runsOn }: WorkflowJob,
  source: Workflow["source"],
  actions: LocalActions,
  frame: Frame,
  say: Say,
): Finding {
  const common = { rule: "RG-10", check: "control" } as const;
  if (job.list === null) {
    const seen = job.isMerged
      ? "its steps may come from a merge key (<<)"
      : "it has neither steps nor a called workflow";
    return say({ ...common, status: "unknown", seen, fix: "GitHub reads no merge keys: write the job's steps out." });
  }
  const where = runsOn.text === "" ? "no runs-on" : `runs-on ${runsOn.text}`;
  const kinds = new Set(runsOn.possible.map((set) => kindOf(set, frame.largerRunners ?? new Set())));
  const partly = kinds.has("firewall") ? "; only some of its runners have GitHub's firewall" : "";
  const inner = hiddenControl(source, job, actions, frame.own);
  const hidden = inner === null ? "" : `; ${inner}`;
  const key = source.entry(job.map, "steps")?.key;
  return say({
    ...common,
    status: "fail",
    seen: `no step of ${job.steps.length} is an egress control (${where})${partly}${hidden}`,
    ...(key === undefined ? {} : { at: source.spot(key) }),
  });
}

/** Where it runs, with what callers pass counted in. */
function platformIn({ job, runsOn }: WorkflowJob): Platform {
  if (job.platform !== "unknown" || !runsOn.isWhole) return job.platform;
  const all = new Set(
    runsOn.possible.map(({ labels, group }) => platformOfLabels(group === null ? labels : [...labels, group])),
  );
  if (all.has("other")) return all.size === 1 ? "other" : "mixed";
  return all.has("unsaid") ? "unsaid" : "linux";
}

function checkPlace(each: WorkflowJob, control: Control, say: Say): Finding {
  const { job, runsOn } = each;
  const { product, index, weakened, maybeOff } = control;
  const platform = platformIn(each);
  const wrong = [
    ...(index === 0 ? [] : [`${index === 1 ? "a step comes" : `${index} steps come`} before it`]),
    ...weakened,
    ...(job.container !== null && !control.inContainers
      ? ["the job runs in a container, where it enforces nothing"]
      : []),
    ...(platform === "other" ? ["the job runs on Windows or macOS, where it enforces nothing"] : []),
    ...(platform === "mixed" ? ["some of its runs are on Windows or macOS, where it enforces nothing"] : []),
  ];
  const common = { rule: "RG-10", check: "control", at: control } as const;
  if (wrong.length > 0) return say({ ...common, status: "fail", seen: `${product}: ${wrong.join("; ")}` });
  if (maybeOff !== null) {
    const seen = `${product} is first, but ${maybeOff} only GitHub can work out`;
    return say({ ...common, status: "unknown", seen, fix: "Take enabled: out." });
  }
  if (platform === "unsaid") {
    const seen = `${product} is first, but runs-on ${runsOn.text} names no system, and on Windows or macOS it enforces nothing`;
    return say({ ...common, status: "unknown", seen, fix: "Say the system in a label: [self-hosted, linux]." });
  }
  if (platform === "unknown") {
    const seen = `${product} is first, but runs-on ${runsOn.text} only GitHub can work out, and on Windows or macOS it enforces nothing`;
    return say({ ...common, status: "unknown", seen, fix: "Write the possible labels into the file." });
  }
  return say({ ...common, status: "pass", seen: `${product} is the first step` });
}

/** RG-11. Also for a step beside GitHub's firewall. */
function checkForce({ product, mode, modeAt, modeText }: Control, frame: Frame, say: Say, path: string): Finding[] {
  const common = { rule: "RG-11", check: `mode-${product.toLowerCase()}`, at: modeAt } as const;
  if (mode === "enforce") return [say({ ...common, status: "pass", seen: `${product} enforces (${modeText})` })];
  if (mode === "unknown") {
    const seen = modeText === "" ? `${product}: where it says its mode is not known here` : `${product}: ${modeText}`;
    return [say({ ...common, status: "unknown", seen, fix: "Write the mode into the step." })];
  }
  return [say({ ...common, ...watching(product, modeText, frame.changed(path, modeAt.line), frame) })];
}

/** What is said of a control that only watches, by how long it does. */
export function watching(
  product: string,
  text: string,
  since: Date | null,
  { now, auditDays }: Frame,
): { status: "fail"; severity: Severity; seen: string } {
  if (since === null)
    return {
      status: "fail",
      severity: "medium",
      seen: `${product} only watches (${text}); since when is not known: no history is at hand`,
    };
  const days = Math.max(0, Math.floor((now.getTime() - since.getTime()) / 86_400_000));
  const isLong = days > auditDays;
  const seen = `${product} only watches (${text}), for ${days} day${days === 1 ? "" : "s"}; ${auditDays} are allowed`;
  return { status: "fail", severity: isLong ? "medium" : "low", seen };
}

function checkVersion({ product, version, ref, ...at }: Control, say: Say): Finding[] {
  // Ours is judged by whoever publishes it, and not by itself.
  if (product === "Sallyport") return [];
  const common = { rule: "RG-12", check: "version", at } as const;
  const bypasses = bypassesOf[product];
  if (bypasses === undefined) {
    const fix = "Look at its advisories, and simulate against it (sallyport simulate).";
    return [say({ ...common, status: "unknown", seen: `${product}: no list of its bypasses is kept here`, fix })];
  }
  const newest = bypasses.at(-1)!.before;
  if (version === null) {
    const seen = `${product}@${ref ?? "?"}: which version that is, the file does not say`;
    const fix = `Pin a commit with its version as a comment: # v${newest}.`;
    return [say({ ...common, status: "unknown", seen, fix })];
  }
  const open = bypasses.filter(({ before }) => compareVersions(version, before) < 0);
  const [worst] = open;
  if (worst === undefined)
    return [say({ ...common, status: "pass", seen: `${product} ${version}: no bypass is known here` })];
  const seen = `${product} ${version}: ${open.map(({ text, before }) => `before ${before}: ${text}`).join("; ")}`;
  const fix = `Pin ${product} ${newest} or newer.`;
  return [say({ ...common, status: "fail", severity: worst.severity, seen, fix })];
}
