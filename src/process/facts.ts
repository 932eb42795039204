/** What is told of an owner: to a policy, and in an event. */
import type { EventProcess } from "../audit/event.ts";
import type { ProcessFacts } from "../policy/decision.ts";
import { inferredStep } from "./askers.ts";
import type { Owner } from "./owner.ts";
import { imageOf } from "./images.ts";
import type { ProcessRecord } from "./record.ts";
import type { ProcessTable } from "./table.ts";
import { userName } from "./users.ts";

/** Nobody certain: a rule that allows by process does not match it. */
export const noFacts: ProcessFacts = { step: null, action: null, exe: null, runner: false };

/** The facts of an owner: none but of a certain one. An inferred step is none: it must not open anything. */
export function factsOf(owner: Owner | null, table: ProcessTable): ProcessFacts {
  const record = owner?.record ?? null;
  if (record === null || !owner!.certain) return noFacts;
  return {
    step: record.step?.name ?? null,
    action: record.step?.action ?? null,
    exe: record.native ? record.exe : null,
    runner: table.isRunner(record),
    ...(isSystem(record) && !table.isRunner(record) ? { system: true } : {}),
  };
}

/** A service of the machine's own: what a step starts stays that step's, also as root. */
function isSystem({ placed, step, uid, container, native }: ProcessRecord): boolean {
  return placed && step === null && uid === 0 && container === null && native;
}

/** The owner for an event, as it is at this moment; null where no process is known. */
export function describeOwner(owner: Owner | null, table: ProcessTable): EventProcess | null {
  const record = owner?.record ?? null;
  if (record === null) return null;
  const { pid, exe, args, uid, ancestors, asked, container } = record;
  // Engines' own helpers belong to nobody.
  const forWhom = container === null ? null : asked;
  const step = record.step ?? inferredStep(forWhom);
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
    step_by: record.step !== null ? "descent" : step === null ? null : "engine_client",
    ...(forWhom !== null && forWhom.by.length > 1
      ? { step_candidates: forWhom.by.map((each) => each?.name ?? null) }
      : {}),
    container: container === null ? null : { id: container, image: imageOf(container) },
    runner: table.isRunner(record),
    certain: owner!.certain,
  };
}
