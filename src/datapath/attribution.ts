/**
 * Whose packets are whose, for one data-path thread on the job's own machine: the thread has a process table of its own, fed by
 * the kernel before each batch, so that the packet in hand waits for nobody but the kernel. What cannot be told is told as such, and
 * no rule that allows by process matches it.
 */
import type { FindOwner } from "../flow/owner.ts";
import { KernelError } from "../kernel/libc.ts";
import { describeOwner, factsOf } from "../process/facts.ts";
import { OwnerLookup } from "../process/owner.ts";
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

  /** In the thread and network namespace whose packets are asked for. */
  constructor({ worker, secrets }: AttributionOptions) {
    this.#table = new ProcessTable({ ...(worker === null ? {} : { worker }), secrets });
    this.#lookup = new OwnerLookup(this.#table);
  }

  /** For the thread's Waiter. */
  get fd(): number {
    return this.#table.fd;
  }

  /** Now and then: namespaces that nobody is in any more are let go. */
  tick(): void {
    this.#lookup.tick();
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
