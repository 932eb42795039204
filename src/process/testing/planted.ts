/** A process tree that is told events by hand, with a runner's listener and worker in it; for tests. */
import type { ProcessImage } from "../record.ts";
import type { StepEnvironment } from "../steps.ts";
import { ProcessTree } from "../tree.ts";

export const WORKER = 100;
export const SECOND = 1e9;

/** A tree whose processes run what `programs` says, at the time it is looked at. */
export function planted() {
  const programs = new Map<number, string>();
  const images = new Map<number, ProcessImage>();
  const environments = new Map<number, StepEnvironment>();
  const ran = new Map<number, { at: number; exe: string; args?: string[] }>();
  const notes = new Map<number, { at: number; environment: StepEnvironment }>();
  let clock = 0;
  const image = (exe: string): ProcessImage => ({ exe, args: [exe], uid: 1000, container: null, native: true });
  const tree = new ProcessTree({
    image: (pid) => images.get(pid) ?? (programs.has(pid) ? image(programs.get(pid)!) : null),
    environment: (pid) => environments.get(pid) ?? {},
    program: (pid, since, time) => {
      const run = ran.get(pid);
      return run !== undefined && run.at > since && run.at <= time ? { exe: run.exe, args: run.args ?? [] } : null;
    },
    told: (pid, since, time) => {
      const note = notes.get(pid);
      return note !== undefined && note.at >= since && note.at <= time ? note.environment : null;
    },
    now: () => clock,
    askers: () => null,
  });
  tree.setRunner(WORKER, [99]);
  const met = (pid: number, parent: number, exe: string) => ({
    pid,
    parent,
    startedAt: 0,
    threads: 1,
    countedAt: 1,
    ...image(exe),
  });
  tree.meet(met(99, 1, "/Runner.Listener"), true);
  tree.meet(met(WORKER, 99, "/Runner.Worker"), true);
  return {
    tree,
    programs,
    images,
    environments,
    notes,
    ran,
    at: (time: number) => (clock = time),
    fork: (pid: number, parent: number, time: number) => tree.fork(pid, pid, parent, time),
    exec: (pid: number, exe: string, time: number) => {
      programs.set(pid, exe);
      clock = Math.max(clock, time + 1);
      tree.exec(pid, time);
    },
    step: (pid: number, name: string, time: number) => {
      environments.set(pid, { GITHUB_ACTION: name });
      tree.fork(pid, pid, WORKER, time);
      programs.set(pid, "/bin/bash");
      clock = Math.max(clock, time + 2);
      tree.exec(pid, time + 1);
    },
  };
}
