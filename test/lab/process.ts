/** A program that runs in one of the lab's namespaces: what it wrote so far, how it ended, and how to end it. */
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

/** How a program ended. `code` is null when a signal ended it; `ms` is wall time from start to end. */
export type Outcome = {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  ms: number;
  timedOut: boolean;
};

/** Output beyond this is counted as lost: a test that reads more should write to a file. */
const maxOutput = 64 << 20;

export class LabProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<Outcome>;
  stdout = "";
  stderr = "";
  #timedOut = false;
  #over = false;

  constructor(child: ChildProcess) {
    this.child = child;
    const started = performance.now();
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (this.stdout.length < maxOutput) this.stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      if (this.stderr.length < maxOutput) this.stderr += text;
    });
    child.stdin?.on("error", () => {});
    this.exited = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        this.#over = true;
        const { stdout, stderr } = this;
        resolve({ code, signal, stdout, stderr, ms: performance.now() - started, timedOut: this.#timedOut });
      });
    });
    // Whoever awaits `exited` gets the failure; nobody has to.
    this.exited.catch(() => {});
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  write(input: string | Buffer): void {
    this.child.stdin?.write(input);
  }

  endInput(input?: string | Buffer): void {
    if (input === undefined) this.child.stdin?.end();
    else this.child.stdin?.end(input);
  }

  /** Resolves with the match when either output has it; rejects when the program ends first or the time is over. */
  async waitFor(pattern: RegExp, timeoutMs = 10_000): Promise<RegExpExecArray> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
      if (match !== null) return match;
      if (this.#over || performance.now() > end) {
        const why = this.#over ? "the program ended" : `nothing after ${timeoutMs} ms`;
        throw new Error(`waiting for ${pattern}: ${why}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`);
      }
      await sleep(5);
    }
  }

  /** Signals the program and what it started in its process group; resolves when it has ended. */
  async kill(signal: NodeJS.Signals = "SIGTERM"): Promise<Outcome> {
    this.signal(signal);
    return this.exited;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#over || this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // It ended between the check and the call.
    }
  }

  /** Ends the program's group by force after this long. */
  limit(timeoutMs: number): void {
    const timer = setTimeout(() => {
      this.#timedOut = true;
      this.signal("SIGKILL");
    }, timeoutMs);
    this.exited.finally(() => clearTimeout(timer)).catch(() => {});
  }
}
