/**
 * A place for one run on this host: a number that its interfaces, namespaces and addresses derive from. Slots live under
 * /run/sallyport, per network namespace of the host part, and name the process that owns them, so that what a killed run
 * left behind is found and taken away by the next one.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockState, type StateLock } from "../audit/lock.ts";
import { SallyportError } from "../errors.ts";

const root = "/run/sallyport/run";
const slots = 256;
const lockWaitMs = 10_000;

/** The folder shared by all runs that stand in this network namespace. */
export function registry(): string {
  const { ino } = statSync("/proc/thread-self/ns/net");
  const folder = join(root, String(ino));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Runs `fn` while no other run on this host claims, releases or changes host settings. Throws STATE_IN_USE after 10 s. */
export async function exclusively<T>(fn: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = registry();
  let lock: StateLock | null = null;
  for (const start = Date.now(); lock === null; ) {
    try {
      lock = lockState(folder);
    } catch (error) {
      const isBusy = error instanceof SallyportError && error.code === "STATE_IN_USE";
      if (!isBusy || Date.now() - start > lockWaitMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  try {
    return await fn(folder);
  } finally {
    lock.release();
  }
}

/** Takes the lowest free slot that `usable` accepts. Call inside {@link exclusively}. */
export function claimSlot(folder: string, usable: (slot: number) => boolean): number {
  const taken = new Set(listSlots(folder).map((each) => each.slot));
  for (let slot = 0; slot < slots; slot++) {
    if (taken.has(slot) || !usable(slot)) continue;
    writeFileSync(slotFile(folder, slot), JSON.stringify({ pid: process.pid, started: startOf(process.pid) }));
    return slot;
  }
  throw new SallyportError("STATE_IN_USE", `All ${slots} places for runs on this host are taken or their addresses in use.`);
}

export function releaseSlot(folder: string, slot: number): void {
  rmSync(slotFile(folder, slot), { force: true });
}

/** Every claimed slot, and whether the process that claimed it still lives. */
export function listSlots(folder: string): { slot: number; alive: boolean }[] {
  return readdirSync(folder).flatMap((name) => {
    const number = /^slot-(\d+)\.json$/.exec(name)?.[1];
    if (number === undefined) return [];
    const slot = Number(number);
    return [{ slot, alive: isAlive(slotFile(folder, slot)) }];
  });
}

function slotFile(folder: string, slot: number): string {
  return join(folder, `slot-${slot}.json`);
}

function isAlive(file: string): boolean {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, "utf8")) as { pid: number; started: string };
    return startOf(pid) === started;
  } catch {
    return false;
  }
}

/** When a process started, in clock ticks since boot (proc(5), field 22): with the pid it names a process for good. */
function startOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
