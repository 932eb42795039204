/**
 * What each phase of the action begins with (`scripts/build-action.ts` makes a file of each): it runs a phase to its end, and a
 * failure is an error in the log and a failed job.
 */
import { fileURLToPath } from "node:url";
import { annotation, logLine } from "../action/commands.ts";
import type { PhaseContext } from "../action/phase.ts";
import { SallyportError, errorTable } from "../errors.ts";

const here = new URL(import.meta.url);

/** `run` resolves with false where the job must fail without an error. */
export async function phase(run: (context: PhaseContext) => Promise<unknown>): Promise<void> {
  const context: PhaseContext = {
    env: process.env,
    program: fileURLToPath(new URL("./install.mjs", here)),
    say: (line) => void process.stdout.write(`${logLine(line)}\n`),
  };
  try {
    if ((await run(context)) === false) process.exitCode = 1;
  } catch (error) {
    const isOurs = error instanceof SallyportError;
    const help = errorTable[isOurs ? error.code : "INTERNAL"].help;
    const message = isOurs ? error.message : String((error as Error).stack ?? error);
    context.say(annotation("error", `${message}\n${help}`, { title: "Sallyport" }));
    process.exitCode = 1;
  }
}
