/**
 * Starts the agent from the job's own process: as root, from a copy that only root can write, and waits for its first word.
 * Whatever fails here fails the job: there is no green job that was not enforced.
 */
import { spawn } from "node:child_process";
import { SallyportError, errorTable, type ErrorCode } from "../errors.ts";
import type { AgentAnswer, AgentOrder } from "../machine/order.ts";

/** How long the agent may take to its first word, ms. */
const patienceMs = 30_000;

/** Resolves with what the agent answered. Throws AGENT, or the error the agent answered with. */
export async function launch(program: string, order: AgentOrder, uid: number): Promise<AgentAnswer & { ready: true }> {
  const words = [process.execPath, program, "agent-install"];
  const argv = uid === 0 ? words : ["sudo", "-n", "--", ...words];
  const text = await exchange(argv, JSON.stringify(order), uid);
  let answer: AgentAnswer;
  try {
    answer = JSON.parse(text) as AgentAnswer;
  } catch {
    throw new SallyportError(
      "AGENT",
      `The agent did not start. ${text.trim() === "" ? "It said nothing." : text.trim()}`,
    );
  }
  if (answer.ready) return answer;
  const code = Object.hasOwn(errorTable, answer.code) ? (answer.code as ErrorCode) : "AGENT";
  throw new SallyportError(code, answer.message);
}

function exchange(argv: readonly string[], input: string, uid: number): Promise<string> {
  return new Promise((resolve, reject) => {
    // Of the job's variables only what finds programs: root must not be steered by them.
    const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };
    const child = spawn(argv[0]!, argv.slice(1), { env, stdio: ["pipe", "pipe", "pipe"] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new SallyportError("AGENT", `The agent was not ready within ${patienceMs / 1000} s.`));
    }, patienceMs);
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(new SallyportError("AGENT", `${argv[0]} could not be run: ${error.message}.`));
    });
    child.on("close", (status) => {
      clearTimeout(timer);
      const said = Buffer.concat(out).toString("utf8");
      const complaint = Buffer.concat(err).toString("utf8").trim();
      if (status !== 0 && said === "") {
        const help =
          uid === 0 ? "" : " The action needs root at its start: passwordless sudo, or a runner that runs as root.";
        reject(
          new SallyportError(
            "AGENT",
            `The agent could not be started (exit code ${status}): ${complaint || "no message"}.${help}`,
          ),
        );
      } else resolve(said);
    });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}
