/**
 * Root's first act: a copy of the program that only root can write, the order beside it, and the agent started from there, in a
 * session of its own and without any variable of the job's. Prints the agent's first word and ends.
 *
 * The copy matters: the action's folder belongs to the runner's user, and a data-path thread that is started again reads its
 * program again (threat R8).
 */
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { lockState } from "../audit/lock.ts";
import { SallyportError } from "../errors.ts";
import { removeCgroup } from "../kernel/own-cgroup.ts";
import { type AgentAnswer, type AgentOrder, readOrder } from "./order.ts";
import { type Places, placesIn } from "./places.ts";
import { cgroupOf, retirePredecessor, takeMachine } from "./predecessor.ts";

/** Called as root, with the order on standard input. */
export async function install(): Promise<void> {
  let answer: string;
  try {
    if (process.getuid?.() !== 0) throw new SallyportError("NOT_ROOT", "The agent must be started by root.");
    const text = readFileSync(0, "utf8");
    answer = await startAgent(readOrder(text), text);
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : "INTERNAL";
    answer = JSON.stringify({ ready: false, code, message: (error as Error).message } satisfies AgentAnswer);
  }
  process.stdout.write(`${answer}\n`);
}

async function startAgent({ state, worker }: AgentOrder, text: string): Promise<string> {
  const folder = dirname(state);
  makeFolder(folder, 0o755);
  const lock = lockState(folder);
  try {
    const before = await retirePredecessor(folder);
    const answer = await runAgent(state, text);
    if (answer.ready) {
      if (before !== null) answer.measures.unshift(`took over from the agent of the job before (${before})`);
      takeMachine(folder, state, answer.pid, worker);
    }
    return JSON.stringify(answer);
  } finally {
    lock.release();
  }
}

/** The agent's first word. Where it is a complaint, or none, nothing of it is left. */
async function runAgent(state: string, text: string): Promise<AgentAnswer> {
  const places = placesIn(state);
  try {
    mkdirSync(state, { mode: 0o755 });
  } catch (error) {
    throw new SallyportError("STATE_IN_USE", `${state}: ${(error as Error).message}.`, {}, error);
  }
  let isReady = false;
  try {
    const answer = await runFrom(places, text);
    isReady = answer.ready;
    return answer;
  } finally {
    if (!isReady) rmSync(state, { recursive: true, force: true });
  }
}

async function runFrom(places: Places, text: string): Promise<AgentAnswer> {
  for (const [folder, mode] of [
    [places.program, 0o755],
    [places.record, 0o700],
    [places.results, 0o755],
  ] as const) {
    makeFolder(folder, mode);
  }
  const bundle = fileURLToPath(new URL(".", import.meta.url));
  for (const name of readdirSync(bundle)) copy(join(bundle, name), join(places.program, name));
  writeFileSync(places.order, text, { mode: 0o600, flag: "wx" });
  const log = openSync(
    places.log,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND,
    0o600,
  );
  const agent = spawn(process.execPath, [join(places.program, "sallyport.mjs"), "agent", places.order], {
    cwd: "/",
    detached: true,
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" },
    stdio: ["ignore", log, log, "pipe"],
  });
  closeSync(log);
  const ended = new Promise((resolve) => agent.once("exit", resolve));
  const word = await firstLine(agent.stdio[3] as NodeJS.ReadableStream, agent);
  const answer = word === null ? null : (JSON.parse(word) as AgentAnswer);
  if (answer?.ready !== true) {
    agent.kill("SIGKILL");
    await ended;
    if (agent.pid !== undefined) removeCgroup(cgroupOf(agent.pid));
  }
  agent.unref();
  if (answer !== null) return answer;
  const said = readFileSync(places.log, "utf8").trim().slice(-4_000);
  throw new SallyportError("AGENT", `The agent ended before it enforced. ${said === "" ? "It said nothing." : said}`);
}

/** Null where the agent ends without a word. */
function firstLine(stream: NodeJS.ReadableStream, agent: ReturnType<typeof spawn>): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let text = "";
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      const end = text.indexOf("\n");
      if (end < 0) return;
      (stream as import("node:stream").Readable).destroy();
      resolve(text.slice(0, end));
    });
    stream.on("end", () => resolve(text.trim() === "" ? null : text.trim()));
    stream.on("error", () => resolve(null));
    agent.on("error", (error) => reject(new SallyportError("AGENT", `The agent could not be run: ${error.message}.`)));
  });
}

/** Root's own folder: one that is somebody else's, or a link, is not used. */
function makeFolder(path: string, mode: number): void {
  mkdirSync(path, { recursive: true, mode });
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0) {
    throw new SallyportError("STATE_UNWRITABLE", `${path} must be a folder that only root can write.`);
  }
  chmodSync(path, mode);
}

function copy(from: string, to: string): void {
  if (!lstatSync(from).isFile()) return;
  copyFileSync(from, to, constants.COPYFILE_EXCL);
  chownSync(to, 0, 0);
  chmodSync(to, 0o644);
}
