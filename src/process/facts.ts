/** What is told of an owner: to a policy, and in an event. */
import type { Owner } from "./owner.ts";
import { imageOf } from "./images.ts";
import type { Ancestor } from "./record.ts";
import type { ProcessTable } from "./table.ts";
import { userName } from "./users.ts";

/** What a policy may ask of the process. Null: not known, or there is none; a rule that allows does not match it. */
export interface ProcessFacts {
  /** `GITHUB_ACTION` of the step. */
  step: string | null;
  /** `owner/repository` of the step's action. */
  action: string | null;
  /** Path of the executable. Null also for processes that see other files than we do: theirs says nothing. */
  exe: string | null;
  /** The runner's worker or listener itself. */
  runner: boolean;
}

/** An event's `process`. */
export interface ProcessDescription {
  pid: number;
  exe: string | null;
  args: readonly string[];
  uid: number | null;
  user: string | null;
  ancestors: readonly Ancestor[];
  step: string | null;
  step_number: number | null;
  action: string | null;
  container: { id: string; image: string | null } | null;
  runner: boolean;
  /** False: the likeliest of several; its facts count for nothing in a policy. */
  certain: boolean;
}

export const noFacts: ProcessFacts = { step: null, action: null, exe: null, runner: false };

/** The facts of an owner: none but of a certain one. */
export function factsOf(owner: Owner | null, table: ProcessTable): ProcessFacts {
  const record = owner?.record ?? null;
  if (record === null || !owner!.certain) return noFacts;
  return {
    step: record.step?.name ?? null,
    action: record.step?.action ?? null,
    exe: record.native ? record.exe : null,
    runner: table.isRunner(record),
  };
}

/** The owner for an event, as it is at this moment; null where no process is known. */
export function describeOwner(owner: Owner | null, table: ProcessTable): ProcessDescription | null {
  const record = owner?.record ?? null;
  if (record === null) return null;
  const { pid, exe, args, uid, ancestors, step, container } = record;
  return {
    pid,
    exe,
    args,
    uid,
    user: uid === null ? null : userName(uid),
    ancestors,
    step: step?.name ?? null,
    step_number: step?.number ?? null,
    action: step?.action ?? null,
    container: container === null ? null : { id: container, image: imageOf(container) },
    runner: table.isRunner(record),
    certain: owner!.certain,
  };
}
