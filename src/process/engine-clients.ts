/**
 * Who is connected to a container engine of this machine just now: the other ends of what the engines accepted, and whose
 * descriptors those are. Called by the table as a runtime starts, while packets may wait.
 *
 * A job can call anything a runtime and have as many processes, descriptors and sockets as it likes: one look takes a bounded number of
 * steps, and all of them a fifth of the time. A client that was not found is somebody's that belongs to no step.
 */
import { type Dir, opendirSync, readlinkSync } from "node:fs";
import { KernelError } from "../kernel/libc.ts";
import { isUnsupported, UnixDiag } from "../kernel/unix-diag.ts";
import { isEngine, isEngineSocket } from "./engines.ts";
import type { ProcessRecord, StepTag } from "./record.ts";

/**
 * Sockets and descriptors read in one look: about 20 ms. Not a time, so that a busy machine finds the same as an idle one. It is
 * one or two milliseconds where an engine is asked by a step.
 */
const MOST_STEPS = 3_072;
const MOST_DESCRIPTORS = 1_024;
/** Opening a folder of /proc takes as long as so many descriptors in it. */
const FOLDER_STEPS = 8;
/** Time that may be spent, in ms: of each ms that passes, and saved up at most. */
const SHARE = 0.2;
const MOST_CREDIT = 100;

export class EngineClients {
  readonly #processes: () => readonly ProcessRecord[];
  readonly #now: () => number;
  /** Undefined: not opened yet; null: this kernel cannot be asked. */
  #diag: UnixDiag | null | undefined;
  #credit = MOST_CREDIT;
  #at: number;

  /** `processes`: the living ones. `now` in milliseconds, steady and finer than one. */
  constructor(processes: () => readonly ProcessRecord[], now: () => number = () => performance.now()) {
    this.#processes = processes;
    this.#now = now;
    this.#at = now();
  }

  /**
   * The steps of clients; null among them: a client that belongs to none, or whose process was not found, or it could not be looked this time.
   * Null: the kernel cannot be asked. Clients that are engines themselves do not count.
   */
  steps(): (StepTag | null)[] | null {
    const now = this.#now();
    this.#credit = Math.min(MOST_CREDIT, this.#credit + (now - this.#at) * SHARE);
    this.#at = now;
    if (this.#credit <= 0) return [null];
    const steps = this.#look();
    this.#credit -= this.#now() - now;
    return steps;
  }

  close(): void {
    this.#diag?.close();
  }

  #look(): (StepTag | null)[] | null {
    const effort = new Effort();
    const clients = this.#clients(effort);
    if (clients === null) return this.#diag === null ? null : [null];
    const found = new Set<StepTag | null>();
    const processes = this.#processes();
    // They are connected to each other all the time, and have few descriptors; the steps' would all be gone through for those.
    for (const each of processes) if (isEnginesOwn(each)) takeHeld(each.pid, clients, effort);
    for (const { pid, step, asked } of processes) {
      if (step === null && asked === null) continue;
      if (takeHeld(pid, clients, effort)) addAll(found, asked?.by ?? [step]);
    }
    // A client asks several questions, each on a connection that is closed soon.
    this.#keepConnected(clients, effort);
    // Whose they are is not asked: they are no step's.
    if (clients.size > 0) found.add(null);
    return [...found];
  }

  /** Takes out those that are not connected any more. */
  #keepConnected(clients: Set<number>, effort: Effort): void {
    if (clients.size === 0) return;
    const connected = this.#clients(effort);
    for (const each of clients) if (connected?.has(each) === false) clients.delete(each);
  }

  /** Inodes of the clients' ends; null where they cannot be had, or are too many to be read. */
  #clients(effort: Effort): Set<number> | null {
    if (this.#diag === null) return null;
    try {
      this.#diag ??= new UnixDiag();
      const accepted = this.#diag.accepted(() => !effort.spend());
      if (accepted === null) return null;
      const engines = accepted.filter(({ path, peer }) => peer !== 0 && isEngineSocket(path));
      return new Set(engines.map(({ peer }) => peer));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      // No descriptors or memory left: another time. What is left of an answer goes with the socket.
      this.#diag?.close();
      this.#diag = isUnsupported(error) ? null : undefined;
      return null;
    }
  }
}

/** What one look may still cost. */
class Effort {
  #left = MOST_STEPS;

  /** False where that was too much. */
  spend(steps = 1): boolean {
    this.#left -= steps;
    return this.#left >= 0;
  }
}

function isEnginesOwn({ step, asked, exe, container }: ProcessRecord): boolean {
  return step === null && asked === null && container === null && isEngine(exe);
}

/** A container whose asker is not known is no step's. */
function addAll(found: Set<StepTag | null>, steps: readonly (StepTag | null)[]): void {
  if (steps.length === 0) found.add(null);
  for (const each of steps) found.add(each);
}

/** Whether the process holds any of the sockets, which are taken out. */
function takeHeld(pid: number, sockets: Set<number>, effort: Effort): boolean {
  if (sockets.size === 0 || !effort.spend(FOLDER_STEPS)) return false;
  const folder = `/proc/${pid}/fd`;
  let holds = false;
  let names: Dir;
  try {
    names = opendirSync(folder, { bufferSize: 256 });
  } catch {
    return false;
  }
  try {
    for (let i = 0; i < MOST_DESCRIPTORS && sockets.size > 0 && effort.spend(); i++) {
      const name = names.readSync()?.name;
      if (name === undefined) break;
      if (takes(`${folder}/${name}`, sockets)) holds = true;
    }
  } catch {
    // Ended meanwhile.
  } finally {
    names.closeSync();
  }
  return holds;
}

function takes(path: string, sockets: Set<number>): boolean {
  try {
    const socket = /^socket:\[(\d+)\]$/.exec(readlinkSync(path));
    return socket !== null && sockets.delete(Number(socket[1]));
  } catch {
    // Closed meanwhile.
    return false;
  }
}
