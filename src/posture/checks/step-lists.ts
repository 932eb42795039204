/** RG-13 and RG-24 for lists that stand in a workflow's step and not in a file: `allowed-endpoints` and its like, whoever's step it is. */
import type { LoadedPolicy } from "../../policy/load.ts";
import { exportPolicy } from "../../translate/export.ts";
import type { Frame, RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { controlsOf, inputOf } from "../workflows/control.ts";
import type { Control } from "../workflows/control.ts";
import type { Workflow } from "../workflows/read.ts";
import { listed, openness } from "./openness.ts";

/** The input with the list, by product. Those with a list elsewhere have none. */
const inputs: Readonly<Record<string, string>> = {
  Sallyport: "allowed-endpoints",
  "harden-runner": "allowed-endpoints",
  Bullfrog: "allowed-domains",
  CargoWall: "allowed-hosts",
};
interface StepList {
  readonly subject: string;
  readonly where: ReturnType<typeof inFile>;
  readonly control: Control;
  readonly text: string;
  readonly hosts: readonly string[];
}

/** `loaded`: our policies by path, to compare with. */
export function checkStepLists(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  loaded: ReadonlyMap<string, LoadedPolicy>,
  frame: Frame,
): Finding[] {
  const lists = workflows.flatMap((workflow) => listsIn(repository, workflow, frame));
  return [
    ...lists.map(checkList),
    ...(loaded.size === 0 ? [] : lists.flatMap((list) => checkDrift(list, loaded, frame))),
  ];
}

function listsIn(repository: RepositoryFacts, { path, source, jobs }: Workflow, frame: Frame): StepList[] {
  return jobs.flatMap(({ id, job }) =>
    controlsOf(source, job, frame.own).flatMap((control) => {
      const input = inputs[control.product];
      const node = input === undefined ? null : inputOf(source, control.step, input);
      const text = node === null ? null : source.textOf(node);
      if (input === undefined || node === null || text === null || text.trim() === "") return [];
      const { line, column } = source.spot(node);
      const hosts = text.split(/[\s,]+/).filter((each) => each !== "");
      const subject = subjectIn(repository, `${path}#${id}: ${control.product}'s ${input}`);
      return [{ subject, where: inFile(path, line, column, `jobs.${id}`), control, text, hosts }];
    }),
  );
}

function checkList({ subject, where, text, hosts }: StepList): Finding {
  const common = { rule: "RG-13", check: "open-hosts", subject, where } as const;
  if (text.includes("${{")) {
    const fix = "Write the list out, or keep it in a policy file.";
    return finding({ ...common, status: "unknown", seen: "only GitHub can work the list out", fix });
  }
  const open = hosts.flatMap((each) => openness(hostOf(each)) ?? []);
  if (open.length > 0) return finding({ ...common, status: "fail", seen: listed(open) });
  return finding({ ...common, status: "pass", seen: `${hosts.length} hosts, none known to be anybody's` });
}

/** `pypi.org` of `pypi.org:443;80`. */
function hostOf(entry: string): string {
  return entry.replace(/:[\d;]+$/, "").toLowerCase();
}

/** What a step opens that no policy does; a shorter list is no drift, since a job may need less. */
function checkDrift(list: StepList, loaded: ReadonlyMap<string, LoadedPolicy>, frame: Frame): Finding[] {
  const { control, where, subject, text } = list;
  if ((control.product !== "harden-runner" && control.product !== "Sallyport") || text.includes("${{")) return [];
  const wanted = new Set([...loaded.values()].flatMap((each) => endpointsOf(each, frame)));
  const extra = list.hosts.filter((each) => !wanted.has(withPort(each)));
  const paths = [...loaded.keys()].join(", ");
  const common = { rule: "RG-24", check: "step-drift", subject: `${subject} and ${paths}`, where } as const;
  if (extra.length === 0)
    return [finding({ ...common, status: "pass", seen: `nothing is open that ${paths} does not allow` })];
  const fix = `Take them out, or put them into ${paths} and write the list with sallyport policy export harden-runner.`;
  return [finding({ ...common, status: "fail", seen: `not allowed by ${paths}: ${listed(extra)}`, fix })];
}

/** A policy as the list that it comes to. */
function endpointsOf({ policy, engine }: LoadedPolicy, frame: Frame): string[] {
  const { text } = exportPolicy(policy, engine, "harden-runner", { source: null, now: frame.now.getTime() });
  return text
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("#"))
    .flatMap((line) => line.split(/\s+/))
    .filter((each) => each.includes("."))
    .map(withPort);
}

function withPort(entry: string): string {
  return /:\d+$/.test(entry) ? entry.toLowerCase() : `${entry.toLowerCase()}:443`;
}
