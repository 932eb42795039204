/**
 * Retention of the record while an enforcer runs: looked at when a segment is closed and every minute, one pass at a time, beside
 * the data path. What keeps it from deleting is a problem that `status` tells.
 */
import { applyRetention, planRetention } from "../audit/retention.ts";
import type { RetentionLimits } from "../audit/retention.ts";
import type { Spool } from "../audit/spool.ts";

const everyMs = 60_000;

export class RecordRetention {
  readonly #state: string;
  readonly #limits: RetentionLimits;
  readonly #spool: Spool;
  readonly #problems: Set<string>;
  #pass: Promise<void> | null = null;
  #problem: string | null = null;
  #segment: string | null = null;
  #due = 0;

  /** `problems` is where trouble is told, and taken back when it is over. */
  constructor(state: string, limits: RetentionLimits, spool: Spool, problems: Set<string>) {
    this.#state = state;
    this.#limits = limits;
    this.#spool = spool;
    this.#problems = problems;
  }

  /** Begins a pass where one is due. `now` in milliseconds. */
  tick(now: number): void {
    if (this.#limits.keepMs === null && this.#limits.keepBytes === null) return;
    const { segment, degraded } = this.#spool.status();
    if (this.#pass !== null || degraded || (segment === this.#segment && now < this.#due)) return;
    this.#segment = segment;
    this.#due = now + everyMs;
    this.#pass = this.#run(now).finally(() => (this.#pass = null));
  }

  /** Resolves when no pass is under way. After the spool was closed, which a pass may be waiting for. */
  async stop(): Promise<void> {
    await this.#pass;
  }

  async #run(now: number): Promise<void> {
    let problem: string | null;
    try {
      const plan = await planRetention(this.#state, this.#limits, now);
      await applyRetention(this.#state, this.#spool, plan);
      problem = plan.blocked;
    } catch (error) {
      problem = (error as Error).message;
    }
    if (this.#problem !== null) this.#problems.delete(this.#problem);
    this.#problem = problem === null ? null : `old segments of the record are not deleted: ${problem}`;
    if (this.#problem !== null) this.#problems.add(this.#problem);
  }
}
