/**
 * From the DNS firewall's thread to those of the data path, past the main thread: an answer waits until each of them knows its
 * addresses (docs/adr/0002-address-book.md), and must not wait for whatever else the main thread is at.
 */
import type { ToBook } from "../datapath/messages.ts";
import type { QueueLink } from "../datapath/pool.ts";
import type { Binding } from "../flow/book.ts";
import { wake } from "../kernel/wait.ts";

interface Linked extends QueueLink {
  /** What is not confirmed yet, by sequence number. */
  waiting: Map<number, () => void>;
}

export class QueueLinks {
  readonly #links = new Set<Linked>();
  /** Bindings on their way to the threads. */
  readonly #underWay = new Set<readonly Binding[]>();
  #sequence = 0;

  /** A thread is there, with `held`, and what is under way, to know before anything else. When it is gone nobody waits for it. */
  add({ port, wake: descriptor }: QueueLink, held: readonly Binding[]): void {
    const link: Linked = { port, wake: descriptor, waiting: new Map() };
    port.on("message", (sequence: number) => {
      link.waiting.get(sequence)?.();
      link.waiting.delete(sequence);
    });
    port.on("close", () => {
      this.#links.delete(link);
      for (const resolve of link.waiting.values()) resolve();
      link.waiting.clear();
    });
    this.#links.add(link);
    void this.#tell(link, [...held, ...[...this.#underWay].flat()]);
  }

  /** Resolves when every thread has the bindings: only then may the answer that made them leave. */
  async bind(bindings: Binding[]): Promise<void> {
    this.#underWay.add(bindings);
    try {
      await Promise.all([...this.#links].map((link) => this.#tell(link, bindings)));
    } finally {
      this.#underWay.delete(bindings);
    }
  }

  close(): void {
    for (const { port } of this.#links) port.close();
  }

  #tell(link: Linked, bindings: readonly Binding[]): Promise<void> {
    const sequence = ++this.#sequence;
    const confirmed = new Promise<void>((resolve) => link.waiting.set(sequence, resolve));
    link.port.postMessage({ sequence, bindings: [...bindings] } satisfies ToBook);
    wake(link.wake);
    return confirmed;
  }
}
