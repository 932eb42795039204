/**
 * What an enforcer must still know after a restart, kept in its state directory: the address book and the live connections.
 * Written a while after a change, so that a busy gateway does not spend its time writing; what was not written when the
 * process was killed is refused until clients ask again.
 */
import { Ledger } from "../datapath/ledger.ts";
import type { AddressBook, Binding } from "../flow/book.ts";
import { bindingOf, bindingRows } from "./bindings.ts";
import { flowOf, flowRow } from "./flow-rows.ts";
import { Snapshot } from "./snapshot.ts";

/** Rows that one millisecond between two snapshots pays for: writing takes about a hundredth of the time then. */
const rowsPerMs = 1;
/** No revision of a ledger. */
const notWritten = -1;

export class Keeper {
  readonly #bindings: Snapshot;
  readonly #flows: Snapshot;
  #bindingsDue = 0;
  #flowsDue = 0;
  #changed = false;
  #revision = 0;
  /** What could not be written last time, and why: until it is, nobody is told that all is kept. */
  readonly #failed = new Map<Snapshot, unknown>();

  constructor(state: string) {
    this.#bindings = new Snapshot(state, "bindings.json", "sallyport.bindings/1");
    this.#flows = new Snapshot(state, "flows.json", "sallyport.flows/1");
  }

  bindings(now: number): Binding[] {
    return this.#bindings
      .read()
      .map((row) => bindingOf(row, now))
      .filter((binding) => binding !== null);
  }

  /** The connections that were live when the last process wrote them down. */
  flows(now: number): Ledger {
    const ledger = new Ledger();
    for (const row of this.#flows.read()) {
      const flow = flowOf(row);
      if (flow !== null) ledger.begin(flow, now);
    }
    return ledger;
  }

  /** The address book is not what it was. */
  bindingsChanged(): void {
    this.#changed = true;
  }

  /**
   * Writes what has changed and is due; with `all`, whatever it may cost. Rejects where a file cannot be written, and from then on until
   * it could: what was not written is still to be.
   */
  async keep(book: AddressBook, ledger: Ledger, now: number, all = false): Promise<void> {
    const writes: Promise<void>[] = [];
    if (all || (this.#changed && now >= this.#bindingsDue)) {
      this.#changed = false;
      this.#bindingsDue = now + book.size / rowsPerMs;
      writes.push(this.#write(this.#bindings, bindingRows(book, now), () => (this.#changed = true)));
    }
    if (all || (this.#revision !== ledger.revision && now >= this.#flowsDue)) {
      this.#revision = ledger.revision;
      this.#flowsDue = now + ledger.size / rowsPerMs;
      writes.push(this.#write(this.#flows, rowsOf(ledger), () => (this.#revision = notWritten)));
    }
    await Promise.all(writes);
    for (const error of this.#failed.values()) throw error;
  }

  async #write(snapshot: Snapshot, rows: Iterable<unknown[]>, again: () => void): Promise<void> {
    try {
      await snapshot.write(rows);
      this.#failed.delete(snapshot);
    } catch (error) {
      again();
      this.#failed.set(snapshot, error);
    }
  }
}

/** What comes while they are written stands behind what was there, and is for the next time. */
function* rowsOf(ledger: Ledger): Generator<unknown[]> {
  let left = ledger.size;
  for (const flow of ledger.copies()) {
    if (left-- === 0) return;
    yield flowRow(flow);
  }
}
