/** The `sallyport` command: arguments in, exit codes out. What a command does is in the room it calls. */
import { Command, CommanderError, Help } from "commander";
import { version } from "../version.ts";
import { addBaselineCommand } from "./baseline.ts";
import { addConfigCommands } from "./config.ts";
import { addControlCommands } from "./control.ts";
import { fail } from "./fail.ts";
import { addGatewayCommand } from "./gateway.ts";
import { addLogsCommand } from "./logs.ts";
import { addPolicyCommands } from "./policy.ts";
import { addPostureCommand } from "./posture.ts";
import { addQueryCommand } from "./query.ts";
import { addReceiptCommand } from "./receipt.ts";
import { addRunCommand } from "./run.ts";
import { addSimulateCommand } from "./simulate.ts";
import { addWorkflowCommand } from "./workflow.ts";

const program = new Command("sallyport")
  .description("A guarded way out for CI jobs: watch, allow what was reviewed, refuse the rest.")
  .version(version)
  .exitOverride()
  .enablePositionalOptions()
  .showHelpAfterError("(sallyport --help shows the commands)")
  .helpCommand("help", "the help of one of these")
  // The list must fit a screen with all its commands; that there is help and a version, it says itself.
  .configureHelp({
    subcommandTerm: (command) => command.name(),
    visibleCommands: (command) => [...command.commands],
    visibleOptions: (command) => (command.parent === null ? [] : new Help().visibleOptions(command)),
  })
  .addHelpText(
    "after",
    `
Try: sudo sallyport run -- npm ci      watches, and ends with a policy to review
Exit codes: 0 fine, 1 our failure, 2 usage or invalid policy, 3 denied under
--fail-on deny, 4 enforcement could not be set up and nothing was run`,
  );

/** One line each in the list of commands; each command's own help says more. */
const summaries: Record<string, string> = {
  run: "run a command behind the firewall, in its own network namespace",
  gateway: "police everything that arrives on some interfaces",
  status: "what is enforced, since when, and how it goes",
  reload: "read the policy file again",
  metrics: "counters and levels in Prometheus' text format",
  flows: "live connections, with their rule and bytes",
  logs: "events, one JSON object a line; logs verify, keygen and prune",
  receipt: "receipt verify: was a job of the GitHub Action enforced to its end",
  query: "ask the record: destinations, rules, new names, or SQL",
  policy: "check, test, explain, diff, plan, promote, import, export, preset",
  baseline: "from recorded traffic to a policy, with how complete it is",
  config: "check a configuration file before it is in force",
  simulate: "try real exfiltration techniques, safely, and say which got out",
  workflow: "add the action to every job of a repository; --check for CI",
  posture: "where runners and workflows break the runner policy",
};

addRunCommand(program);
addGatewayCommand(program);
addControlCommands(program);
addLogsCommand(program);
addReceiptCommand(program);
addQueryCommand(program);
addPolicyCommands(program);
addBaselineCommand(program);
addConfigCommands(program);
addSimulateCommand(program);
addWorkflowCommand(program);
addPostureCommand(program);
inherit(program);
for (const command of program.commands) command.summary(summaries[command.name()] ?? "");

// A closed pipe (`… | head`) is the reader's choice, not a failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else process.exitCode = fail(error);
}

/** Commander gives a subcommand its own settings; ours are the same everywhere. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.exitOverride();
    inherit(command);
  }
}
