/**
 * Signals meant for the command. Before it runs they are remembered, so that what is half built is taken away first.
 */
import { readFileSync } from "node:fs";

const handled: readonly NodeJS.Signals[] = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

export class Signals {
  /** The first one that came; it ends a run whose command was not started yet. */
  received: NodeJS.Signals | null = null;
  forward: ((signal: NodeJS.Signals) => void) | null = null;

  readonly #handle = (signal: NodeJS.Signals) => {
    this.received ??= signal;
    // The terminal sends these to everybody in front of it, the command included.
    if ((signal === "SIGINT" || signal === "SIGQUIT") && isInForeground()) return;
    this.forward?.(signal);
  };

  constructor() {
    for (const signal of handled) process.on(signal, this.#handle);
  }

  release(): void {
    for (const signal of handled) process.off(signal, this.#handle);
  }
}

/** Whether this process is in the foreground of a terminal (proc(5), fields 5, 7 and 8). */
function isInForeground(): boolean {
  const text = readFileSync("/proc/self/stat", "latin1");
  const [group, , terminal, foreground] = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .slice(2);
  return terminal !== "0" && foreground === group;
}
