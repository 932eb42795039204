/**
 * Who holds a socket: the descriptor tables of /proc. A descriptor may be inherited, or sent to anybody: only a look at every
 * process says who else has it. The likely ones come first, so that a search which runs out of time has met them.
 */
import { readdirSync, readlinkSync } from "node:fs";
import type { ProcessRecord } from "./record.ts";

export interface Search {
  /** Processes that hold it, in the order of the search. */
  holders: ProcessRecord[];
  /** False where time ran out: others may hold it too. */
  complete: boolean;
}

/** Descriptors looked at of one process: a job with millions open must not hold everybody up. */
const MOST_DESCRIPTORS = 65_536;

/** Whether the process has the socket among its descriptors; false where it is gone. */
export function holds(pid: number, inode: number): boolean {
  const folder = `/proc/${pid}/fd`;
  const wanted = `socket:[${inode}]`;
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return false;
  }
  // The latest first: a socket that has just been made has a high number more often than not.
  for (let i = names.length - 1; i >= Math.max(0, names.length - MOST_DESCRIPTORS); i--) {
    try {
      if (readlinkSync(`${folder}/${names[i]!}`) === wanted) return true;
    } catch {
      // Closed meanwhile.
    }
  }
  return false;
}

/** Looks for `inode` in the order given, for at most `milliseconds`. */
export function search(inode: number, candidates: Iterable<ProcessRecord>, milliseconds: number): Search {
  const until = performance.now() + milliseconds;
  const holders: ProcessRecord[] = [];
  for (const record of candidates) {
    if (performance.now() > until) return { holders, complete: false };
    if (holds(record.pid, inode)) holders.push(record);
  }
  return { holders, complete: true };
}

/** The likely ones first: who was found last, then this user's, each newest first. `newest` is in that order already. */
export function byLikelihood(
  newest: readonly ProcessRecord[],
  uid: number | null,
  last: number | null,
): ProcessRecord[] {
  const rank = ({ pid, uid: user }: ProcessRecord): number => (pid === last ? 0 : user === uid ? 1 : 2);
  return newest.toSorted((a, b) => rank(a) - rank(b));
}

/**
 * Whose it is, of several holders: the one that all others descend from, who made it and let them inherit it. Null where there is
 * no such one: it was sent from one to another, or its maker is gone.
 */
export function makerOf(holders: readonly ProcessRecord[]): ProcessRecord | null {
  const maker = holders.find((each) =>
    holders.every(({ pid, ancestors }) => pid === each.pid || ancestors.some((above) => above.pid === each.pid)),
  );
  return maker ?? null;
}
