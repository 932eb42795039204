/** RG-13, RG-14 and RG-24: the allowlist is narrow, justified, protected from those it binds, and the same everywhere. */
import { isPolicyProblems, loadPolicy } from "../../policy/load.ts";
import type { LoadedPolicy } from "../../policy/load.ts";
import { appliesAt } from "../../policy/model.ts";
import { exportPolicy } from "../../translate/export.ts";
import { ownersOf } from "../codeowners.ts";
import type { Frame, RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding, FindingInput } from "../finding.ts";
import { parsePolicyFile } from "../native-file.ts";
import { nativePath } from "./native.ts";
import type { NativePolicy } from "./native.ts";
import type { Workflow } from "../workflows/read.ts";
import { listed, openness } from "./openness.ts";
import { checkStepLists } from "./step-lists.ts";

/** `policies`: paths of our policies that the workflows name, or the usual one. `native`: GitHub's file. */
export function checkAllowlists(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  policies: readonly string[],
  native: NativePolicy,
  frame: Frame,
): Finding[] {
  const loaded = new Map<string, LoadedPolicy>();
  const found = policies.flatMap((path) => {
    const text = repository.files.get(path);
    if (text === undefined) return [];
    const result = loadPolicy(text, path, frame.now);
    if (!isPolicyProblems(result)) {
      loaded.set(path, result);
      return checkRules(repository, path, result, frame);
    }
    const [problem] = result.problems;
    return [
      finding({
        rule: "RG-13",
        check: "policy-loads",
        status: "unknown",
        subject: subjectIn(repository, path),
        seen: `the policy does not load: ${problem?.message ?? "it is empty"}`,
        where: inFile(path, problem?.line ?? 1, problem?.column ?? 1),
        fix: `sallyport policy check ${path} lists what is wrong.`,
      }),
    ];
  });
  if (native.file !== null) found.push(...checkHosts(repository, native.file));
  const guarded = [...(repository.files.has(nativePath) ? [nativePath] : []), ...loaded.keys()];
  found.push(...guarded.map((path) => checkOwner(repository, path)));
  if (native.file !== null)
    found.push(...[...loaded].map(([path, policy]) => checkDrift(repository, path, policy, frame)));
  found.push(...checkStepLists(repository, workflows, loaded, frame));
  return found;
}

function checkRules(repository: RepositoryFacts, path: string, { policy }: LoadedPolicy, frame: Frame): Finding[] {
  const now = frame.now.getTime();
  const found = policy.rules.flatMap((rule) => {
    if (rule.action !== "allow") return [];
    const say = (input: Omit<FindingInput, "subject" | "where" | "rule" | "status">) =>
      finding({
        ...input,
        rule: "RG-13",
        status: "fail",
        subject: subjectIn(repository, `${path}: rule ${rule.name}`),
        where: inFile(path, rule.line, rule.column, `rule ${rule.name}`),
      });
    if (!appliesAt(rule, now))
      return [say({ check: "expired", severity: "low", seen: `rule “${rule.name}” has expired`, fix: "Take it out." })];
    const lacks = [rule.reason === null ? "reason" : "", rule.owner === null ? "owner" : ""].filter(
      (each) => each !== "",
    );
    const open = rule.targets.flatMap(({ endpoint }) =>
      endpoint.kind === "cidr" ? [] : (openness(endpoint.text) ?? []),
    );
    return [
      ...(lacks.length === 0
        ? []
        : [
            say({
              check: "unjustified",
              severity: "low",
              seen: `rule “${rule.name}” has no ${lacks.join(" and no ")}`,
            }),
          ]),
      ...(open.length === 0 ? [] : [say({ check: "open-hosts", seen: `rule “${rule.name}”: ${listed(open)}` })]),
    ];
  });
  return found.length > 0
    ? found
    : [narrow(repository, path, `${policy.rules.length} rules, each with reason and owner`)];
}

function checkHosts(repository: RepositoryFacts, { allow }: NonNullable<NativePolicy["file"]>): Finding[] {
  const found = allow.flatMap(({ host, line, column }) => {
    const open = openness(host);
    if (open === null) return [];
    const subject = subjectIn(repository, `${nativePath}: ${host}`);
    const where = inFile(nativePath, line, column, "allow");
    return [finding({ rule: "RG-13", check: "open-hosts", status: "fail", subject, seen: open, where })];
  });
  return found.length > 0
    ? found
    : [narrow(repository, nativePath, `${allow.length} hosts, none known to be anybody's`)];
}

function narrow(repository: RepositoryFacts, path: string, seen: string): Finding {
  const subject = subjectIn(repository, path);
  return finding({ rule: "RG-13", check: "open-hosts", status: "pass", subject, seen, where: inFile(path, 1, 1) });
}

/** RG-14 by CODEOWNERS; whether a review of theirs is required, only the API says. */
function checkOwner(repository: RepositoryFacts, path: string): Finding {
  const owned = ownersOf(repository.files, path);
  const common = { rule: "RG-14", check: "code-owner", subject: subjectIn(repository, path) } as const;
  if (owned === null || owned.owners.length === 0) {
    const seen =
      owned === null
        ? `no line of a CODEOWNERS fits ${path}`
        : `${owned.file}:${owned.line}: ${owned.pattern} has no owner`;
    const where = owned === null ? inFile(path, 1, 1) : inFile(owned.file, owned.line, 1);
    return finding({ ...common, status: "fail", seen, where });
  }
  const { file, line, pattern, owners } = owned;
  const seen = `${file}:${line}: ${pattern} ${owners.join(" ")}`;
  return finding({ ...common, status: "pass", seen, where: inFile(file, line, 1) });
}

/** RG-24: GitHub's file against what our policy comes to there. */
function checkDrift(repository: RepositoryFacts, path: string, loaded: LoadedPolicy, frame: Frame): Finding {
  const { policy, engine } = loaded;
  const { text } = exportPolicy(policy, engine, "github", { source: null, now: frame.now.getTime() });
  const wanted = parsePolicyFile(text);
  const there = parsePolicyFile(repository.files.get(nativePath) ?? "");
  const subject = subjectIn(repository, `${nativePath} and ${path}`);
  const common = { rule: "RG-24", check: "native-drift", subject } as const;
  if ("problem" in wanted || "problem" in there)
    return finding({
      ...common,
      status: "unknown",
      seen: "one of the two cannot be read",
      where: inFile(nativePath, 1, 1),
    });
  const hosts = (file: typeof wanted) => new Set(file.allow.map(({ host }) => host.toLowerCase()));
  const [ours, theirs] = [hosts(wanted), hosts(there)];
  const extra = there.allow.filter(({ host }) => !ours.has(host.toLowerCase()));
  const missing = [...ours].filter((host) => !theirs.has(host));
  const differs = [
    ...(extra.length === 0 ? [] : [`only in GitHub's file: ${listed(extra.map(({ host }) => host))}`]),
    ...(missing.length === 0 ? [] : [`only in ${path}: ${listed(missing)}`]),
    ...(wanted.mode === there.mode ? [] : [`mode is ${there.mode} there and ${wanted.mode} in ${path}`]),
    ...(there.hasDefaults && !wanted.hasDefaults
      ? [`GitHub's defaults are on, and ${path} does not allow them all`]
      : []),
  ];
  const at = extra[0] ?? there.modeSpot;
  const where = inFile(nativePath, at.line, at.column);
  if (differs.length === 0)
    return finding({ ...common, status: "pass", seen: `both have the same ${ours.size} hosts`, where });
  const fix = `sallyport policy export github ${path} > ${nativePath}`;
  return finding({ ...common, status: "fail", seen: differs.join("; "), where, fix });
}
