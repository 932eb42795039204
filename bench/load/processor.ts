/** Processor time of a process and of its first thread, from /proc (proc(5)). */
import { readFileSync } from "node:fs";

/** Of Linux' clock ticks, which are 100 a second on every platform that Node runs on. */
const tickSeconds = 0.01;

/** Seconds used so far. */
export interface Processor {
  all: number;
  main: number;
}

export function processorOf(pid: number): Processor {
  return { all: seconds(`/proc/${pid}/stat`), main: seconds(`/proc/${pid}/task/${pid}/stat`) };
}

function seconds(path: string): number {
  const text = readFileSync(path, "utf8");
  // After the name, which is in parentheses and may hold anything: utime and stime are fields 14 and 15.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * tickSeconds;
}
