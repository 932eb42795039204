/**
 * Retention of the record while an enforcer runs: looked at when a segment is closed and every minute, one pass at a time, beside
 * the data path. What keeps it from deleting is a problem that `status` tells: also a sink that is behind, for which old segments
 * are kept, and that a sink's patience was over.
 */
import { applyRetention, planRetention, unreadOf } from "../audit/retention.ts";
import type { RecordWriter, RetentionLimits, RetentionPlan } from "../audit/retention.ts";
import { readersOf } from "../export/cursor.ts";

const everyMs = 60_000;
/** While something waits for a sink: most are behind by a second, and `status` must not be red for a minute over that. */
const waitingMs = 10_000;

export class RecordRetention {
  readonly #state: string;
  readonly #limits: RetentionLimits;
  readonly #spool: RecordWriter;
  readonly #problems: Set<string>;
  readonly #sinks: () => readonly string[];
  #pass: Promise<void> | null = null;
  #told: string[] = [];
  /** The last time that records went which a sink had not taken, in words; for as long as this enforcer runs. */
  #loss: string | null = null;
  #segment: string | null = null;
  #due = 0;

  /** `problems` is where trouble is told, and taken back when it is over; `sinks` are those that the record is sent to now. */
  constructor(
    state: string,
    limits: RetentionLimits,
    spool: RecordWriter,
    problems: Set<string>,
    sinks: () => readonly string[],
  ) {
    this.#state = state;
    this.#limits = limits;
    this.#spool = spool;
    this.#problems = problems;
    this.#sinks = sinks;
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
    let found: string[];
    try {
      const readers = await readersOf(this.#state, this.#sinks());
      const plan = await planRetention(this.#state, this.#limits, now, readers);
      if (await applyRetention(this.#state, this.#spool, plan)) this.#loss = lossOf(plan) ?? this.#loss;
      found = problemsOf(plan);
      if (plan.waiting.length > 0) this.#due = now + waitingMs;
    } catch (error) {
      found = [`old segments of the record are not deleted: ${(error as Error).message}`];
    }
    for (const problem of this.#told) this.#problems.delete(problem);
    this.#told = this.#loss === null ? found : [...found, this.#loss];
    for (const problem of this.#told) this.#problems.add(problem);
  }
}

function problemsOf({ blocked, waiting }: RetentionPlan): string[] {
  if (blocked !== null) return [`old segments of the record are not deleted: ${blocked}`];
  if (waiting.length === 0) return [];
  return [`old segments of the record are kept for what is not sent yet: ${waiting.join(", ")}`];
}

function lossOf(plan: RetentionPlan): string | null {
  const unread = unreadOf(plan);
  if (unread.length === 0) return null;
  const last = plan.doomed.at(-1)!.end.seq;
  return `records up to ${last} were deleted before all of them were sent: ${unread.join(", ")}`;
}
