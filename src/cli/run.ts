/** `sallyport run`: the arguments, the progress, the table and the exit code. */
import { writeFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { SallyportError } from "../errors.ts";
import type { Mode } from "../policy/decision.ts";
import { choosePolicy } from "../run/policy-text.ts";
import { liveLine, table } from "../run/report.ts";
import { runCommand } from "../run/run.ts";
import { suggestPolicy } from "../run/suggest.ts";
import { collect, denyOption, dnsOption } from "./options.ts";

interface RunArguments {
  policy?: string;
  allow: string[];
  mode?: Mode;
  report?: string;
  state?: string;
  failOn: "deny" | "never";
  dns: string[];
  dnsDeny: "nxdomain" | "refused";
  quiet?: true;
}

export function addRunCommand(program: Command): void {
  program
    .command("run")
    .description("Run a command behind the data path, in a network namespace of its own.")
    .argument("<command...>", "the command and its arguments, after --")
    .option("-p, --policy <file>", "policy file")
    .option(
      "-a, --allow <host[:port]>",
      "allow an endpoint (repeatable); without --policy this means enforce",
      collect,
      [],
    )
    .addOption(new Option("-m, --mode <mode>", "mode of the default rule").choices(["monitor", "enforce"]))
    .option("-r, --report <file>", "write the report as JSON")
    .option("-s, --state <dir>", "keep the event record there")
    .addOption(
      new Option("--fail-on <when>", "exit 3 when something was denied").choices(["deny", "never"]).default("never"),
    )
    .addOption(dnsOption())
    .addOption(denyOption())
    .option("-q, --quiet", "only the command's own output")
    .passThroughOptions()
    .action(async (argv: string[], options: RunArguments) => {
      process.exitCode = await run(argv, options);
    });
}

async function run(argv: string[], options: RunArguments): Promise<number> {
  const policy = choosePolicy({
    file: options.policy ?? null,
    allow: options.allow,
    mode: options.mode ?? null,
  });
  const say = (text: string) => {
    if (options.quiet !== true) process.stderr.write(`${text}\n`);
  };
  const colour = process.stderr.isTTY && process.env["NO_COLOR"] === undefined;
  const mode = policy.loaded.policy.default.mode;
  for (const warning of policy.loaded.warnings) say(`sallyport: warning: ${warning.message} (line ${warning.line})`);
  say(`sallyport: ${mode === "enforce" ? "enforcing" : "monitoring"}: ${argv.join(" ")}`);
  const report = await runCommand({
    argv,
    policy,
    state: options.state ?? null,
    dns: options.dns,
    dnsDeny: options.dnsDeny,
    onDestination: (row) => {
      // Refusals are always worth a line where they happen; the rest is progress, for somebody who watches.
      if (process.stderr.isTTY || row.verdict === "deny") say(liveLine(row, colour));
    },
  });
  say(`\n${table(report.destinations, colour)}`);
  if (options.report !== undefined) writeReport(options.report, `${JSON.stringify(report, null, 2)}\n`);
  const isWatching = options.policy === undefined && options.allow.length === 0 && mode === "monitor";
  if (isWatching) {
    say("\nA policy that allows what was seen (save it as sallyport.yaml, read it, then run with --policy):\n");
    say(suggestPolicy(report.destinations));
  }
  const wasDenied = report.destinations.some((row) => row.verdict === "deny");
  if (wasDenied && mode === "enforce") say("Why was it denied? sallyport policy explain, docs/reason-codes.md");
  return wasDenied && options.failOn === "deny" ? 3 : report.exit_code;
}

function writeReport(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new SallyportError(
      "USAGE",
      `The report cannot be written to ${file}: ${(error as Error).message}.`,
      { file },
      error,
    );
  }
}
