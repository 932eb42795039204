/** Finds the runner among the ancestors of a process: GitHub's runner starts a worker for each job. Pure. */

/** Enough of a process to look for the runner. */
export interface Relative {
  pid: number;
  parent: number;
  exe: string | null;
}

const WORKER = "Runner.Worker";
const LISTENER = "Runner.Listener";
const DEEPEST = 256;

export interface Runner {
  worker: number;
  /** Processes of the runner itself above the worker. */
  listeners: number[];
}

/**
 * The nearest worker at or above `pid`, and the listeners above it; null where there is none. The nearest: a runner may itself
 * run inside another's job.
 */
export function findRunner(processes: ReadonlyMap<number, Relative>, pid: number): Runner | null {
  const line: Relative[] = [];
  for (let at = processes.get(pid); at !== undefined && line.length < DEEPEST; at = processes.get(at.parent))
    line.push(at);
  const worker = line.findIndex(({ exe }) => nameOf(exe) === WORKER);
  return worker < 0 ? null : runnerAt(line.slice(worker));
}

/** The runner whose worker is known to be `pid`. */
export function runnerOf(processes: ReadonlyMap<number, Relative>, pid: number): Runner {
  const line: Relative[] = [];
  for (let at = processes.get(pid); at !== undefined && line.length < DEEPEST; at = processes.get(at.parent))
    line.push(at);
  return line.length === 0 ? { worker: pid, listeners: [] } : runnerAt(line);
}

function runnerAt(line: readonly Relative[]): Runner {
  const listeners = line.slice(1).filter(({ exe }) => nameOf(exe) === LISTENER);
  return { worker: line[0]!.pid, listeners: listeners.map(({ pid }) => pid) };
}

/** Whether this program is the runner's worker, by its name: ask only of a process whose place says that it may be. */
export function isWorker(exe: string | null): boolean {
  return nameOf(exe) === WORKER;
}

function nameOf(exe: string | null): string {
  return (
    exe
      ?.replace(/ \(deleted\)$/, "")
      .split("/")
      .at(-1) ?? ""
  );
}
