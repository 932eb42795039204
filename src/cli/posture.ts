/** `sallyport posture`: where runners and workflows break the runner policy, with the evidence, in the format that is wanted. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { severities } from "../posture/finding.ts";
import type { Severity } from "../posture/finding.ts";
import { collect, integer } from "./options.ts";
import { addCloudOptions } from "./posture-cloud-options.ts";
import type { CloudFlags } from "./posture-cloud-options.ts";
import { addFixOptions } from "./posture-fix-options.ts";
import type { FixFlags } from "./posture-fix-options.ts";
import { addPostureHelp } from "./posture-help.ts";
import { actionOf } from "./workflow.ts";

const formats = ["text", "markdown", "json", "sarif", "junit", "runner-policy"] as const;

export interface PostureFlags extends CloudFlags, FixFlags {
  repository: string | false;
  uses: { readonly repository: string; readonly ref: string | null };
  auditDays: number;
  format: (typeof formats)[number];
  json?: true;
  all?: true;
  failOn: Severity | "never";
  unknownFails?: true;
  github: string[];
  apiUrl: string;
  runs: number;
  knownRunners: string[];
  maxWait: number;
  accept?: string;
  evidence: string[];
  keepDays: number;
  testDays: number;
}

export function addPostureCommand(program: Command): void {
  const command = program
    .command("posture")
    .description(
      "Where runners and workflows break the runner policy, with the evidence. Changes nothing without --apply.",
    )
    .optionsGroup("What is looked at:")
    .option("-C, --repository <dir>", "a repository's folder", ".")
    .option("--no-repository", "look at no folder")
    .option(
      "--github <name>",
      "an organisation or owner/repository, repeatable",
      (name: string, before: string[]) => collect(readName(name), before),
      [],
    )
    .option("--api-url <url>", "GitHub Enterprise Server: https://HOST/api/v3", usualApi())
    .addOption(
      new Option("--runs <n>", "recent runs of each repository to look at for who did them")
        .argParser(integer(0, 100))
        .default(10),
    )
    .option("--known-runners <pattern>", "names that runners have, with * (repeatable)", collect, [])
    .addOption(
      new Option("--max-wait <s>", "seconds to wait for GitHub's limits, each time")
        .argParser(integer(0, 7200))
        .default(120),
    )
    .option("--evidence <file>", "what logs verify or simulate printed as --json", collect, [])
    .optionsGroup("How it is judged and said:")
    .addOption(
      new Option("--uses <owner/repo[@sha]>", "whose step is ours; --fix puts it in at the commit")
        .argParser(actionOf)
        .default({ repository: "sallyport/sallyport", ref: null }, "sallyport/sallyport"),
    )
    .addOption(
      new Option("--audit-days <n>", "how long a control may only watch, by git")
        .argParser(integer(0, 36_500))
        .default(30),
    )
    .option("--accept <file>", "accepted findings, with owner, reason, expiry")
    .addOption(
      new Option("--keep-days <n>", "how long the record must be kept").argParser(integer(0, 36_500)).default(90),
    )
    .addOption(
      new Option("--test-days <n>", "how long an exfiltration test stays good")
        .argParser(integer(0, 36_500))
        .default(90),
    )
    .addOption(
      new Option("--fail-on <severity>", "exit 1 for this or worse").choices([...severities, "never"]).default("high"),
    )
    .option("--unknown-fails", "what was not seen fails like what was")
    .addOption(
      new Option("--format <format>", "text, markdown, json, sarif, junit, runner-policy")
        .choices(formats)
        .default("text"),
    )
    .option("--json", "as --format json")
    .option("--all", "write every finding out")
    .action(async (flags: PostureFlags) => {
      // What only this command needs is read when it runs: every other starts without it.
      const { posture } = await import("./posture-run.ts");
      await posture(flags);
    });
  addCloudOptions(command);
  addFixOptions(command);
  addPostureHelp(command);
}

/** GitHub's runner says where its API is. */
function usualApi(): string {
  return process.env["GITHUB_API_URL"] ?? "https://api.github.com";
}

function readName(name: string): string {
  const parts = name.split("/");
  if (parts.length <= 2 && parts.every((part) => /^[\w.-]+$/.test(part) && !/^\.+$/.test(part))) return name;
  throw new InvalidArgumentError("Write an organisation, or owner/repository.");
}
