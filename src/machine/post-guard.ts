/**
 * Whether the job ends as it must, whatever becomes of our own phases. GitHub takes the exit code of `post` for our verdict, and it
 * runs as the runner's user with variables that any step may have set: `LD_PRELOAD` in GITHUB_ENV runs a step's code in it (threat R8).
 * The agent knows the verdict itself, and hears from the kernel how each process of our step ended: one that said fine of a job that
 * is not, or without having asked the agent anything, has lied, and the runner's worker is ended, which no job survives as a green one.
 */
import type { ProcessRecord } from "../process/record.ts";

export interface PostGuardOptions {
  /** The runner's worker; null: there is nobody to end. */
  worker: number | null;
  /** What the runner calls our step. */
  step: string;
  /** What the agent was asked so far. */
  asked: () => Asked;
  /** Told what is wrong, in words. */
  onLie: (message: string) => void;
}

export interface Asked {
  /** How often how it stands, and how often for the report. */
  status: number;
  reports: number;
  /** Why the job must be red by the last report; none: it may be green. */
  reasons: readonly string[];
}

type Executed = Pick<ProcessRecord, "pid" | "parent" | "args" | "step">;

interface Phase {
  /** Null: it may have asked already when it was found. */
  before: Asked | null;
  isMain: boolean;
}

const mostWatched = 64;
/** Files of ours that the runner executes while the agent is there. */
const ownPhase = /\/action\/dist\/(?:main|post)\.mjs$/;

export class PostGuard {
  readonly #options: PostGuardOptions;
  readonly #running = new Map<number, Phase>();
  #isFirst = true;

  constructor(options: PostGuardOptions) {
    this.#options = options;
  }

  /** A process has executed something. */
  executed(record: Executed): void {
    this.#take(record, this.#options.asked());
  }

  /** A process was found after news of processes were lost, its own perhaps among them. */
  met(record: Executed): void {
    if (!this.#running.has(record.pid)) this.#take(record, null);
  }

  /** A process has ended, with this wait status (wait(2)). */
  ended(pid: number, status: number): void {
    const phase = this.#running.get(pid);
    if (phase === undefined) return;
    this.#running.delete(pid);
    // Whatever ends otherwise is a red job already.
    if (status === 0) this.#judge(phase);
  }

  /**
   * Some may have ended without the kernel's news of it having reached us: to be called now and then, with who exists. How they ended is
   * not known; one that has told the truth has ended badly where it matters, and the job is red already.
   */
  look(exists: (pid: number) => boolean): void {
    for (const [pid, phase] of this.#running) {
      if (exists(pid)) continue;
      this.#running.delete(pid);
      this.#judge(phase);
    }
  }

  #take({ pid, parent, args, step }: Executed, before: Asked | null): void {
    const { worker, step: own } = this.#options;
    // 0: whose child it is was not heard either.
    if (worker === null || (parent !== worker && parent !== 0) || this.#running.size >= mostWatched) return;
    // By the name that the worker gave it: a step of another name that runs our files is no phase of ours. Where that name was not heard
    // (the kernel's news were more than could be read), or is another child's that lives beside it, by what it runs.
    const isSure = (step !== null && step.name !== null && step.pid === pid) || args.length === 0;
    if (own === "" || !(isSure ? step?.name === own : args.some((each) => ownPhase.test(each)))) return;
    // One whose arguments were gone before they could be read: `main` comes first, and for all others the sterner rule is right.
    const isMain = args.length === 0 ? this.#isFirst : args.some((each) => each.endsWith("/main.mjs"));
    if (before !== null) this.#isFirst = false;
    this.#running.set(pid, { before, isMain });
  }

  #judge(phase: Phase): void {
    const { asked, onLie } = this.#options;
    const { before, isMain } = phase;
    const now = asked();
    const name = isMain ? "main" : "post";
    if (before !== null && (isMain ? now.status === before.status : now.reports === before.reports))
      onLie(`the action's ${name} phase said that all is well without asking the agent`);
    else if (!isMain && now.reasons.length > 0)
      onLie(`the action's ${name} phase said that all is well, and it is not: ${now.reasons.join(" ")}`);
  }
}
