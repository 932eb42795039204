/**
 * The agent: an enforcer around the machine it runs on, for one job. Starts closed, says its first word when it enforces, and
 * goes on until the machine is gone: when the job is over its rules stay (threat R3), and so they do when
 * the next job's agent has this one end. Runs from root's own copy (`install.ts`).
 */
import { closeSync, existsSync, readFileSync, writeSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { Job } from "./job.ts";
import type { Summarise } from "./job-report.ts";
import { type AgentAnswer, readOrder } from "./order.ts";

/** Where the first word goes: a pipe that whoever started us made. */
const wordDescriptor = 3;

/** Ends the process itself by `exit`: when the next agent says so, and where it could not start. */
export async function agent(orderFile: string, summarise: Summarise, exit: (code: number) => void): Promise<void> {
  // What a service manager sends at the end of the machine, or a hang-up: we end with the machine, and the rules with nobody.
  for (const signal of ["SIGHUP", "SIGINT", "SIGPIPE"] as const) process.on(signal, () => {});
  const began = performance.now();
  let answer: AgentAnswer;
  try {
    const order = readOrder(readFileSync(orderFile, "utf8"));
    const job = await Job.start(order, summarise);
    process.once("SIGTERM", () => void job.retire().finally(() => exit(0)));
    answer = { ...job.started, ready: true, milliseconds: Math.round(performance.now() - began) };
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : "INTERNAL";
    const message = error instanceof SallyportError ? error.message : String((error as Error).stack);
    answer = { ready: false, code, message };
  }
  if (existsSync(`/proc/self/fd/${wordDescriptor}`)) {
    writeSync(wordDescriptor, `${JSON.stringify(answer)}\n`);
    closeSync(wordDescriptor);
  }
  // Whatever a failed start left open must not keep a process alive that enforces nothing.
  if (!answer.ready) exit(1);
}
