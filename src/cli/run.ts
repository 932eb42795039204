/** `sallyport run`: the arguments, and what people see of a run. */
import { closeSync } from "node:fs";
import { type Command, Option } from "commander";
import { loadSigningKey } from "../audit/key.ts";
import { SallyportError } from "../errors.ts";
import type { Mode } from "../policy/decision.ts";
import type { Destination } from "../run/destinations.ts";
import { openReport } from "../run/folder.ts";
import { liveLine, table } from "../run/report.ts";
import { suggestPolicy } from "../run/suggest.ts";
import { invokingUser } from "../run/user.ts";
import { collect, denyOption, dnsOption, signKeyOption } from "./options.ts";

interface RunArguments {
  policy?: string;
  allow: string[];
  mode?: Mode;
  report?: string;
  state?: string;
  signKey?: string;
  config?: string;
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
    .addOption(signKeyOption())
    .option("-c, --config <file>", "sallyport.config.yaml: where the record is sent to; needs --state")
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
  // The enforcer takes a while to load, and the other commands do without it.
  const [{ choosePolicy }, { runCommand }, { loadRunConfig }] = await Promise.all([
    import("../run/policy-text.ts"),
    import("../run/run.ts"),
    import("../run/sinks.ts"),
  ]);
  const policy = choosePolicy({
    file: options.policy ?? null,
    allow: options.allow,
    mode: options.mode ?? null,
  });
  if (options.signKey !== undefined && options.state === undefined) {
    throw new SallyportError("USAGE", "--sign-key signs the record that is kept: say where with --state DIR.");
  }
  if (options.config !== undefined && options.state === undefined) {
    const why = "what a sink has not got when the run ends is sent from the record later";
    throw new SallyportError("USAGE", `--config needs --state DIR: ${why}.`);
  }
  const signingKey = options.signKey === undefined ? null : loadSigningKey(options.signKey);
  const say = (text: string) => {
    if (options.quiet !== true) process.stderr.write(`${text}\n`);
  };
  const warn = (text: string) => void process.stderr.write(`sallyport: warning: ${text}\n`);
  const colour = process.stderr.isTTY && process.env["NO_COLOR"] === undefined;
  const mode = policy.loaded.policy.default.mode;
  const user = invokingUser(process.env);
  const sinks = options.config === undefined ? [] : loadRunConfig(options.config, user).sinks;
  const report = options.report === undefined ? null : openReport(options.report, user);
  for (const warning of policy.loaded.warnings) say(`sallyport: warning: ${warning.message} (line ${warning.line})`);
  say(`sallyport: ${mode === "enforce" ? "enforcing" : "monitoring"}: ${argv.join(" ")}`);
  const {
    report: done,
    lost,
    undelivered,
  } = await runCommand({
    argv,
    policy,
    user,
    state: options.state ?? null,
    signingKey,
    sinks,
    report,
    dns: options.dns,
    dnsDeny: options.dnsDeny,
    onDestination: progress(say, colour),
    onWarning: warn,
    onWait: (text) => say(`sallyport: ${text}`),
  });
  if (report !== null) closeSync(report);
  say(`\n${table(done.destinations, colour)}`);
  const isWatching = options.policy === undefined && options.allow.length === 0 && mode === "monitor";
  if (isWatching && done.destinations.length > 0) {
    say("\nA policy that allows what was seen (save it as sallyport.yaml, read it, then run with --policy):\n");
    say(suggestPolicy(done.destinations));
  }
  const wasDenied = done.destinations.some((row) => row.verdict === "deny");
  if (wasDenied && mode === "enforce") say("Why was it denied? sallyport policy explain, docs/reason-codes.md");
  for (const { sink, records, error } of undelivered) {
    const why = error === null ? "" : ` (${error})`;
    const how = `the next run with --state ${options.state} and the same --config sends them first`;
    warn(`sink ${sink} has not got ${records} records${why}; they are kept: ${how}`);
  }
  if (lost !== null) {
    warn(lost);
    return 1;
  }
  return wasDenied && options.failOn === "deny" ? 3 : done.exit_code;
}

const mostLines = 50;

/** Refusals are always worth a line where they happen; the rest is progress, for somebody who watches. */
function progress(say: (text: string) => void, colour: boolean): (row: Destination) => void {
  let lines = 0;
  return (row) => {
    if (!process.stderr.isTTY && row.verdict !== "deny") return;
    lines++;
    if (lines <= mostLines) say(liveLine(row, colour));
    if (lines === mostLines) say("sallyport: and more; the table at the end has them");
  };
}
