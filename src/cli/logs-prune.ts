/** `sallyport logs prune`: retention by hand, for a record that no gateway is writing; or what a gateway would delete. */
import type { Command } from "commander";
import { loadSigningKey } from "../audit/key.ts";
import { applyRetention, planRetention, type RetentionPlan } from "../audit/retention.ts";
import { readHead } from "../audit/segment.ts";
import { Spool } from "../audit/spool.ts";
import { SallyportError } from "../errors.ts";
import { knownSinks, readersOf } from "../export/cursor.ts";
import { bytes } from "../run/report.ts";
import { type KeepArguments, keepOptions, requiredState, retentionOf, signKeyOption } from "./options.ts";

interface PruneArguments extends KeepArguments {
  state?: string;
  signKey?: string;
  dryRun?: true;
  json?: true;
}

export function addPruneCommand(logs: Command): void {
  const [keepFor, keepSize] = keepOptions();
  logs
    .command("prune")
    .description("Delete old sealed segments, with a record of it in the chain.")
    .option("-s, --state <dir>", "state directory")
    .addOption(keepFor!)
    .addOption(keepSize!)
    .option("-n, --dry-run", "say what would go, change nothing; also beside a running gateway")
    .addOption(signKeyOption())
    .option("--json", "as JSON")
    .action(async (_options: unknown, command: Command) => {
      await prune(command.optsWithGlobals<PruneArguments>());
    });
}

async function prune(options: PruneArguments): Promise<void> {
  const state = requiredState(options.state);
  const limits = retentionOf(options);
  if (limits.keepMs === null && limits.keepBytes === null) {
    throw new SallyportError("USAGE", "Say what is to be kept, with --keep-for TIME or --keep-size SIZE.");
  }
  // Without the configuration: all sinks that were ever sent to.
  const readers = await readersOf(state, await knownSinks(state));
  const plan = await planRetention(state, limits, Date.now(), readers);
  if (options.dryRun !== true && plan.doomed.length > 0) await carryOut(state, plan, options.signKey);
  if (options.json === true) console.log(JSON.stringify(summary(plan)));
  else console.log([text(plan, options.dryRun === true), ...waitingText(state, plan)].join("\n"));
  if (plan.blocked !== null) {
    throw new SallyportError("CHAIN_BROKEN", `Retention stops at what does not verify: ${plan.blocked}.`);
  }
}

async function carryOut(state: string, plan: RetentionPlan, file: string | undefined): Promise<void> {
  const head = await readHead(state);
  if (file === undefined && head !== null && head !== "damaged" && head.signature !== null) {
    const message = `The record is signed by key ${head.signature.key.slice(0, 16)}…; give that key with --sign-key.`;
    throw new SallyportError("USAGE", message);
  }
  const spool = await Spool.open({ directory: state, key: file === undefined ? null : loadSigningKey(file) });
  let done: boolean;
  try {
    done = await applyRetention(state, spool, plan);
  } finally {
    await spool.close();
  }
  if (!done) {
    const message = `Nothing was deleted: that could not be recorded in ${state}.`;
    throw new SallyportError("STATE_UNWRITABLE", message, { state });
  }
}

function summary({ doomed, blocked, waiting, left }: RetentionPlan): object {
  const segments = doomed.map(({ segment, end, bytes: size, sealed, reason, unread }) => {
    const place = { segment: segment.name, first: segment.first, last: end.seq, head: end.hash };
    return { ...place, bytes: size, sealed, reason, unread };
  });
  return { segments, left, blocked, waiting };
}

function waitingText(state: string, { waiting }: RetentionPlan): string[] {
  return waiting.map(
    (sink) =>
      `More is kept for sink ${sink}, which has not got it. If that is no sink any more, delete ${state}/export/${sink}.json.`,
  );
}

function text({ doomed, left }: RetentionPlan, dry: boolean): string {
  if (doomed.length === 0) return `Nothing to delete: ${left.segments} segments, ${bytes(left.bytes)}.`;
  const lines = doomed.map(({ segment, end, bytes: size, sealed, reason, unread }) => {
    const why = [reason === "age" ? "too old" : "too much", ...unread.map((sink) => `not sent to ${sink}`)].join(", ");
    return `${segment.name}  records ${segment.first} to ${end.seq}  ${bytes(size)}  closed ${sealed}  ${why}`;
  });
  const total = bytes(doomed.reduce((sum, each) => sum + each.bytes, 0));
  const what = `${doomed.length} segments, ${total}; ${left.segments} stay, ${bytes(left.bytes)}`;
  return [...lines, `${dry ? "Would delete" : "Deleted"} ${what}.`].join("\n");
}
