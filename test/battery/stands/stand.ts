/**
 * A stand: a lab, a job's machine in it, and what stands between the job and the internet. `open` is nobody: plain forwarding,
 * the control that shows that an attempt is one.
 */
import type { Lab } from "../../lab/lab.ts";
import type { Machine } from "../../lab/machine.ts";
import type { Record } from "../../support/record.ts";
import type { Front, Mode } from "../case.ts";

export type Addresses = { job: string; nextHop: string; outside: string };

export type Stand = {
  /** `null`: nobody stands there. */
  readonly front: Front | null;
  readonly mode: Mode | null;
  readonly lab: Lab;
  /** The job's network namespace. */
  readonly machine: Machine;
  readonly addresses: { 4: Addresses; 6: Addresses };
  readonly record: Record | null;
  /** Puts another policy in force; resolves when it is. Undefined where that cannot be done. */
  readonly replacePolicy?: (text: string) => Promise<unknown>;
  /** What the enforcer says of itself at the end: problems, or none. */
  readonly wellness: () => Promise<string[]>;
  readonly close: () => Promise<void>;
};

/** `gateway/enforce`, `open`. */
export function standName({ front, mode }: Pick<Stand, "front" | "mode">): string {
  return front === null ? "open" : `${front}/${mode}`;
}
