/**
 * What an enforcer on a runner permits besides the policy: the control plane to the runner itself, caches and artifacts to the
 * actions of GitHub's that move them, and the cloud's own services to root's processes outside of the job. In tier 1, because
 * a job whose logs cannot be sent is a job that nobody can see; each is exact, and each is an event like any other.
 */
import type { PolicyInForce } from "../enforcer/policy-source.ts";
import { SallyportError } from "../errors.ts";
import { compile } from "../policy/compile.ts";
import { isPolicyProblems, readPolicy } from "../policy/load.ts";
import type { Policy, Rule, Source } from "../policy/model.ts";
import { formatProblem } from "../policy/problem.ts";
import type { ProcessTerm } from "../policy/process.ts";

/** Actions that speak to GitHub's storage of caches, artifacts and attestations. */
const storageActions = [
  "actions/cache",
  "actions/upload-artifact",
  "actions/download-artifact",
  "actions/attest",
  "actions/attest-build-provenance",
  "actions/upload-pages-artifact",
  "actions/deploy-pages",
  "actions/setup-node",
  "actions/setup-python",
  "actions/setup-go",
  "actions/setup-java",
  "actions/setup-dotnet",
];

/** Azure's and everybody's metadata services, over HTTP; 32526 is the agent's channel on Azure (learn.microsoft.com, 168.63.129.16). */
const cloud = ["168.63.129.16/32:80,32526", "169.254.169.254/32:80"];

export interface PermitOptions {
  runner: readonly string[];
  actions: readonly string[];
}

/** The policy in force with the permits before its own rules. Throws AGENT where a permit is none. */
export function withPermits(policy: PolicyInForce, options: PermitOptions): PolicyInForce {
  const base = policy.loaded.policy;
  const permits = permitRules(options, base);
  const whole: Policy = { ...base, rules: [...permits, ...base.rules] };
  return { ...policy, loaded: { ...policy.loaded, policy: whole, engine: compile(whole, policy.at) } };
}

function permitRules({ runner, actions }: PermitOptions, base: Policy): Rule[] {
  const term = (part: Partial<ProcessTerm>): ProcessTerm => ({
    steps: null,
    actions: null,
    exes: null,
    runner: false,
    system: false,
    ...part,
  });
  const groups = [
    { name: "the runner", to: runner, who: term({ runner: true }), protocol: null },
    { name: "caches and artifacts", to: actions, who: term({ actions: storageActions }), protocol: null },
    { name: "the cloud's own services", to: cloud, who: term({ system: true }), protocol: "tcp" },
  ];
  const taken = new Set(base.rules.map(({ name }) => name));
  return groups
    .filter(({ to }) => to.length > 0)
    .flatMap(({ name, to, who, protocol }) => {
      let unique = name;
      while (taken.has(unique)) unique += " (Sallyport)";
      const line = {
        name: unique,
        to,
        reason: "what the runner needs to work at all",
        ...(protocol === null ? {} : { protocol }),
      };
      const read = readPolicy(JSON.stringify({ version: 1, permits: [line] }), "permits of the agent");
      if (isPolicyProblems(read)) {
        throw new SallyportError(
          "AGENT",
          `A host of the control plane cannot be permitted.\n${read.problems.map(formatProblem).join("\n")}`,
        );
      }
      const source: Source = { name: unique, declared: false, subnets: null, process: who, line: 1, column: 1 };
      return read.rules.map((rule) => ({ ...rule, from: [source] }));
    });
}
