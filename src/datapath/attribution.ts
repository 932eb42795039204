/**
 * Whose packets are whose, for one data-path thread on the job's own machine: the thread has a process table of its own, fed by
 * the kernel before each batch, so that the packet in hand waits for nobody but the kernel. What cannot be told is told as such, and
 * no rule that allows by process matches it.
 */
import { readlinkSync } from "node:fs";
import type { EventProcess } from "../audit/event.ts";
import type { FindOwner, FlowEnds } from "../flow/owner.ts";
import { Conntrack } from "../kernel/conntrack.ts";
import { type DatagramFlow, DatagramLock } from "../kernel/datagram-lock.ts";
import { KernelError } from "../kernel/libc.ts";
import type { CallsAt } from "../kernel/socket-witness.ts";
import type { Engine } from "../policy/decision.ts";
import { describeOwner, factsOf } from "../process/facts.ts";
import type { NotesAt } from "../process/notes.ts";
import { type LookupOptions, type Owner, OwnerLookup } from "../process/owner.ts";
import type { ProcessRecord } from "../process/record.ts";
import { ProcessTable, type TableBeginning } from "../process/table.ts";

export interface AttributionOptions {
  /** The runner's worker; null: there is none, and no process has a step. */
  worker: number | null;
  /** Values never to be shown in arguments. */
  secrets: readonly string[];
  /** Another thread's (`ProcessTable.notes`); null or left out: without. */
  notes?: NotesAt | null;
  /** What another thread's lookup notes of calls ({@link Attribution.calls}), which outlives this one; null or left out: its own. */
  calls?: CallsAt | null;
  /** Programs to tell of when somebody runs them: names, of the file or as it was called. */
  notice?: readonly string[];
}

/** A program that was noticed. */
export interface Noticed {
  process: EventProcess;
  /** Its network namespace, as /proc names it; null where it was gone already. */
  network: string | null;
  /** Milliseconds since the epoch. */
  at: number;
}

interface Ran {
  record: ProcessRecord;
  network: string | null;
  at: number;
}

/** Notices kept until they are told; a job that runs one program a thousand times a second needs no more of them. */
const mostNotices = 256;

export class Attribution {
  readonly #table: ProcessTable;
  readonly #lookup: OwnerLookup;
  #ran: Ran[] = [];
  /** Null: flows are not held to their sockets. */
  #lock: DatagramLock | null = null;
  #conntrack: Conntrack | null = null;

  /**
   * In the thread and network namespace whose packets are asked for. `lookup`: how long one may take. Closes the table with
   * itself.
   */
  constructor(table: ProcessTable, lookup: LookupOptions = {}) {
    this.#table = table;
    this.#lookup = new OwnerLookup(this.#table, lookup);
  }

  /** With a table of its own; `beginning` is what another thread's has read. */
  static open(options: AttributionOptions & { beginning?: TableBeginning }): Attribution {
    const { worker, secrets, notes = null, calls = null, notice = [], beginning } = options;
    const names = new Set(notice);
    const ran: Ran[] = [];
    const onExec = (record: ProcessRecord) => {
      // At once: many do not live long.
      if (ran.length < mostNotices && programNames(record).some((name) => names.has(name)))
        ran.push({ record: { ...record }, network: networkOf(record.pid), at: Date.now() });
    };
    const begun = beginning === undefined ? {} : { beginning };
    const listens = names.size === 0 ? {} : { onExec };
    const table = new ProcessTable({ ...(worker === null ? {} : { worker }), secrets, notes, ...listens, ...begun });
    const attribution = new Attribution(table, { witness: calls ?? true });
    attribution.#ran = ran;
    attribution.#lock = lockOrNull();
    return attribution;
  }

  /**
   * Where somebody may be refused for who he is, a datagram of another socket than its flow was judged for is dropped; elsewhere such
   * a flow is only judged anew, and nobody loses anything.
   */
  setPolicy({ asksProcess, enforces }: Engine): void {
    this.#lock?.setStrict(asksProcess && enforces);
  }

  /**
   * UDP flows that another socket has sent on since the last time: what they were judged for holds no longer, and the kernel has
   * forgotten it.
   */
  changed(): DatagramFlow[] {
    const flows = this.#lock?.changed() ?? [];
    for (const original of flows) (this.#conntrack ??= new Conntrack()).remove({ original });
    return flows;
  }

  /** What was noticed since the last time. */
  noticed(): Noticed[] {
    if (this.#ran.length === 0) return [];
    return this.#ran.splice(0).map(({ record, network, at }) => ({
      process: describeOwner({ record, uid: record.uid, certain: true, by: "call" }, this.#table)!,
      network,
      at,
    }));
  }

  /** What is noted of calls, for other threads; null where nothing is. */
  get calls(): CallsAt | null {
    return this.#lookup.calls;
  }

  /** For the thread's Waiter. */
  get fd(): number {
    return this.#table.fd;
  }

  /** Now and then: namespaces that nobody is in any more are let go. */
  tick(): void {
    this.#lookup.tick();
  }

  /** No packet waits now. */
  caughtUp(): void {
    this.#lookup.caughtUp();
  }

  /** Takes in what the kernel told of processes. */
  drain(): void {
    this.#table.drain();
  }

  readonly find: FindOwner = (flow) => {
    try {
      const owner = this.#lookup.find(flow);
      this.#hold(flow, owner);
      if (owner === null) return null;
      return { process: factsOf(owner, this.#table), detail: describeOwner(owner, this.#table) };
    } catch (error) {
      // A namespace that went away meanwhile: nobody is known, the packet is judged all the same.
      if (error instanceof KernelError) return null;
      throw error;
    }
  };

  /** The packet in hand waits: it is the next one to leave. A socket that is gone was told by where it went, not which it was. */
  #hold(flow: FlowEnds, owner: Owner | null): void {
    if (this.#lock === null || flow.transport !== "udp") return;
    if (owner?.socket === undefined) this.#lock.release(flow);
    else this.#lock.hold(flow, owner.by === "destination" ? null : owner.socket);
  }

  close(): void {
    this.#lock?.close();
    this.#conntrack?.close();
    this.#lookup.close();
    this.#table.close();
  }
}

function lockOrNull(): DatagramLock | null {
  try {
    return DatagramLock.attach();
  } catch (error) {
    if (error instanceof KernelError) return null;
    throw error;
  }
}

/** What its file is called, and what it was called by. */
function programNames({ exe, args }: ProcessRecord): string[] {
  return [exe, args[0]].filter((path) => typeof path === "string").map((path) => path.slice(path.lastIndexOf("/") + 1));
}

function networkOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return null;
  }
}
