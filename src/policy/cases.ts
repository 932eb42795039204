/**
 * Cases beside a policy (`sallyport.test.yaml` beside `sallyport.yaml`): who, where to, and what must come of it. They say
 * what the policy is meant to do in words that survive its rewriting. `sallyport policy test` runs them through the engine
 * that decides packets.
 */
import { z } from "zod";
import { askedProcess, processOptions, processText } from "./asked-process.ts";
import type { AskedProcess } from "./asked-process.ts";
import { readDocument } from "./document.ts";
import type { Document } from "./document.ts";
import type { Decision, Stage } from "./decision.ts";
import { Problems, nearest } from "./problem.ts";
import type { PolicyProblems } from "./load.ts";
import { answer, isQuestionDefect, readQuestion } from "./question.ts";
import type { Question, Scene } from "./question.ts";
import { reasonTexts } from "./reason.ts";
import type { Reason } from "./reason.ts";
import { count, ruleText, verdictText } from "./wording.ts";

/** How a case names the default (tier 3) as the expected rule. */
export const defaultRule = "(default)";

const reasons = Object.keys(reasonTexts) as [Reason, ...Reason[]];

const caseSchema = z.strictObject({
  source: z.string().optional().describe("An address, a declared source, or any. Left out: any."),
  endpoint: z.string().describe("host[:port], address[:port], or host/address[:port] for a name at an address."),
  protocol: z.enum(["tls", "http", "ssh", "tcp", "udp", "quic", "icmp"]).optional().describe("Left out: by port."),
  step: z.string().optional().describe("The step of the process behind it. Left out: not known."),
  action: z.string().optional().describe("The repository of the step's action. Left out: not known."),
  exe: z.string().optional().describe("The executable of the process. Left out: not known."),
  ech: z.boolean().optional().describe("The hello carries Encrypted Client Hello. Left out: false."),
  expect: z.enum(["allow", "deny", "would_deny"]).describe("The verdict."),
  rule: z.string().optional().describe(`Name of the rule that must decide; ${defaultRule} for the default.`),
  reason: z.enum(reasons).optional().describe("The reason code."),
});

const casesSchema = z.array(caseSchema).min(1);

/** One case, understood. */
export interface Case {
  readonly question: Question;
  readonly expect: Decision["verdict"];
  /** Undefined: any rule will do. */
  readonly rule: string | undefined;
  readonly reason: Reason | undefined;
  readonly line: number;
}

/** What came of one case. The JSON of `sallyport policy test --json` has a list of these. */
export interface CaseResult {
  passed: boolean;
  line: number;
  source: string;
  endpoint: string;
  protocol: string;
  /** The hello was asked about with Encrypted Client Hello in it. */
  ech: boolean;
  /** What is known of the process; null: nothing. */
  process: AskedProcess | null;
  expected: { verdict: Decision["verdict"]; rule: string | null; reason: Reason | null };
  got: { verdict: Decision["verdict"]; rule: string; reason: Reason; stage: Stage; line: number | null };
}

/** The JSON of `sallyport policy test --json`. */
export interface CasesReport {
  schema: "sallyport.test/1";
  policy: { file: string; hash: string };
  cases: string;
  passed: number;
  failed: number;
  results: CaseResult[];
}

/** The cases of a file, or every problem of the file. `file` is for messages only. Never throws, whatever the text. */
export function readCases(scene: Scene, text: string, file: string): Case[] | PolicyProblems {
  const problems = new Problems(file);
  const document = readDocument(text, problems);
  if (document === null) return { problems: problems.list };
  const checked = casesSchema.safeParse(document.value);
  if (!checked.success) {
    for (const issue of checked.error.issues) reportIssue(issue, document, problems);
    return { problems: problems.list };
  }
  const rules = new Set(scene.policy.rules.map((rule) => rule.name));
  const cases = checked.data.flatMap((raw, i): Case[] => {
    if (raw.rule !== undefined && raw.rule !== defaultRule && !rules.has(raw.rule)) {
      const guess = nearest(raw.rule, [...rules, defaultRule]);
      const fix = guess === null ? `Write a rule's name, or ${defaultRule}.` : `Did you mean ${guess}?`;
      const message = `the policy has no rule named “${raw.rule}”`;
      problems.add("unknown_reference", () => document.place([i, "rule"]), message, fix);
    }
    const { source = "any", endpoint, protocol = null, ech = false, expect, rule, reason } = raw;
    const question = readQuestion(scene, { source, endpoint, protocol, ech, process: askedProcess(raw) });
    if (!isQuestionDefect(question)) return [{ question, expect, rule, reason, line: document.place([i]).line }];
    const { part, code, message, fix } = question;
    problems.add(code, () => document.place([i, part]), message, fix);
    return [];
  });
  return problems.count === 0 ? cases : { problems: problems.list };
}

function reportIssue(issue: z.core.$ZodIssue, document: Document, problems: Problems): void {
  const path = issue.path as (string | number)[];
  const [entry, key] = path;
  const where = entry === undefined ? "the file" : `case ${Number(entry) + 1}`;
  const place = () => document.place(path);
  const known = Object.keys(caseSchema.shape);
  if (issue.code === "unrecognized_keys") {
    for (const unknown of issue.keys) {
      const guess = nearest(unknown, known);
      const fix = guess === null ? `Known keys: ${known.join(", ")}.` : `Did you mean ${guess}?`;
      problems.add(
        "unknown_key",
        () => document.place([...path, unknown], true),
        `unknown key “${unknown}” in ${where}`,
        fix,
      );
    }
  } else if (entry === undefined) {
    const isEmpty = issue.code === "too_small";
    const fix = "Write cases as a list: - { endpoint: pypi.org, expect: allow }.";
    problems.add(
      isEmpty ? "empty" : "schema",
      place,
      isEmpty ? "there is no case" : "the file must be a list of cases",
      fix,
    );
  } else if (key === undefined) {
    problems.add("schema", place, `${where} must be a map of keys`, "Write - { endpoint: pypi.org, expect: allow }.");
  } else {
    const entryValue = (document.value as Record<string, unknown>[])[Number(entry)]!;
    const isMissing = !Object.hasOwn(entryValue, key);
    const values = issue.code === "invalid_value" ? issue.values.map(String) : null;
    const form =
      values === null ? "a text" : key === "reason" ? "a reason code (docs/reason-codes.md)" : values.join(" or ");
    const message = isMissing ? `${key} of ${where} is missing` : `${key} of ${where} must be ${form}`;
    problems.add("schema", place, message, `Write ${form}.`);
  }
}

/** Runs every case. */
export function runCases(scene: Scene, cases: readonly Case[], file: string): CasesReport {
  const results = cases.map((each) => runCase(scene, each));
  const failed = results.filter((result) => !result.passed).length;
  const { policy } = scene;
  return {
    schema: "sallyport.test/1",
    policy: { file: policy.file, hash: policy.hash },
    cases: file,
    passed: results.length - failed,
    failed,
    results,
  };
}

function runCase(scene: Scene, { question, expect, rule, reason, line }: Case): CaseResult {
  const { outcome } = answer(scene, question);
  const got = outcome.rule?.name ?? defaultRule;
  const isRule = rule === undefined || (rule === defaultRule ? outcome.rule === null : outcome.rule?.name === rule);
  const isReason = reason === undefined || outcome.reason === reason;
  return {
    passed: outcome.verdict === expect && isRule && isReason,
    line,
    source: question.asked.source,
    endpoint: question.asked.endpoint,
    protocol: question.protocol,
    ech: question.asked.ech,
    process: question.asked.process,
    expected: { verdict: expect, rule: rule ?? null, reason: reason ?? null },
    got: {
      verdict: outcome.verdict,
      rule: got,
      reason: outcome.reason,
      stage: outcome.stage,
      line: outcome.rule?.line ?? null,
    },
  };
}

/** The report for people: one line a case, what was expected where it failed, and the count. No line break at its end. */
export function casesText(report: CasesReport): string {
  const { policy, cases, passed, failed, results } = report;
  const lines = results.flatMap((result) => caseLines(result, report));
  const total = failed === 0 ? `all ${passed} passed` : `${failed} of ${count(passed + failed, "case")} failed`;
  return [...lines, "", `${cases}: ${total} (policy ${policy.hash.slice(0, 12)} of ${policy.file})`].join("\n");
}

function caseLines(
  { passed, line, source, endpoint, protocol, ech, process, expected, got }: CaseResult,
  report: CasesReport,
): string[] {
  const { file } = report.policy;
  const known = processText(process);
  const what = `${source}${known === null ? "" : ` (${known})`} → ${endpoint} ${protocol}${ech ? " with ECH" : ""}`;
  const by = got.line === null ? "the default" : ruleText({ name: got.rule, line: got.line }, file);
  const came = `${verdictText(got.verdict)} by ${by}`;
  if (passed) return [`ok    ${what}: ${came}`];
  const options = processOptions(process)
    .map(([option, value]) => ` ${option} ${shell(value)}`)
    .join("");
  const wanted = [
    verdictText(expected.verdict),
    ...(expected.rule === null ? [] : [`by ${expected.rule === defaultRule ? "the default" : `“${expected.rule}”`}`]),
    ...(expected.reason === null ? [] : [`reason ${expected.reason}`]),
  ];
  return [
    `FAIL  ${what}  (${report.cases}:${line})`,
    `        expected ${wanted.join(", ")}`,
    `        got ${came}, reason ${got.reason}, at ${got.stage}`,
    `        sallyport policy explain ${shell(file)} ${shell(source)} ${shell(endpoint)} --protocol ${protocol}${ech ? " --ech" : ""}${options}`,
  ];
}

/** Quoted for a shell where it needs to be. */
function shell(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
