/**
 * Which step a process belongs to. The runner's worker starts each step's process as its direct child; that one gets a tag, and
 * whoever it forks inherits it, whatever becomes of the parent. Pure.
 *
 * clone(2) with CLONE_PARENT makes a sibling: a step could make what looks like another child of the worker and write any step's
 * name into its environment. The kernel's fork event does not say who called. But only a child of the worker that is still
 * alive can do it, and the runner runs its steps one after another: so a child that appears beside a living one is taken for
 * a part of the same step, and names itself in vain. Of this worker, that is: what another one's job left running, because it was
 * cancelled, has another parent by now and makes no siblings here.
 */
import type { StepTag } from "./record.ts";

/** What the runner tells a step's process about itself. */
export const stepVariables = ["GITHUB_ACTION", "GITHUB_ACTION_REPOSITORY", "GITHUB_ACTION_REF"] as const;
export type StepEnvironment = Partial<Record<(typeof stepVariables)[number], string>>;

const LONGEST = 256;
/** Kept for who asks; not everybody does. */
const MOST_OVER = 256;

export class Steps {
  /** Living direct children of the worker, and of those before it, with their tags. */
  readonly #living = new Map<number, StepTag>();
  /** How many of them each tag has. */
  readonly #sizes = new Map<StepTag, number>();
  /** Of the worker's own living children, which all have the same. */
  #current: StepTag | null = null;
  /** Children that have not executed anything yet. */
  readonly #new = new Set<number>();
  /** When the environment of a child was read, ns. */
  readonly #readAt = new Map<number, number>();
  #over: StepTag[] = [];
  /** Number of each step by its name. */
  readonly #numbers = new Map<string, number>();

  /** There is another worker from now on. */
  nextWorker(): void {
    this.#current = null;
  }

  /** The worker forked `pid`: its tag. */
  forked(pid: number): StepTag {
    const known = this.#living.get(pid);
    if (known !== undefined) return known;
    if (this.#current === null) this.#new.add(pid);
    const tag = (this.#current ??= { pid, number: null, name: null, action: null, actionRef: null, endedAt: null });
    this.#living.set(pid, tag);
    this.#sizes.set(tag, (this.#sizes.get(tag) ?? 0) + 1);
    return tag;
  }

  /**
   * `pid` executed something at `time` (ns). A direct child's first time is the runner's doing, and later ones are the job's own.
   * The environment that it was started with is what the kernel noted in that call (`told`), or else what `read` finds at `now`.
   * Where the second exec came before it was read, what was read is not the runner's word, and the step has no name.
   */
  executed(
    pid: number,
    time: number,
    now: number,
    { told, read }: { told: () => StepEnvironment | null; read: () => StepEnvironment },
  ): void {
    const tag = this.#living.get(pid);
    if (tag === undefined) return;
    if (this.#new.delete(pid)) {
      const environment = told();
      if (environment !== null) return this.#name(tag, environment);
      this.#readAt.set(pid, now);
      this.#name(tag, read());
    } else if (time < (this.#readAt.get(pid) ?? 0)) {
      this.#readAt.delete(pid);
      Object.assign(tag, { number: null, name: null, action: null, actionRef: null });
    }
  }

  /**
   * Events were lost: who has not been seen to execute anything may have, and what it was told then is not known. Of `pid` alone
   * where it is given.
   */
  lost(pid?: number): void {
    if (pid === undefined) this.#new.clear();
    else this.#new.delete(pid);
  }

  /** All threads of `pid` have ended, at `time` (ns). */
  ended(pid: number, time: number): void {
    const tag = this.#living.get(pid);
    this.#living.delete(pid);
    if (tag !== undefined) {
      const left = this.#sizes.get(tag)! - 1;
      if (left > 0) this.#sizes.set(tag, left);
      else {
        this.#sizes.delete(tag);
        if (tag === this.#current) this.#current = null;
        tag.endedAt = time;
        if (this.#over.push(tag) > MOST_OVER) this.#over.shift();
      }
    }
    this.#new.delete(pid);
    this.#readAt.delete(pid);
  }

  /** Steps that have ended since the last call. */
  takeEnded(): StepTag[] {
    const over = this.#over;
    this.#over = [];
    return over;
  }

  #name(tag: StepTag, environment: StepEnvironment): void {
    const name = environment.GITHUB_ACTION?.slice(0, LONGEST) ?? null;
    if (name === null) return;
    tag.name = name;
    tag.action = environment.GITHUB_ACTION_REPOSITORY?.slice(0, LONGEST) ?? null;
    tag.actionRef = environment.GITHUB_ACTION_REF?.slice(0, LONGEST) ?? null;
    tag.number = this.#numbers.get(name) ?? this.#numbers.size + 1;
    this.#numbers.set(name, tag.number);
  }
}
