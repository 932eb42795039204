/**
 * The self-test from where the job is: our own process's packets are not looked at, so a child that has left our cgroup tries the
 * ways out, and the enforcer's own record says whether they held.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { SallyportError } from "../errors.ts";
import { selfTest, type SelfTestResult } from "../simulate/self-test.ts";
import type { Places } from "./places.ts";

const patienceMs = 10_000;

/** Throws ENFORCEMENT_LOST where the test itself could not be made. */
export function selfTestOutside({ program, record }: Places, leave: (pid: number) => void): Promise<SelfTestResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(program, "sallyport.mjs"), "agent-self-test", record], {
      stdio: ["pipe", "pipe", "inherit"],
      timeout: patienceMs,
      killSignal: "SIGKILL",
    });
    const fail = (why: string) =>
      reject(new SallyportError("ENFORCEMENT_LOST", `The self-test could not be made: ${why}.`));
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
    child.on("error", (error) => fail(error.message));
    child.on("close", (status) => {
      if (status !== 0) return fail(`it ended with ${status}`);
      try {
        resolve(JSON.parse(text) as SelfTestResult);
      } catch (error) {
        fail((error as Error).message);
      }
    });
    // It waits for this line: nothing is tried before it is where the job is.
    if (child.pid !== undefined) leave(child.pid);
    child.stdin.end("go\n");
  });
}

/** In the child. */
export async function selfTestHere(record: string, go: AsyncIterable<unknown>): Promise<SelfTestResult> {
  for await (const _ of go);
  return selfTest({ state: record });
}
