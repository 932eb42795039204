/** Processor time of a process and of its threads, from /proc (proc(5)). */
import { readdirSync, readFileSync } from "node:fs";

/** Of Linux' clock ticks, which are 100 a second on every platform that Node runs on. */
const tickSeconds = 0.01;

/** Seconds used so far. */
export interface Processor {
  all: number;
  main: number;
  /** By name: threads of one name together. */
  threads: ReadonlyMap<string, number>;
}

export function processorOf(pid: number): Processor {
  const threads = new Map<string, number>();
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${task}`;
    const name = readFileSync(`${folder}/comm`, "utf8").trim();
    threads.set(name, (threads.get(name) ?? 0) + seconds(`${folder}/stat`));
  }
  return { all: seconds(`/proc/${pid}/stat`), main: seconds(`/proc/${pid}/task/${pid}/stat`), threads };
}

function seconds(path: string): number {
  const text = readFileSync(path, "utf8");
  // After the name, which is in parentheses and may hold anything: utime and stime are fields 14 and 15.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * tickSeconds;
}
