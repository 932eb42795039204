/**
 * A place for one run on this host: a number that its interfaces, namespaces and addresses derive from. Slots live under
 * /run/sallyport, per network namespace of the host part, and name the process that owns them and its temporary folder, so
 * that what a killed run left behind is found and taken away by the next one.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockState, type StateLock } from "../audit/lock.ts";
import { SallyportError } from "../errors.ts";
import { networkCookie } from "../kernel/libc.ts";

/** Where runs keep what they need while they last, a folder for each network namespace they stand in. */
export const runRoot = "/run/sallyport/run";
const slots = 256;
const lockWaitMs = 10_000;

/** All runs that stand in one network namespace. */
export interface Registry {
  folder: string;
  /** The namespace's number. */
  host: number;
}

/** A slot found in a registry. */
export interface Claimed {
  slot: number;
  /** The process that claimed it still runs. */
  alive: boolean;
}

/** Runs `fn` while no other run on this host claims, releases or changes host settings. Throws STATE_IN_USE after 10 s. */
export async function exclusively<T>(fn: (registry: Registry) => T | Promise<T>): Promise<T> {
  const { ino: host } = statSync("/proc/thread-self/ns/net");
  const folder = join(runRoot, String(host));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let lock: StateLock | null = null;
  for (const start = Date.now(); lock === null;) {
    try {
      lock = lockState(folder);
    } catch (error) {
      const isBusy = error instanceof SallyportError && error.code === "STATE_IN_USE";
      if (!isBusy || Date.now() - start > lockWaitMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  try {
    forgetFormer(folder);
    return await fn({ folder, host });
  } finally {
    lock.release();
  }
}

/**
 * What another boot or another namespace of the same number left behind is gone with it: to put its settings back here
 * would be wrong.
 */
function forgetFormer(folder: string): void {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const identity = `${boot} ${networkCookie() ?? ""}`;
  const file = join(folder, "host");
  if (existsSync(file) && readFileSync(file, "utf8") === identity) return;
  for (const { slot } of listSlots(folder)) releaseSlot({ folder }, slot);
  rmSync(join(folder, settingsFile), { force: true });
  writeFileSync(file, identity, { mode: 0o600 });
}

/** In a registry's folder: the host's former settings, kept by `host.ts`. */
export const settingsFile = "settings.json";

/**
 * Takes the lowest free slot that `usable` accepts, and makes its folder for what the run keeps while it lasts. Call
 * inside {@link exclusively}. Throws STATE_IN_USE when all are taken.
 */
export function claimSlot({ folder }: Registry, usable: (slot: number) => boolean): number {
  const taken = new Set(listSlots(folder).map((each) => each.slot));
  for (let slot = 0; slot < slots; slot++) {
    if (taken.has(slot) || !usable(slot)) continue;
    writeFileSync(slotFile(folder, slot), JSON.stringify({ pid: process.pid, started: startOf(process.pid) }), {
      mode: 0o600,
    });
    rmSync(slotFolder(folder, slot), { recursive: true, force: true });
    mkdirSync(slotFolder(folder, slot), { mode: 0o700 });
    return slot;
  }
  const text = `All ${slots} places for runs on this host are taken or their addresses in use.`;
  throw new SallyportError("STATE_IN_USE", text);
}

/** Where a run keeps what nobody asked to keep. Root's alone, and away from folders that others can write to. */
export function slotFolder(folder: string, slot: number): string {
  return join(folder, `slot-${slot}`);
}

export function releaseSlot({ folder }: Pick<Registry, "folder">, slot: number): void {
  rmSync(slotFolder(folder, slot), { recursive: true, force: true });
  rmSync(slotFile(folder, slot), { force: true });
}

/** Every claimed slot. */
export function listSlots(folder: string): Claimed[] {
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

/**
 * When a process started, in clock ticks since boot (proc(5), field 22): with the pid it names a process for good. Null
 * where there is none, or one that is dead and only not yet waited for.
 */
export function startOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
