/**
 * Root's first act: a copy of the program that only root can write, the order beside it, and the agent started from there, in a
 * session of its own and without any variable of the job's. Prints the agent's first word and ends.
 *
 * The agent loads while nobody knows yet what it shall enforce. Without an order, because there was none to be had or whoever began
 * this is gone, it ends, and nothing of it is left.
 *
 * The copy matters: the action's folder belongs to the runner's user, and a data-path thread that is started again reads its
 * program again (threat R8).
 */
import { chmodSync, chownSync, constants, copyFileSync, lstatSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { lockState } from "../audit/lock.ts";
import { SallyportError } from "../errors.ts";
import { knownOffsets } from "../kernel/btf.ts";
import { allMembers } from "../kernel/type-members.ts";
import type { AgentAnswer, AgentOrder } from "./order.ts";
import { type Places, placesIn } from "./places.ts";
import { retirePredecessor, takeMachine } from "./predecessor.ts";
import { askWhetherRoot } from "./root-access.ts";
import { selfTestLine } from "./self-test.ts";
import { Starting } from "./starting.ts";
import { Stopwatch } from "./stopwatch.ts";

/** What of the bundle's folder the agent runs; the rest is for the runner's user. */
const program = [
  "agent.mjs",
  "queue-worker.mjs",
  "conntrack-worker.mjs",
  "dns-worker.mjs",
  "observer-worker.mjs",
  "recorder-thread.mjs",
  `koffi-linux-${process.arch}.node`,
];

/** Called as root, with the order on standard input; `state` is the folder that the agent gets. */
export async function install(state: string | undefined): Promise<void> {
  const watch = new Stopwatch();
  watch.lap("node and bundle");
  let answer: AgentAnswer | null;
  try {
    if (process.getuid?.() !== 0) throw new SallyportError("NOT_ROOT", "The agent must be started by root.");
    if (state === undefined || !isAbsolute(state)) throw new SallyportError("AGENT", "The agent was given no folder.");
    answer = await startAgent(state, watch);
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : "INTERNAL";
    answer = { ready: false, code, message: (error as Error).message };
  }
  if (answer !== null) process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/** Null where no order came. */
async function startAgent(state: string, watch: Stopwatch): Promise<AgentAnswer | null> {
  const folder = dirname(state);
  makeFolder(folder, 0o755);
  const places = placesIn(state);
  try {
    mkdirSync(state, { mode: 0o755 });
  } catch (error) {
    throw new SallyportError("STATE_IN_USE", `${state}: ${(error as Error).message}.`, {}, error);
  }
  let agent: Starting | null = null;
  let isReady = false;
  try {
    agent = begin(places);
    watch.lap("agent begun");
    const order = await text(process.stdin);
    watch.lap("wait for the order");
    if (order === "") return null;
    const answer = await ordered(agent, places, order, watch);
    isReady = answer.ready;
    return answer;
  } finally {
    if (!isReady) {
      await agent?.end();
      rmSync(state, { recursive: true, force: true });
    }
  }
}

/** Copies the program, and has it load. */
function begin(places: Places): Starting {
  for (const [folder, mode] of [
    [places.program, 0o755],
    [places.record, 0o700],
    [places.results, 0o755],
  ] as const) {
    makeFolder(folder, mode);
  }
  const bundle = fileURLToPath(new URL(".", import.meta.url));
  for (const name of program) copy(join(bundle, name), join(places.program, name));
  return new Starting(places);
}

async function ordered(agent: Starting, places: Places, order: string, watch: Stopwatch): Promise<AgentAnswer> {
  const { worker, root, user } = JSON.parse(order) as Partial<AgentOrder>;
  const folder = dirname(places.state);
  const lock = lockState(folder);
  try {
    const retiring = retirePredecessor(folder);
    retiring.catch(() => {});
    // While the one before ends and this one loads: these take their time.
    const asking = root === "kept" && user !== undefined && user.uid !== 0 ? askWhetherRoot(user.uid) : false;
    const types = knownOffsets(allMembers);
    watch.lap("kernel's types");
    const before = await retiring;
    watch.lap("agent before");
    writeFileSync(places.order, order, { mode: 0o600, flag: "wx" });
    const answer = await agent.order({ types, may_become_root: await asking }, () => selfTestLine(places.record));
    if (!answer.ready) return answer;
    if (before !== null) answer.measures.unshift(`took over from the agent of the job before (${before})`);
    takeMachine(folder, places.state, answer.pid, worker ?? null);
    watch.lap("agent");
    answer.parts["install"] = watch.parts;
    return answer;
  } finally {
    lock.release();
  }
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
