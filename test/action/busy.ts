/** Two programs that keep the processors busy, from when a job says so (a file that a step of it makes): while the agent starts there are none. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/until.ts";
import type { Runner, Step } from "./harness.ts";

export class Busy {
  readonly #programs: ChildProcess[] = [];
  readonly #file: string;
  #isOver = false;

  constructor(runner: Runner) {
    this.#file = join(runner.home, "busy");
    void until(() => this.#isOver || existsSync(this.#file), 120_000).then(() => {
      if (this.#isOver) return;
      for (let i = 0; i < 2; i++) this.#programs.push(spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" }));
    });
  }

  /** The step from which on the processors are busy. */
  get step(): Step {
    return { id: "busy", run: `touch ${this.#file}` };
  }

  /** Whether they ran at all; ends them. */
  end(): boolean {
    this.#isOver = true;
    return this.#programs.map((program) => program.kill("SIGKILL")).length > 0;
  }
}
