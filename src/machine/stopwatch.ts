/**
 * Where the time of a start goes, part by part: what somebody waited, and what processors worked. Under load the second says what the
 * first would be on a quiet machine.
 */
import { readFileSync } from "node:fs";

export interface Part {
  name: string;
  /** Milliseconds. */
  wall: number;
  /** Milliseconds of all threads of this process, and of the programs it ran to their end; those to a tick of 10. */
  cpu: number;
}

const tickMs = 10;

export class Stopwatch {
  readonly parts: Part[] = [];
  #wall = 0;
  #cpu = 0;

  /** Ends the part `name`: all since the last one; of the first since the process was started. */
  lap(name: string): void {
    const wall = performance.now();
    const cpu = cpuSoFar();
    this.parts.push({ name, wall: Math.round(wall - this.#wall), cpu: Math.round(cpu - this.#cpu) });
    this.#wall = wall;
    this.#cpu = cpu;
  }
}

function cpuSoFar(): number {
  const { user, system } = process.cpuUsage();
  const stat = readFileSync("/proc/self/stat", "latin1");
  // Fields 16 and 17 of proc_pid_stat(5), counted behind the name, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (user + system) / 1_000 + (Number(fields[13]) + Number(fields[14])) * tickMs;
}

/** As one line for a log. */
export function partsText(who: string, parts: readonly Part[]): string {
  return `${who}: ${parts.map(({ name, wall, cpu }) => `${name} ${wall} (${cpu})`).join(", ")}`;
}
