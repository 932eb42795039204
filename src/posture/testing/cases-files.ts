/** Cases of checks that read a repository's files. */
import { checkEvidence } from "../checks/assurance.ts";
import type { RepositoryFacts } from "../facts.ts";
import type { Finding } from "../finding.ts";
import { check, job, now, repository, sha } from "./repository.ts";
import { ruleCase } from "./rule-cases.ts";
import type { RuleCase } from "./rule-cases.ts";

const ours = `      - uses: sallyport/sallyport@${sha}`;
const run = "      - run: make";
const harden = (version: string, more = "") => `      - uses: step-security/harden-runner@${sha} # v${version}${more}`;
const policyPath = ".github/sallyport.yaml";
const nativePath = ".github/egress-firewall.yaml";
const evil = "mode: enforce\nno-default-urls: true\nallow: [evil.example]\n";
const same = "mode: enforce\nno-default-urls: true\nallow: [pypi.org]\n";

type Files = Readonly<Record<string, string>>;
const workflow =
  (text: string, files: Files = {}) =>
  () =>
    check(repository({ "ci.yml": text }, { files: new Map(Object.entries(files)), paths: Object.keys(files) }));
const steps = (list: string, files: Files = {}, runsOn = "ubuntu-latest", on = "push") =>
  workflow(job(on, runsOn, list), files);
const shared = `octo/shared/.github/workflows/build.yml@${sha}`;
const calls = (more: Partial<RepositoryFacts>) => () =>
  check(repository({ "ci.yml": `on: push\npermissions: {}\njobs: { a: { uses: "${shared}" } }\n` }, more));
const dockerAction = (image: string) =>
  steps("      - uses: ./tool", { "tool/action.yml": `name: tool\nruns: { using: docker, image: "${image}" }\n` });
const code =
  (text: string, path = "a.sh") =>
  () =>
    check(repository({}, { infrastructure: [{ path, text }] }));
const policy = (to: string, more = "reason: builds, owner: sec") =>
  `version: 1\ndefault: { mode: enforce }\nrules:\n  - { name: all, to: [${to}], ${more} }\n`;
const evidence = (value: object | string) => (): Finding[] =>
  checkEvidence([{ path: "e.json", text: typeof value === "string" ? value : JSON.stringify(value) }], { now });
const record = {
  ok: true,
  first: 1,
  records: 9,
  segments: 2,
  seals: { closed: 1, sealed: 1, signed: 1, keys: ["k"], checked: true },
  broken: null,
};
const technique = { id: "https-post", expected: "blocked", verdict: "blocked" };
const simulation = {
  schema: "sallyport.simulate/1",
  ended: "2026-10-20T00:00:00Z",
  policy: { mode: "enforce" },
  techniques: [technique],
};
const runnerSet = (ephemeral: boolean) =>
  `apiVersion: actions.summerwind.dev/v1alpha1\nkind: RunnerDeployment\nmetadata: { name: r, namespace: ci }\nspec: { template: { metadata: { labels: { app: r } }, spec: { ephemeral: ${ephemeral} } } }\n`;
const networkPolicy = (to: string) =>
  `---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: n, namespace: ci }\nspec: { podSelector: {}, policyTypes: [Egress], egress: ${to} }\n`;
const config = (record: string) =>
  workflow(job("push", "ubuntu-latest", ours), { "sallyport.config.yaml": `record: ${record}\n` });

export const fileCases: readonly RuleCase[] = [
  ruleCase(
    "RG-01",
    "manifest",
    ["a runner set with ephemeral: false", code(runnerSet(false), "k.yaml")],
    ["one with ephemeral: true", code(runnerSet(true), "k.yaml")],
  ),
  ruleCase(
    "RG-01",
    "registered-to-stay",
    ["config.sh without --ephemeral", code("./config.sh --url x --token y\n")],
    ["with it", code("./config.sh --url x --ephemeral\n")],
  ),
  ruleCase(
    "RG-01",
    "kept-as-service",
    ["svc.sh install", code("sudo ./svc.sh install\n")],
    ["run.sh --jitconfig", code("./run.sh --jitconfig x\n")],
  ),
  ruleCase(
    "RG-01",
    "terraform-ephemeral",
    ["enable_ephemeral_runners = false", code("enable_ephemeral_runners = false\n", "m.tf")],
    ["true", code("enable_ephemeral_runners = true\n", "m.tf")],
  ),
  ruleCase(
    "RG-01",
    "registered-for-one-job",
    ["config.sh --ephemeral", code("./config.sh --url x --ephemeral\n")],
    ["config.sh alone", code("./config.sh --url x\n")],
  ),
  ruleCase(
    "RG-07",
    "fork-reach",
    ["pull_request on a self-hosted runner", steps(ours, {}, "self-hosted", "pull_request")],
    ["push on one", steps(ours, {}, "self-hosted")],
  ),
  ruleCase(
    "RG-08",
    "permissions",
    ["permissions: write-all", workflow("on: push\npermissions: write-all\njobs: { a: { runs-on: x, steps: [] } }\n")],
    ["permissions: {}", steps(ours)],
  ),
  ruleCase("RG-09", "unpinned", ["an action by a tag", steps("      - uses: x/y@v1")], ["by a commit", steps(ours)]),
  ruleCase("RG-09", "pins", ["an action by a commit", steps(ours)], ["by a branch", steps("      - uses: x/y@main")]),
  ruleCase(
    "RG-09",
    "action-image",
    ["a Docker action's image by a tag", dockerAction("docker://alpine:3")],
    ["by its digest", dockerAction(`docker://alpine@sha256:${"0".repeat(64)}`)],
  ),
  ruleCase(
    "RG-09",
    "action-unread",
    ["an action ./tool that is not there", steps("      - uses: ./tool")],
    ["one that is", dockerAction("docker://alpine:3")],
  ),
  ruleCase(
    "RG-09",
    "action-elsewhere",
    ["another repository's action, by a commit", steps(`      - uses: x/y@${sha}`)],
    ["ours alone", steps(ours)],
  ),
  ruleCase(
    "RG-09",
    "call-unread",
    ["another repository's workflow that was not read", calls({})],
    ["one that was", calls({ called: [{ path: shared, text: job("workflow_call", "ubuntu-latest", ours) }] })],
  ),
  ruleCase("RG-10", "control", ["a job without a control", steps(run)], ["ours as its first step", steps(ours)]),
  ruleCase(
    "RG-10",
    "native-file",
    ["mode: block, which there is not", steps(run, { [nativePath]: "mode: block\n" }, "ubuntu-24.04-firewall")],
    ["mode: enforce", steps(run, { [nativePath]: same }, "ubuntu-24.04-firewall")],
  ),
  ruleCase(
    "RG-10",
    "native-file-name",
    ["egress-firewall.yml", steps(run, { ".github/egress-firewall.yml": same }, "ubuntu-24.04-firewall")],
    ["egress-firewall.yaml", steps(run, { [nativePath]: same }, "ubuntu-24.04-firewall")],
  ),
  ruleCase(
    "RG-10",
    "unreadable",
    ["a workflow indented with tabs", workflow("on: push\njobs:\n\ta: 1\n")],
    ["one that is YAML", steps(ours)],
  ),
  ruleCase(
    "RG-10",
    "refused-by-github",
    ["a key that GitHub does not know", steps(`${ours}\n      - run: x\n        runn: y`)],
    ["none", steps(ours)],
  ),
  ruleCase(
    "RG-11",
    "mode-PRODUCT",
    ["egress-policy: audit", steps(`${ours}\n        with: { egress-policy: audit }`)],
    ["block", steps(`${ours}\n        with: { egress-policy: block }`)],
  ),
  ruleCase(
    "RG-11",
    "mode-native",
    ["GitHub's firewall with mode: log", steps(run, { [nativePath]: "mode: log\n" }, "ubuntu-24.04-firewall")],
    ["mode: enforce", steps(run, { [nativePath]: same }, "ubuntu-24.04-firewall")],
  ),
  ruleCase("RG-12", "version", ["harden-runner 2.15.0", steps(harden("2.15.0"))], ["2.21.0", steps(harden("2.21.0"))]),
  ruleCase(
    "RG-13",
    "open-hosts",
    [
      "api.github.com in a step's allowed-endpoints",
      steps(harden("2.21.0", '\n        with: { allowed-endpoints: "pypi.org:443 api.github.com:443" }')),
    ],
    ["pypi.org alone", steps(harden("2.21.0", '\n        with: { allowed-endpoints: "pypi.org:443" }'))],
  ),
  ruleCase(
    "RG-13",
    "unjustified",
    ["a rule without a reason", steps(ours, { [policyPath]: policy("pypi.org", "owner: sec") })],
    ["with reason and owner", steps(ours, { [policyPath]: policy("pypi.org") })],
  ),
  ruleCase(
    "RG-13",
    "expired",
    [
      "a rule that expired",
      steps(ours, { [policyPath]: policy("pypi.org", "reason: x, owner: sec, expires: 2026-01-01T00:00:00Z") }),
    ],
    [
      "one that has not",
      steps(ours, { [policyPath]: policy("pypi.org", "reason: x, owner: sec, expires: 2027-01-01T00:00:00Z") }),
    ],
  ),
  ruleCase(
    "RG-13",
    "policy-loads",
    ["a policy that does not load", steps(ours, { [policyPath]: "version: 1\nrules: [" })],
    ["one that does", steps(ours, { [policyPath]: policy("pypi.org") })],
  ),
  ruleCase(
    "RG-14",
    "code-owner",
    [
      "a policy that no line of CODEOWNERS fits",
      steps(ours, { [policyPath]: policy("pypi.org"), CODEOWNERS: "/docs/ @o/d\n" }),
    ],
    ["one that has owners", steps(ours, { [policyPath]: policy("pypi.org"), CODEOWNERS: ".github/ @o/sec\n" })],
  ),
  ruleCase(
    "RG-19",
    "network-policy",
    ["a NetworkPolicy to everywhere", code(runnerSet(true) + networkPolicy("[{}]"), "k.yaml")],
    [
      "one to the gateway",
      code(runnerSet(true) + networkPolicy("[{ to: [{ ipBlock: { cidr: 10.0.0.1/32 } }] }]"), "k.yaml"),
    ],
  ),
  ruleCase(
    "RG-21",
    "record",
    [
      "a record whose seals nobody signed",
      evidence({ ...record, seals: { ...record.seals, signed: 0, checked: false } }),
    ],
    ["one verified with a key", evidence(record)],
  ),
  ruleCase(
    "RG-21",
    "kept-for",
    ["keep_for: 7d", config("{ keep_for: 7d }")],
    ["keep_for: 365d", config("{ keep_for: 365d }")],
  ),
  ruleCase(
    "RG-21",
    "signed",
    ["no sign_key in the configuration", config("{ keep_for: 365d }")],
    ["a sign_key", config("{ sign_key: k.pem }")],
  ),
  ruleCase(
    "RG-22",
    "simulation",
    ["a technique that got out", evidence({ ...simulation, techniques: [{ ...technique, verdict: "reached" }] })],
    ["none that did, last month", evidence(simulation)],
  ),
  ruleCase(
    "RG-22",
    "scheduled",
    ["no schedule that runs the simulator", steps(ours)],
    ["a simulation that was given", evidence(simulation)],
  ),
  ruleCase(
    "RG-24",
    "native-drift",
    ["a host in GitHub's file alone", steps(ours, { [policyPath]: policy("pypi.org"), [nativePath]: evil })],
    ["the same hosts", steps(ours, { [policyPath]: policy("pypi.org"), [nativePath]: same })],
  ),
  ruleCase(
    "RG-24",
    "step-drift",
    [
      "a host in a step that the policy does not allow",
      steps(harden("2.21.0", '\n        with: { allowed-endpoints: "evil.example:443" }'), {
        [policyPath]: policy("pypi.org"),
      }),
    ],
    [
      "none",
      steps(harden("2.21.0", '\n        with: { allowed-endpoints: "pypi.org:443" }'), {
        [policyPath]: policy("pypi.org"),
      }),
    ],
  ),
];
