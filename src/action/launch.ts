/**
 * Starts the agent from the job's own process: as root, from a copy that only root can write, and waits for its first word.
 * Whatever fails here fails the job: there is no green job that was not enforced.
 *
 * The agent is begun before it is known what it shall enforce: it loads while the policy is fetched, and touches nothing of the
 * machine before it has its order.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { SallyportError, errorTable, type ErrorCode } from "../errors.ts";
import type { AgentAnswer, AgentOrder } from "../machine/order.ts";

/** How long the agent may take from its order to its first word, ms. */
const patienceMs = 30_000;

export class Launch {
  readonly #child: ChildProcess;
  readonly #said: Promise<string>;
  #stop: (reason: SallyportError) => void = () => {};

  /** `program` is the installer's file, `state` the agent's own folder, which is not there yet; `uid` is ours. */
  constructor(program: string, state: string, uid: number) {
    const words = [process.execPath, program, state];
    const [tool, ...args] = uid === 0 ? words : ["sudo", "-n", "--", ...words];
    // Of the job's variables only what finds programs: root must not be steered by them.
    const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };
    this.#child = spawn(tool!, args, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#said = this.#listen(tool!, uid);
    // Whoever asks hears of it; until then it is nobody's rejection.
    this.#said.catch(() => {});
    this.#child.stdin!.on("error", () => {});
  }

  /** Resolves with what the agent answered. Throws AGENT, or the error the agent answered with. */
  async order(order: AgentOrder): Promise<AgentAnswer & { ready: true }> {
    const timer = setTimeout(() => {
      this.#child.kill("SIGKILL");
      this.#stop(new SallyportError("AGENT", `The agent was not ready within ${patienceMs / 1000} s.`));
    }, patienceMs);
    this.#child.stdin!.end(JSON.stringify(order));
    try {
      return answerIn(await this.#said);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Without an order nothing was touched, and nothing of it is left when this resolves. */
  async abandon(): Promise<void> {
    this.#child.stdin!.end();
    await this.#said.catch(() => {});
  }

  #listen(tool: string, uid: number): Promise<string> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      this.#stop = reject;
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      child.stdout!.on("data", (chunk: Buffer) => out.push(chunk));
      child.stderr!.on("data", (chunk: Buffer) => err.push(chunk));
      child.on("error", (error) => reject(new SallyportError("AGENT", `${tool} could not be run: ${error.message}.`)));
      child.on("close", (status) => {
        const said = Buffer.concat(out).toString("utf8");
        const complaint = Buffer.concat(err).toString("utf8").trim();
        if (status === 0 || said !== "") return resolve(said);
        const help =
          uid === 0 ? "" : " The action needs root at its start: passwordless sudo, or a runner that runs as root.";
        const message = `The agent could not be started (exit code ${status}): ${complaint || "no message"}.${help}`;
        reject(new SallyportError("AGENT", message));
      });
    });
  }
}

function answerIn(text: string): AgentAnswer & { ready: true } {
  let answer: AgentAnswer;
  try {
    answer = JSON.parse(text) as AgentAnswer;
  } catch {
    const said = text.trim() === "" ? "It said nothing." : text.trim();
    throw new SallyportError("AGENT", `The agent did not start. ${said}`);
  }
  if (answer.ready) return answer;
  const code = Object.hasOwn(errorTable, answer.code) ? (answer.code as ErrorCode) : "AGENT";
  throw new SallyportError(code, answer.message);
}
