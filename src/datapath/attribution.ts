/**
 * Whose packets are whose, for one data-path thread on the job's own machine: the thread has a process table of its own, fed by
 * the kernel before each batch, so that the packet in hand waits for nobody but the kernel. What cannot be told is told as such, and
 * no rule that allows by process matches it.
 */
import type { FindOwner } from "../flow/owner.ts";
import { KernelError } from "../kernel/libc.ts";
import { describeOwner, factsOf } from "../process/facts.ts";
import { type LookupOptions, OwnerLookup } from "../process/owner.ts";
import { ProcessTable } from "../process/table.ts";

export interface AttributionOptions {
  /** The runner's worker; null: there is none, and no process has a step. */
  worker: number | null;
  /** Values never to be shown in arguments. */
  secrets: readonly string[];
}

export class Attribution {
  readonly #table: ProcessTable;
  readonly #lookup: OwnerLookup;

  /**
   * In the thread and network namespace whose packets are asked for. `lookup`: how long one may take. Closes the table with
   * itself.
   */
  constructor(table: ProcessTable, lookup: LookupOptions = {}) {
    this.#table = table;
    this.#lookup = new OwnerLookup(this.#table, lookup);
  }

  /** With a table of its own. */
  static open({ worker, secrets }: AttributionOptions): Attribution {
    return new Attribution(new ProcessTable({ ...(worker === null ? {} : { worker }), secrets }));
  }

  /** For the thread's Waiter. */
  get fd(): number {
    return this.#table.fd;
  }

  /** Takes in what the kernel told of processes. */
  drain(): void {
    this.#table.drain();
  }

  readonly find: FindOwner = (flow) => {
    try {
      const owner = this.#lookup.find(flow);
      if (owner === null) return null;
      return { process: factsOf(owner, this.#table), detail: describeOwner(owner, this.#table) };
    } catch (error) {
      // A namespace that went away meanwhile: nobody is known, the packet is judged all the same.
      if (error instanceof KernelError) return null;
      throw error;
    }
  };

  close(): void {
    this.#lookup.close();
    this.#table.close();
  }
}
