/**
 * Which run an event belongs to. A report of `sallyport run` is one run. Else best is what the event itself says
 * (`source.identity`: run and job). Where it says nothing:
 *
 * - in a record that `sallyport run --state` wrote, each start of Sallyport is one run;
 * - in a gateway's record, a run is what one source address does until it is silent for longer than a gap. Two jobs that follow
 *   each other at once on one machine are then one run, and a job that waits longer than the gap is two.
 */
import type { Event } from "../audit/event.ts";
import { parseTime } from "../audit/clock.ts";

/** Where events come from. */
export interface Input {
  /** Told apart by this; not shown. */
  id: string;
  kind: "report" | "runs" | "gateway";
  /** What ran, for a report; null: not known. */
  job: string | null;
}

/** One run's mark. */
export interface RunMark {
  key: string;
  /** The workflow run it is a part of, as the event says; null: it does not. */
  batch: string | null;
  /** The job's name, where there is one. */
  job: string | null;
  /** Who is said to have run it, where the job is not known: the source's address. */
  who: string;
}

/** Who is asking, in events that carry it. */
interface Identity {
  repository?: unknown;
  workflow?: unknown;
  job?: unknown;
  run_id?: unknown;
  run_attempt?: unknown;
}

/** Told apart by silence: at most this many sources are remembered at a time, the longest silent forgotten first. */
const mostSources = 100_000;

export class RunTeller {
  readonly #gap: number;
  /** Per input: how often Sallyport started. */
  readonly #sessions = new Map<string, number>();
  readonly #silent = new Map<string, { last: number; number: number }>();

  /** `gapMs`: the silence that parts two runs of one address. */
  constructor(gapMs: number) {
    this.#gap = gapMs * 1000;
  }

  /** The event's run; null for what belongs to none (Sallyport's own events). Call it with every event, in the record's order. */
  of(event: Event, input: Input): RunMark | null {
    if (event.kind === "lifecycle" && event.message === "started") {
      this.#sessions.set(input.id, (this.#sessions.get(input.id) ?? 0) + 1);
    }
    const ip = event.source?.ip;
    if (typeof ip !== "string") return null;
    const { job, run, batch } = identityOf(event);
    const who = job ?? input.job ?? ip;
    const named = job ?? input.job;
    const rest = { job: named, batch, who };
    // One run whatever its events say: it is a file that anybody may have written, and must not stand for hundreds.
    if (input.kind === "report") return { key: `report ${input.id}`, ...rest };
    // Before the silence is looked at: an identified job's traffic is no sign of life of another's.
    if (run !== null) return { key: `run ${run}`, ...rest };
    const session = this.#sessions.get(input.id) ?? 0;
    if (input.kind === "runs") return { key: `start ${input.id} ${session}`, ...rest };
    return { key: `gap ${input.id} ${ip} ${this.#stretch(`${input.id} ${ip}`, event.time)}`, ...rest };
  }

  /** The number of the stretch of activity, in microseconds of time. */
  #stretch(source: string, time: string): number {
    const now = parseTime(time) ?? 0;
    const known = this.#silent.get(source);
    const number = known === undefined ? 0 : now - known.last > this.#gap ? known.number + 1 : known.number;
    this.#silent.delete(source);
    this.#silent.set(source, { last: Math.max(now, known?.last ?? 0), number });
    if (this.#silent.size > mostSources) this.#silent.delete(this.#silent.keys().next().value!);
    return number;
  }
}

/** `repository · workflow · job`, and the run's own mark with its attempt; null where the event does not say. */
function identityOf(event: Event): { job: string | null; run: string | null; batch: string | null } {
  const { identity } = (event.source ?? {}) as { identity?: Identity };
  const nothing = { job: null, run: null, batch: null };
  if (identity === undefined || identity === null || typeof identity !== "object") return nothing;
  const text = (value: unknown) => (typeof value === "string" || typeof value === "number" ? String(value) : null);
  const names = [text(identity.repository), text(identity.workflow), text(identity.job)].filter(
    (each) => each !== null,
  );
  const job = names.length === 0 ? null : names.join(" · ");
  const id = text(identity.run_id);
  if (id === null) return { ...nothing, job };
  const repository = text(identity.repository);
  return {
    job,
    run: JSON.stringify([repository, id, text(identity.run_attempt), text(identity.job)]),
    batch: JSON.stringify([repository, id]),
  };
}

/** What a command line is called: the program and the plain words after it; nothing that could be a secret. */
export function jobOfCommand(command: readonly string[]): string {
  const [program = "", ...args] = command;
  const words: string[] = [];
  for (const arg of args) {
    if (words.length === 2 || !/^[a-z][a-z:-]{0,19}$/.test(arg)) break;
    words.push(arg);
  }
  return [program.slice(program.lastIndexOf("/") + 1), ...words].join(" ");
}
