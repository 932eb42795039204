/**
 * Who is connected to a container engine of this machine just now: the other ends of what the engines accepted, and whose
 * descriptors those are. Takes a millisecond or two; called by the table as a runtime starts.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { isUnsupported, UnixDiag } from "../kernel/unix-diag.ts";
import { isEngine, isEngineSocket } from "./engines.ts";
import type { ProcessRecord, StepTag } from "./record.ts";

/** A packet may wait meanwhile, ms. Steps' processes come first, and the search ends when each client is found. */
const SEARCH_MS = 100;
const MOST_DESCRIPTORS = 4096;

export class EngineClients {
  readonly #processes: () => readonly ProcessRecord[];
  /** Undefined: not opened yet; null: this kernel cannot be asked. */
  #diag: UnixDiag | null | undefined;

  /** `processes`: the living ones. */
  constructor(processes: () => readonly ProcessRecord[]) {
    this.#processes = processes;
  }

  /**
   * The steps of clients; null among them: a client that belongs to none, or whose process was not found in time. Null: the kernel cannot be
   * asked. Clients that are engines themselves do not count.
   */
  steps(): (StepTag | null)[] | null {
    const clients = this.#clients();
    if (clients === null) return null;
    const found = new Set<StepTag | null>();
    const until = performance.now() + SEARCH_MS;
    const [likely = [], engines = [], others = []] = ranked(this.#processes());
    for (const { pid, step, asked } of likely) {
      if (clients.size === 0) break;
      if (takeHeld(pid, clients)) for (const each of asked?.by ?? [step]) found.add(each);
    }
    for (const { pid } of engines) if (clients.size > 0) takeHeld(pid, clients);
    // A client asks several questions, each on a connection that is closed soon.
    this.#keepConnected(clients);
    for (const { pid } of others) {
      if (clients.size === 0 || performance.now() > until) break;
      if (takeHeld(pid, clients)) found.add(null);
    }
    this.#keepConnected(clients);
    if (clients.size > 0) found.add(null);
    return [...found];
  }

  close(): void {
    this.#diag?.close();
  }

  /** Takes out those that are not connected any more. */
  #keepConnected(clients: Set<number>): void {
    if (clients.size === 0) return;
    const connected = this.#clients();
    for (const each of clients) if (connected?.has(each) === false) clients.delete(each);
  }

  /** Inodes of the clients' ends. */
  #clients(): Set<number> | null {
    if (this.#diag === null) return null;
    try {
      this.#diag ??= new UnixDiag();
      const accepted = this.#diag.accepted().filter(({ path, peer }) => peer !== 0 && isEngineSocket(path));
      return new Set(accepted.map(({ peer }) => peer));
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      this.#diag = null;
      return null;
    }
  }
}

/** The steps' own, whom they were asked by, the engines', all others. */
function ranked(records: readonly ProcessRecord[]): ProcessRecord[][] {
  const ranks: ProcessRecord[][] = [[], [], []];
  for (const record of records) ranks[rankOf(record)]!.push(record);
  return ranks;
}

function rankOf({ step, asked, exe, container }: ProcessRecord): 0 | 1 | 2 {
  if (step !== null || asked !== null) return 0;
  return container === null && isEngine(exe) ? 1 : 2;
}

/** Whether the process holds any of the sockets, which are taken out. */
function takeHeld(pid: number, sockets: Set<number>): boolean {
  let holds = false;
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return false;
  }
  for (const name of names.slice(-MOST_DESCRIPTORS)) {
    try {
      const socket = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`));
      if (socket !== null && sockets.delete(Number(socket[1]))) holds = true;
    } catch {
      // Closed meanwhile.
    }
  }
  return holds;
}
