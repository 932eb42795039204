/** `sallyport policy` and its `check`, `test`, `explain` and `diff`: a policy before it is in force. Files and the clock come in here. */
import { type Command, Option } from "commander";
import { SallyportError } from "../errors.ts";
import { askedProcess } from "../policy/asked-process.ts";
import { casesText, readCases, runCases } from "../policy/cases.ts";
import { checkReport, checkText } from "../policy/check.ts";
import type { Protocol } from "../policy/decision.ts";
import { diffPolicies } from "../policy/diff.ts";
import { diffText } from "../policy/diff-text.ts";
import { explain } from "../policy/explain.ts";
import { explainText } from "../policy/explain-text.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { isQuestionDefect, readQuestion, setScene } from "../policy/question.ts";
import { atOption, load, read, say, type Shared, showProblems } from "./policy-file.ts";
import { addExport, addImport } from "./policy-import.ts";
import { addPlan, addPromote } from "./policy-plan.ts";
import { addPreset } from "./policy-preset.ts";

const protocols = ["tls", "http", "ssh", "tcp", "udp", "quic", "icmp"] as const satisfies Protocol[];

export function addPolicyCommands(program: Command): void {
  const policy = program
    .command("policy")
    .description(
      "Look at a policy before it is in force: check, test, explain, diff, plan; promote; import and export others.",
    )
    .addHelpText(
      "after",
      `
Examples:
  sallyport policy check sallyport.yaml                          errors and warnings, with line, column and fix
  sallyport policy test sallyport.yaml                           the cases in sallyport.test.yaml
  sallyport policy explain sallyport.yaml pypi.org               what happens to any source, and why
  sallyport policy explain sallyport.yaml 10.20.1.7 pypi.org:443
  sallyport policy diff old.yaml new.yaml                        what becomes reachable, what stops
  sallyport policy plan new.yaml --events /var/lib/sallyport     what it would have made of recorded traffic
  sallyport policy promote python-runners --policy sallyport.yaml --events /var/lib/sallyport
  sallyport policy import build.yml > sallyport.yaml             harden-runner, GitHub, Smokescreen, Cilium and others
  sallyport policy export github sallyport.yaml
  sallyport policy preset npm github-actions > sallyport.yaml    hosts with reasons, from npm's own configuration

Exit codes: 0 fine, 1 a case failed (test), warnings (check --strict), a difference (diff, plan --exit-code), promote
refused, something was not carried (import, export) or is missing (preset), 2 a file does not load`,
    );
  addCheck(policy);
  addTest(policy);
  addExplain(policy);
  addDiff(policy);
  addPlan(policy);
  addPromote(policy);
  addImport(policy);
  addExport(policy, atOption());
  addPreset(policy);
}

function addCheck(policy: Command): void {
  policy
    .command("check")
    .description("Load policies and say what is wrong or worth a look. Exit 2 when one does not load.")
    .argument("<file...>", "policy files")
    .option("--strict", "exit 1 when there are warnings")
    .addOption(atOption())
    .option("--json", "as JSON, one object a file")
    .action((files: string[], options: Shared & { strict?: true }) => {
      const exits = files.map((file) => check(file, options));
      process.exitCode = Math.max(...exits);
    });
}

function check(file: string, { json, strict, at }: Shared & { strict?: true }): number {
  const text = read(file);
  const report = checkReport(file, loadPolicy(text, file, at));
  say(json === true ? JSON.stringify(report) : checkText(report, text));
  if (!report.loads) return 2;
  return strict === true && report.warnings.length > 0 ? 1 : 0;
}

function addTest(policy: Command): void {
  policy
    .command("test")
    .description("Run the cases beside a policy: who, where to, and what must come of it. Exit 1 when one fails.")
    .argument("<policy>", "policy file")
    .option("-c, --cases <file>", "file of cases; default: sallyport.test.yaml beside sallyport.yaml")
    .addOption(atOption())
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
A file of cases is a list:
  - { endpoint: pypi.org, source: python-runners, expect: allow, rule: python packages }
  - { endpoint: gist.github.com, expect: deny }                  any source; expect: allow, deny or would_deny
  - { endpoint: 203.0.113.7:5432, protocol: tcp, expect: deny, rule: (default), reason: no_name }
  - { endpoint: "pypi.org/10.0.0.7", expect: deny }              the name, at that address
  - { endpoint: pypi.org, step: setup, exe: /usr/bin/pip, expect: allow }   a process; also action: owner/name`,
    )
    .action((file: string, options: Shared & { cases?: string }) => {
      const { loaded } = load(file, options) ?? {};
      if (loaded === undefined) return;
      const casesFile = options.cases ?? file.replace(/(\.ya?ml)?$/, (ending) => `.test${ending || ".yaml"}`);
      const text = read(casesFile);
      const scene = setScene(loaded.policy, loaded.engine);
      const cases = readCases(scene, text, casesFile);
      if (isPolicyProblems(cases)) return showProblems(cases, text, options.json === true);
      const report = runCases(scene, cases, casesFile);
      say(options.json === true ? JSON.stringify(report) : casesText(report));
      if (report.failed > 0) process.exitCode = 1;
    });
}

function addExplain(policy: Command): void {
  policy
    .command("explain")
    .usage("[options] <policy> [source] <endpoint>")
    .description("What would happen to a connection at every stage, why, and the line that would allow it.")
    .argument("<policy>", "policy file")
    .argument("<source>", "an address, a declared source, or any (also when left out)")
    .argument("[endpoint]", "host[:port], address[:port], or host/address[:port] for a name at an address")
    .addOption(new Option("--protocol <protocol>", "what is spoken; default: by port").choices(protocols))
    .option("--ech", "the hello carries Encrypted Client Hello")
    .option("--step <step>", "the job's step that the process belongs to; default: not known")
    .option("--action <owner/name>", "the repository of the step's action; default: not known")
    .option("--exe <path>", "the executable of the process; default: not known")
    .addOption(atOption())
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Examples:
  sallyport policy explain sallyport.yaml pypi.org
  sallyport policy explain sallyport.yaml python-runners pypi.org:8443 --protocol tls
  sallyport policy explain sallyport.yaml 10.20.1.7 203.0.113.7:5432
  sallyport policy explain sallyport.yaml any pypi.org/10.0.0.7 --at 2027-01-31
  sallyport policy explain sallyport.yaml pypi.org --step setup --exe /usr/bin/pip`,
    )
    .action(
      (
        file: string,
        first: string,
        second: string | undefined,
        options: Shared & { protocol?: Protocol; ech?: true; step?: string; action?: string; exe?: string },
      ) => {
        const { loaded } = load(file, options) ?? {};
        if (loaded === undefined) return;
        const [source, endpoint] = second === undefined ? ["any", first] : [first, second];
        const scene = setScene(loaded.policy, loaded.engine);
        const question = readQuestion(scene, {
          source,
          endpoint,
          protocol: options.protocol ?? null,
          ech: options.ech ?? false,
          process: askedProcess(options),
        });
        if (isQuestionDefect(question)) throw new SallyportError("USAGE", `${question.message}. ${question.fix}`);
        const explanation = explain(scene, question, options.at.getTime());
        say(options.json === true ? JSON.stringify(explanation) : explainText(explanation));
      },
    );
}

function addDiff(policy: Command): void {
  policy
    .command("diff")
    .description(
      "What another policy decides differently: what becomes reachable, what stops, what only changes its rule.",
    )
    .argument("<before>", "policy file")
    .argument("<after>", "policy file")
    .option("--exit-code", "exit 1 when something differs")
    .addOption(atOption())
    .option("--json", "as JSON")
    .action((before: string, after: string, options: Shared & { exitCode?: true }) => {
      const [a, b] = [load(before, options), load(after, options)];
      if (a === null || b === null) return;
      const report = diffPolicies(a.loaded.policy, b.loaded.policy, options.at.getTime());
      say(options.json === true ? JSON.stringify(report) : diffText(report));
      if (report.differs && options.exitCode === true) process.exitCode = 1;
    });
}
