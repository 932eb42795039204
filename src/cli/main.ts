/** The `sallyport` command: arguments in, exit codes out. What a command does is in the room it calls. */
import { Command, CommanderError } from "commander";
import { version } from "../version.ts";
import { addControlCommands } from "./control.ts";
import { fail } from "./fail.ts";
import { addGatewayCommand } from "./gateway.ts";
import { addLogsCommand } from "./logs.ts";
import { addPolicyCommands } from "./policy.ts";
import { addRunCommand } from "./run.ts";

const program = new Command("sallyport")
  .description(
    "A guarded way out for CI jobs: watch what they connect to, allow what was reviewed, refuse everything else.",
  )
  .version(version)
  .exitOverride()
  .enablePositionalOptions()
  .showHelpAfterError("(sallyport --help shows the commands)")
  .addHelpText(
    "after",
    `
Examples:
  sudo sallyport run -- npm ci                                   watch a command, end with a ready policy
  sudo sallyport run --allow pypi.org -- pip download requests   enforce
  sudo sallyport gateway --policy p.yaml --inside br0 --state /var/lib/sallyport
  sallyport logs --state /var/lib/sallyport --verdict deny --follow

Exit codes: 0 fine, 1 our failure, 2 usage or invalid policy, 3 denied under --fail-on deny, 4 enforcement could not be set up`,
  );

addRunCommand(program);
addGatewayCommand(program);
addControlCommands(program);
addLogsCommand(program);
addPolicyCommands(program);
inherit(program);

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
