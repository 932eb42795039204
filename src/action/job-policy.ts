/**
 * The policy of a job: the file of the trusted ref, the endpoints of `allowed-endpoints` translated, and the mode of
 * `egress-policy`. Always one text that goes through the one loader, so that what the summary shows is what was enforced.
 */
import { isMap, isSeq, parseDocument, YAMLSeq } from "yaml";
import { SallyportError } from "../errors.ts";
import { type PolicyInForce, loadText } from "../enforcer/policy-source.ts";
import { diffPolicies } from "../policy/diff.ts";
import { diffText } from "../policy/diff-text.ts";
import { loadPolicy } from "../policy/load.ts";
import { formatProblem } from "../policy/problem.ts";
import { importPolicy } from "../translate/import.ts";
import type { JobContext, Ref } from "./event.ts";
import { type Inputs, usualPolicy } from "./inputs.ts";
import type { PolicyFiles } from "./job-files.ts";

export interface JobPolicy {
  policy: PolicyInForce;
  /** Where it is from, in words. */
  from: string;
  /** What a pull request's own policy would change, as text; null: nothing, or nothing is proposed. */
  proposal: string | null;
  notices: string[];
}

/** Throws POLICY_UNREADABLE, POLICY_INVALID, ACTION_INPUT. */
export async function choosePolicy(
  inputs: Inputs,
  { trusted, proposed }: JobContext,
  files: PolicyFiles,
  now: Date,
): Promise<JobPolicy> {
  const path = inputs.policy ?? usualPolicy;
  const text = await files.trusted;
  if (text === null && inputs.policy !== null) {
    const message = `${path} is not in ${trusted.repository} at ${trusted.ref}.`;
    const help =
      proposed === null ? "" : " For proposed work the policy counts that the base branch has: merge it first.";
    throw new SallyportError("POLICY_UNREADABLE", `${message}${help}`);
  }
  const notices: string[] = [];
  const endpoints = translateEndpoints(inputs, notices);
  const name = text === null ? "allowed-endpoints" : path;
  const policy = loadText(compose(text, endpoints, inputs, name, notices), name, now);
  const proposal = files.proposed === null ? null : await difference(files.proposed, path, text, now);
  return { policy, from: describe(text, trusted, path, endpoints !== null), proposal, notices };
}

/** The rules of `allowed-endpoints`, as YAML nodes of a policy; null: none. */
function translateEndpoints({ allowedEndpoints, mode }: Inputs, notices: string[]): YAMLSeq | null {
  if (allowedEndpoints === "") return null;
  const entries = allowedEndpoints.split(/\s+/).map((each) => `              ${each}`);
  const workflow = [
    "jobs:",
    "  job:",
    "    steps:",
    "      - uses: step-security/harden-runner@v2",
    "        with:",
    `          egress-policy: ${mode === "enforce" ? "block" : "audit"}`,
    "          allowed-endpoints: >",
    ...entries,
    "",
  ].join("\n");
  const imported = importPolicy(workflow, "allowed-endpoints", "harden-runner", {
    sources: new Map(),
    anySource: false,
    job: null,
    web: false,
  });
  if ("problems" in imported) throw endpointError(imported.problems.map(({ message, fix }) => `${message} ${fix}`));
  const lost = imported.notes.filter(({ effect }) => effect === "narrower" || effect === "wider");
  if (lost.length > 0) throw endpointError(lost.map(({ message }) => message));
  const rules = parseDocument(imported.text).get("rules");
  if (!isSeq(rules)) return null;
  // What the runner needs is permitted to the runner alone (`machine/control-plane.ts`).
  rules.items = rules.items.filter((item) => !isMap(item) || item.get("name") !== "what GitHub Actions needs");
  for (const item of rules.items) if (isMap(item)) item.set("reason", "allowed-endpoints of the workflow");
  notices.push(`allowed-endpoints came to ${rules.items.length} rules; a policy file says more (docs/action.md).`);
  return rules;
}

function endpointError(wrong: string[]): SallyportError {
  return new SallyportError("ACTION_INPUT", `allowed-endpoints cannot be used.\n${wrong.join("\n")}`, { wrong });
}

/** A policy file as a job has it whose `egress-policy` means this mode; what does not parse comes back as it is. */
export function inMode(text: string, mode: Inputs["mode"]): string {
  return compose(text, null, { mode }, "policy", []);
}

function compose(
  text: string | null,
  endpoints: YAMLSeq | null,
  { mode }: Pick<Inputs, "mode">,
  name: string,
  notices: string[],
): string {
  const document = parseDocument(text ?? "version: 1\n");
  // Positions in a broken file are those of the file itself.
  if (document.errors.length > 0 || !isMap(document.contents)) return text!;
  if (endpoints !== null) {
    if (!document.has("rules")) document.set("rules", new YAMLSeq());
    const rules = document.get("rules");
    if (!isSeq(rules)) return text!;
    for (const rule of endpoints.items) rules.add(document.createNode((rule as { toJSON(): unknown }).toJSON()));
  }
  const said = document.getIn(["default", "mode"]) as string | undefined;
  if (said !== undefined && said !== mode) {
    notices.push(`${name} says default mode ${said}; egress-policy decides for this job: ${mode}.`);
  }
  if (said === mode && endpoints === null && !document.hasIn(["default", "enforce_for"])) return text!;
  if (!document.has("default")) document.set("default", document.createNode({}));
  document.setIn(["default", "mode"], mode);
  document.deleteIn(["default", "enforce_for"]);
  return document.toString();
}

async function difference(
  proposed: Promise<string | null>,
  path: string,
  base: string | null,
  now: Date,
): Promise<string | null> {
  let head: string | null;
  try {
    head = await proposed;
  } catch (error) {
    return `What this pull request makes of ${path} could not be read: ${(error as Error).message}`;
  }
  if (head === base) return null;
  if (head === null) return `This pull request removes ${path}.`;
  const before = loadPolicy(base ?? "version: 1\n", path, now);
  const after = loadPolicy(head, path, now);
  if ("problems" in after)
    return `With this pull request ${path} would not load:\n${after.problems.map(formatProblem).join("\n")}`;
  if ("problems" in before) return null;
  const report = diffPolicies(before.policy, after.policy, now.getTime());
  return report.differs ? diffText(report) : null;
}

function describe(text: string | null, { repository, ref }: Ref, path: string, hasEndpoints: boolean): string {
  const file = `${path} of ${repository} at ${ref.replace(/^refs\/heads\//, "")}`;
  if (text === null) return hasEndpoints ? "allowed-endpoints of the workflow" : `nothing (there is no ${file})`;
  return hasEndpoints ? `${file}, and allowed-endpoints of the workflow` : file;
}
