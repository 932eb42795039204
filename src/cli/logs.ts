/** `sallyport logs` and `sallyport logs verify`: the record of a state directory, read from its files. */
import { type Command, Option } from "commander";
import { type ReadFilter, readEvents } from "../audit/read.ts";
import { verifyRecord } from "../audit/verify.ts";
import type { Event } from "../audit/event.ts";
import { SallyportError } from "../errors.ts";
import { timeOrAgo } from "./options.ts";

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
        "policy",
        "lifecycle",
      ]),
    )
    .option("--name <name>", "destination: a name and what is below it, or a pattern with *")
    .option("--since <when>", "RFC 3339 time, or 10m, 2h, 3d ago")
    .option("--json", "as JSON (always so)")
    .action(async (options: LogsArguments) => {
      for await (const event of readEvents(required(options.state), filterOf(options))) {
        if (!process.stdout.write(`${JSON.stringify(event)}\n`)) {
          await new Promise((resolve) => process.stdout.once("drain", resolve));
        }
      }
    });
  logs
    .command("verify")
    .description("Check the chain; names the first broken record and exits 1.")
    .option("-s, --state <dir>", "state directory")
    .option("--json", "as JSON")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<{ state: string; json?: true }>();
      const result = await verifyRecord(required(options.state));
      if (options.json === true) console.log(JSON.stringify(result));
      else if (result.ok) {
        console.log(
          `The chain holds: ${result.records} records in ${result.segments} segments, head ${result.head.hash}.`,
        );
        for (const note of result.notes) console.log(`  note: ${note}`);
      }
      if (result.ok || result.broken === null) return;
      const { segment, line, seq, kind, message } = result.broken;
      throw new SallyportError("CHAIN_BROKEN", `${segment}:${line}: record ${seq} is ${kind}: ${message}`, {
        broken: result.broken,
      });
    });
}

function required(state: string | undefined): string {
  if (state !== undefined) return state;
  throw new SallyportError("USAGE", "Say which record with --state DIR.");
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
