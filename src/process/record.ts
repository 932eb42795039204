/** What is kept of one process, and of one step. Called by the whole room. */

/** A step of the job, or rather one process that the runner's worker started; its descendants carry the same object. */
export interface StepTag {
  /** The direct child of the worker. */
  readonly pid: number;
  /** Counts the steps of the job from 1, in the order of their first process; null for a child that names no step. */
  number: number | null;
  /** The runner's name for the step (`GITHUB_ACTION`): its id, or `__run`, `__actions_checkout`, …; null where it has none. */
  name: string | null;
  /** `owner/repository` of the action that the step uses; null for a script. */
  action: string | null;
  /** The tag or commit that it was asked for by. */
  actionRef: string | null;
  /** When its last direct child of the worker ended (CLOCK_MONOTONIC, ns); null while one lives. */
  endedAt: number | null;
}

export interface Ancestor {
  readonly pid: number;
  readonly exe: string | null;
}

/** Who asked a container engine's daemon for a process: its clients as the runtime was started (`askers.ts`). */
export interface Asked {
  /** Their steps, no two of one; null among them: a client of no step. Of one alone it is inferred that it was that one's. */
  readonly by: readonly (StepTag | null)[];
  /** The runtime was told to start it in a container that ran already. */
  readonly joins: boolean;
}

/** What /proc says of a process at one moment. */
export interface ProcessImage {
  /** Path of the executable as its own mount namespace names it; null where it could not be read. */
  exe: string | null;
  /** Masked and bounded. */
  args: readonly string[];
  /** Effective user. */
  uid: number | null;
  /** The container it runs in, by its cgroup. */
  container: string | null;
  /**
   * Whether it sees the same files as we do. Another root or mount namespace can show any file as /usr/bin/git, and whoever may
   * make a user namespace can make one: `exe` then says nothing about which program it is.
   */
  native: boolean;
}

export interface Past {
  readonly image: ProcessImage;
  readonly until: number;
}

export interface ProcessRecord extends Readonly<ProcessImage> {
  readonly pid: number;
  /** CLOCK_MONOTONIC, ns; to within 10 ms where it was read from /proc. Tells a process from a later one with its number. */
  readonly startedAt: number;
  /** The process that forked it; 0: unknown. Later /proc may name another one. */
  readonly parent: number;
  /** Parent first, as at fork; at most {@link recordBounds.ancestors}. */
  readonly ancestors: readonly Ancestor[];
  readonly step: StepTag | null;
  /** Of no step, but of what an engine's daemon started: for whom; inherited. Null: not known to be that. */
  readonly asked: Asked | null;
  /** False where it was met after events were lost, outside of its parent's care: whose child it was is not known. */
  readonly placed: boolean;
  /** When its last thread ended; null while it lives. */
  readonly endedAt: number | null;
  /** When /proc was last asked what it is, ns; 0: never, it is what its parent was. */
  readonly seenAt: number;
  /** What it was before it executed something else, oldest first, each with the time of that exec (ns). */
  readonly past: readonly Past[];
}

/** Nothing is known of what it runs. */
export const unseen: ProcessImage = { exe: null, args: [], uid: null, container: null, native: false };

export const recordBounds = {
  ancestors: 12,
  past: 4,
  /** Living processes kept; what starts beyond is not known. */
  living: 65_536,
  /** Ended ones kept, and for how long, ns. */
  ended: 16_384,
  endedFor: 15e9,
} as const;
