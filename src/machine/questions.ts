/**
 * What the agent was asked by the phases of its action, for whoever judges how they end (`post-guard.ts`). News of processes are taken in
 * now and then only, so a question is counted after those that came before it: otherwise a phase that asks at once seems to have
 * begun after its own question, and to have asked nothing.
 */
import type { Asked } from "./post-guard.ts";

export class Questions {
  #asked: Asked = { status: 0, reports: 0, reasons: [] };
  readonly #processes: { drain(): void };

  /** `processes`: the table that tells of phases. */
  constructor(processes: { drain(): void }) {
    this.#processes = processes;
  }

  get asked(): Asked {
    return this.#asked;
  }

  /** Somebody asks how it stands: to be called before the answer. */
  status(): void {
    this.#processes.drain();
    this.#asked = { ...this.#asked, status: this.#asked.status + 1 };
  }

  /** The report that somebody asked for is made, and the job must be red for these reasons. All was looked at when he asked. */
  report(reasons: readonly string[]): void {
    this.#asked = { ...this.#asked, reports: this.#asked.reports + 1, reasons };
  }
}
