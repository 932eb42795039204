/**
 * Work of one thread that others wait for, put before what the host's processors do otherwise. Linux keeps a nice value for each thread
 * (sched(7)); it counts against the threads of the same process in any case, and against others where they share a group.
 */
import { getPriority, setPriority } from "node:os";

/** Of ten equal threads one with this value gets half the time and more. */
const hurried = -10;

/** Puts the calling thread before others until the function it returns is called; where that is not permitted nothing changes. */
export function hurry(): () => void {
  try {
    const before = getPriority(0);
    if (before <= hurried) return () => {};
    setPriority(0, hurried);
    return () => setPriority(0, before);
  } catch {
    return () => {};
  }
}

/** Runs `work`, which must not be asynchronous, that way. */
export function hurriedly<T>(work: () => T): T {
  const done = hurry();
  try {
    return work();
  } finally {
    done();
  }
}
