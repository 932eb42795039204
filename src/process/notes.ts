/**
 * What the kernel notes for us as programs are executed (`step-notes.ts`, `program-notes.ts`): attached once, for a process's first table,
 * and read by its other threads'. Where the kernel takes no such programs, /proc is read in time, or not. Called by the table.
 */
import { type KnownOffsets, knownOffsets } from "../kernel/btf.ts";
import { KernelError } from "../kernel/libc.ts";
import { ProgramNotes } from "../kernel/program-notes.ts";
import { StepNotes } from "../kernel/step-notes.ts";
import { programMembers, stepMembers } from "../kernel/type-members.ts";
import { argumentBounds } from "./mask.ts";
import { parseArguments, parseEnvironment } from "./proc-text.ts";
import { type StepEnvironment, stepVariables } from "./steps.ts";

/** Descriptors of what is noted, for other threads; null: that is not. */
export interface NotesAt {
  steps: number | null;
  programs: number | null;
}

export class Notes {
  /** Why a step whose first process is over within milliseconds may have no name; null where it has. */
  readonly why: string | null = null;
  readonly #steps: StepNotes | null;
  readonly #programs: ProgramNotes | null;

  /**
   * `given`: another table's, which outlives this one; null: none. `worker` null: there are no steps. `types`: what was looked up of
   * the kernel's types before.
   */
  constructor(worker: number | null, given: NotesAt | null | undefined, types?: KnownOffsets) {
    if (given !== undefined) {
      const { steps = null, programs = null } = given ?? {};
      this.#steps = steps === null ? null : StepNotes.at(steps);
      this.#programs = programs === null ? null : ProgramNotes.at(programs);
      return;
    }
    // Going through all types of the kernel takes its time: once for both.
    const known = types ?? knownOffsets([...stepMembers, ...programMembers]);
    const steps = worker === null ? null : tried(() => StepNotes.attach(worker, known));
    this.#steps = steps?.got ?? null;
    this.#programs = tried(() => ProgramNotes.attach(known)).got;
    this.why = steps?.why ?? null;
  }

  get at(): NotesAt {
    return { steps: this.#steps?.fd ?? null, programs: this.#programs?.fd ?? null };
  }

  /** What `pid`, a child of the worker, was told of its step, by its first exec after `since` and until `time`; null: not noted. */
  told(pid: number, since: number, time: number): StepEnvironment | null {
    const note = this.#steps?.of(pid, since, time) ?? null;
    return note === null ? null : parseEnvironment(note.environment.toString("utf8"), stepVariables);
  }

  /** What `pid` executed last, after `since` and until `time`: where it is a file of ours, and with what arguments, unmasked; null: not noted. */
  program(pid: number, since: number, time: number): { exe: string | null; args: string[] } | null {
    const note = this.#programs?.of(pid, since, time) ?? null;
    if (note === null) return null;
    const args = parseArguments(note.arguments, argumentBounds.most);
    // Half a secret is not recognised.
    if (note.isCut && args.length > 0 && args.length < argumentBounds.most) args[args.length - 1] = "…";
    return { exe: note.path, args };
  }

  close(): void {
    this.#steps?.close();
    this.#programs?.close();
  }
}

function tried<T>(make: () => T): { got: T | null; why: string | null } {
  try {
    return { got: make(), why: null };
  } catch (error) {
    if (error instanceof KernelError) return { got: null, why: error.message };
    throw error;
  }
}
