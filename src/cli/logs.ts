/** `sallyport logs`: the record of a state directory, read from its files; the commands below it are in files of their own. */
import { type Command, Option } from "commander";
import { type ReadFilter, readEvents } from "../audit/read.ts";
import type { Event } from "../audit/event.ts";
import { addKeygenCommand } from "./logs-keygen.ts";
import { addPruneCommand } from "./logs-prune.ts";
import { addVerifyCommand } from "./logs-verify.ts";
import { requiredState, timeOrAgo } from "./options.ts";

interface LogsArguments {
  state: string;
  follow?: true;
  verdict?: "allow" | "deny" | "would_deny";
  name?: string;
  since?: string;
  kind?: Event["kind"];
  json?: true;
}

export function addLogsCommand(program: Command): void {
  const logs = program
    .command("logs")
    .description("Events of a state directory, one JSON object a line.")
    .option("-s, --state <dir>", "state directory")
    .option("-f, --follow", "go on with what comes")
    .addOption(new Option("--verdict <verdict>", "only these").choices(["allow", "deny", "would_deny"]))
    .addOption(
      new Option("--kind <kind>", "only these").choices([
        "connection",
        "dns",
        "flow_end",
        "detection",
        "tamper",
        "policy",
        "lifecycle",
      ]),
    )
    .option("--name <name>", "destination: a name and what is below it, or a pattern with *")
    .option("--since <when>", "RFC 3339 time, or 10m, 2h, 3d ago")
    .option("--json", "as JSON (always so)")
    .action(async (options: LogsArguments) => {
      for await (const event of readEvents(requiredState(options.state), filterOf(options))) {
        if (!process.stdout.write(`${JSON.stringify(event)}\n`)) {
          await new Promise((resolve) => process.stdout.once("drain", resolve));
        }
      }
    });
  addVerifyCommand(logs);
  addKeygenCommand(logs);
  addPruneCommand(logs);
}

function filterOf(options: LogsArguments): ReadFilter {
  return {
    ...(options.verdict === undefined ? {} : { verdict: options.verdict }),
    ...(options.kind === undefined ? {} : { kind: options.kind }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.since === undefined ? {} : { since: timeOrAgo(options.since) }),
    follow: options.follow === true,
  };
}
