/**
 * The agent: an enforcer around the machine it runs on, for one job. Starts closed, says its first word when it enforces, and
 * goes on until the machine is gone: when the job is over its rules stay (threat R3), and so they do when
 * the next job's agent has this one end. Runs from root's own copy (`install.ts`).
 */
import { closeSync, readFileSync, writeSync } from "node:fs";
import { setPriority } from "node:os";
import { createInterface } from "node:readline";
import { recorderFile } from "../audit/recorder.ts";
import { SpareThreads } from "../datapath/threads.ts";
import { dnsFile } from "../enforcer/dns-thread.ts";
import { SallyportError } from "../errors.ts";
import { checkHost } from "../kernel/features.ts";
import { Job } from "./job.ts";
import type { Summarise } from "./job-report.ts";
import { observerFile } from "./observer-thread.ts";
import { type AgentAnswer, type AgentWord, readOrder } from "./order.ts";
import { readResult } from "./self-test.ts";
import { Stopwatch } from "./stopwatch.ts";

/** A build may have every processor busy, and each of its connections waits for us (nice(2)). */
const priority = -10;

/** Where we speak to whoever started us: a pipe. It speaks to our standard input. */
const wordDescriptor = 3;

/** Ends the process itself by `exit`: when the next agent says so, and where it could not start. */
export async function agent(orderFile: string, summarise: Summarise, exit: (code: number) => void): Promise<void> {
  // What a service manager sends at the end of the machine, or a hang-up: we end with the machine, and the rules with nobody.
  for (const signal of ["SIGHUP", "SIGINT", "SIGPIPE"] as const) process.on(signal, () => {});
  const watch = new Stopwatch();
  hurry();
  watch.lap("node and bundle");
  const heard = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const spare = new SpareThreads(1, [dnsFile, recorderFile, observerFile]);
  let answer: AgentAnswer;
  try {
    checkHost();
    watch.lap("tools");
    const { done, value } = await heard.next();
    // Whoever began us has no order for us.
    if (done === true) return exit(1);
    const word = JSON.parse(value) as AgentWord;
    watch.lap("wait for the order");
    const order = readOrder(readFileSync(orderFile, "utf8"));
    const selfTest = async () => {
      say({ selfTest: true });
      return readResult((await heard.next()).value);
    };
    const job = await Job.start(order, { spare, word, selfTest, summarise, lap: (part) => watch.lap(part) });
    process.once("SIGTERM", () => void job.retire().finally(() => exit(0)));
    answer = { ...job.started, ready: true, parts: { agent: watch.parts } };
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : "INTERNAL";
    const message = error instanceof SallyportError ? error.message : String((error as Error).stack);
    answer = { ready: false, code, message };
  }
  say(answer);
  closeSync(wordDescriptor);
  process.stdin.destroy();
  // Whatever a failed start left open must not keep a process alive that enforces nothing.
  if (!answer.ready) exit(1);
}

/** Before any thread is started: each has its starter's priority. */
function hurry(): void {
  try {
    setPriority(priority);
  } catch {
    // Not given to us: slower, not laxer.
  }
}

function say(word: AgentAnswer | { selfTest: true }): void {
  writeSync(wordDescriptor, `${JSON.stringify(word)}\n`);
}
