/**
 * The `main` phase: the outputs, and what is in force. Where there was no `pre` (an action by path has none), it starts the
 * agent itself and says that what ran before was not watched.
 */
import { SallyportError } from "../errors.ts";
import { annotation, RunnerFiles, savedState } from "./commands.ts";
import { askAgent } from "./agent-client.ts";
import { type PhaseContext, type Started, pre } from "./pre.ts";

export async function main(context: PhaseContext): Promise<void> {
  const { env, say } = context;
  const saved = savedState(env, "started");
  const isLate = saved === "";
  const started: Started = isLate ? await pre(context) : (JSON.parse(saved) as Started);
  const files = new RunnerFiles(env);
  if (!started.enabled) {
    files.output("enforced", "false");
    files.output("degraded", "false");
    return;
  }
  if (isLate) {
    say(
      annotation(
        "warning",
        "The action had no `pre` phase here (an action by path has none): what ran before this step was not watched.",
        { title: "Sallyport" },
      ),
    );
  }
  const status = await askAgent(started.socket, "status");
  if (status.state === "lost") throw new SallyportError("ENFORCEMENT_LOST", status.problems.join("; "));
  files.output("enforced", String(started.mode === "enforce"));
  files.output("degraded", String(status.problems.length > 0));
  files.output("denied", String(status.denied));
  files.output("report", status.report);
  files.output("receipt", status.receipt);
  files.output("sarif", status.sarif);
  files.output("summary", status.summary);
  files.output("record", status.record);
  say(
    `Sallyport has ${started.mode === "enforce" ? "enforced" : "watched"} since ${status.since}: ${status.allowed} allowed, ${status.denied} denied.`,
  );
}
