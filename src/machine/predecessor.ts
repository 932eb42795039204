/**
 * One agent stands around a machine at a time. A runner that takes another job has the agent of the job before: it is retired when
 * that job's worker is gone, and not before, so that no step can end the agent of its own job. Between the two the rules stay
 * with nobody behind them, and no new connection gets through.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { SallyportError } from "../errors.ts";
import { removeCgroup } from "../kernel/own-cgroup.ts";
import { statOf } from "../process/read.ts";

/** A process that cannot be taken for a later one with its number. */
interface Known {
  pid: number;
  /** Clock ticks since boot. */
  start: number;
}

interface Holder {
  agent: Known;
  worker: Known | null;
  state: string;
}

/** How long an agent may take to close its record, ms. */
const patienceMs = 5_000;

/**
 * Retires the agent of the job before; where its state is, or null where there is none. Throws STATE_IN_USE where that job goes
 * on. Call with the folder's lock held.
 */
export async function retirePredecessor(folder: string): Promise<string | null> {
  const holder = readHolder(folder);
  if (holder === null) return null;
  const { agent, worker, state } = holder;
  if (isAlive(agent)) {
    if (worker === null || isAlive(worker)) {
      throw new SallyportError(
        "STATE_IN_USE",
        `Sallyport stands around this machine already, for the job of process ${worker?.pid ?? "unknown"} (${state}). One step of a job uses the action, and one job a machine at a time; that agent goes on as it was.`,
        { state },
      );
    }
    process.kill(agent.pid, "SIGTERM");
    await gone(agent);
    if (isAlive(agent)) process.kill(agent.pid, "SIGKILL");
    await gone(agent);
  }
  removeCgroup(cgroupOf(agent.pid));
  return state;
}

/** Says whose the machine is now. */
export function takeMachine(folder: string, state: string, agent: number, worker: number | null): void {
  const holder: Holder = { agent: known(agent), worker: worker === null ? null : known(worker), state };
  const file = holderFile(folder);
  writeFileSync(`${file}.new`, JSON.stringify(holder), { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

/** The control group of an agent. */
export function cgroupOf(pid: number): string {
  return `sallyport-${pid}`;
}

function holderFile(folder: string): string {
  return join(folder, "agent.json");
}

function readHolder(folder: string): Holder | null {
  const file = holderFile(folder);
  if (!existsSync(file)) return null;
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Holder;
  } catch (error) {
    throw new SallyportError("STATE_IN_USE", `${file} cannot be read: ${(error as Error).message}.`, {}, error);
  }
}

function known(pid: number): Known {
  return { pid, start: statOf(pid)?.startTicks ?? 0 };
}

function isAlive({ pid, start }: Known): boolean {
  const stat = statOf(pid);
  return stat !== null && stat.startTicks === start && stat.state !== "Z";
}

async function gone(process: Known): Promise<void> {
  for (const end = performance.now() + patienceMs; isAlive(process) && performance.now() < end;) await wait(10);
}
