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
import type { AgentOrder, ControlEndpoint } from "./order.ts";
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
const cloud: readonly ControlEndpoint[] = [
  { to: "168.63.129.16/32:80,32526", protocol: "tcp" },
  { to: "169.254.169.254/32:80", protocol: "tcp" },
];

export type PermitOptions = AgentOrder["control_plane"];

/** The policy in force with the permits before its own rules. Throws AGENT where a permit is none. */
export function withPermits(policy: PolicyInForce, options: PermitOptions): PolicyInForce {
  const base = policy.loaded.policy;
  const permits = permitRules(options, base);
  const whole: Policy = { ...base, rules: [...permits, ...base.rules] };
  return { ...policy, loaded: { ...policy.loaded, policy: whole, engine: compile(whole, policy.at) } };
}

function permitRules({ runner, actions, self }: PermitOptions, base: Policy): Rule[] {
  const term = (part: Partial<ProcessTerm>): ProcessTerm => ({
    steps: null,
    actions: null,
    exes: null,
    runner: false,
    system: false,
    ...part,
  });
  const groups = [
    { name: "the runner", endpoints: runner, who: term({ runner: true }) },
    { name: "caches and artifacts", endpoints: actions, who: term({ actions: storageActions }) },
    { name: "the next job's policy", endpoints: self?.endpoints ?? [], who: term({ actions: [self?.action ?? ""] }) },
    { name: "the cloud's own services", endpoints: cloud, who: term({ system: true }) },
  ];
  const taken = new Set(base.rules.map(({ name }) => name));
  return groups.flatMap(({ name, endpoints, who }) =>
    (["tls", "http", "tcp"] as const).flatMap((protocol) => {
      const to = endpoints.filter((each) => each.protocol === protocol).map((each) => each.to);
      if (to.length === 0) return [];
      let unique = protocol === "tls" ? name : `${name}, ${protocol}`;
      while (taken.has(unique)) unique += " (Sallyport)";
      taken.add(unique);
      const line = { name: unique, to, protocol, reason: "what the runner needs to work at all" };
      const read = readPolicy(JSON.stringify({ version: 1, permits: [line] }), "permits of the agent");
      if (isPolicyProblems(read)) {
        const problems = read.problems.map(formatProblem).join("\n");
        throw new SallyportError("AGENT", `A host of the control plane cannot be permitted.\n${problems}`);
      }
      const source: Source = { name: unique, declared: false, subnets: null, process: who, line: 1, column: 1 };
      return read.rules.map((rule) => ({ ...rule, from: [source] }));
    }),
  );
}
