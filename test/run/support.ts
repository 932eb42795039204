/**
 * A machine of the lab as the host on which `sallyport run` stands: the lab's gateway, which has one link to the internet
 * in the box and forwards for nobody. Programs are the real ones; what arrived is asked of the lab's sink.
 */
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { deleteNamespace, inNamespace, listNamespaces } from "../../src/kernel/namespace.ts";
import { differences, takeSnapshot, type Snapshot } from "../../scripts/tour/snapshot.ts";
import type { RunReport } from "../../src/run/report.ts";
import { Lab, type LabOptions } from "../lab/lab.ts";
import type { ExecOptions, SpawnOptions } from "../lab/machine.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { root } from "../support/modules.ts";

/** The launcher, as people call it. */
export const sallyport = join(root, "sallyport");

export class Host {
  readonly lab: Lab;

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  static async create(options: LabOptions = {}): Promise<Host> {
    return new Host(await Lab.create({ runners: 1, ...options }));
  }

  /** Where the host's user works. */
  get home(): string {
    return this.lab.gateway.home;
  }

  /** `sallyport run ARGS`. */
  run(args: readonly string[], options: ExecOptions = {}): Promise<Outcome> {
    return this.lab.gateway.exec(sallyport, ["run", ...args], options);
  }

  /** The same, left running. */
  start(args: readonly string[], options: SpawnOptions = {}): LabProcess {
    return this.lab.gateway.spawn(sallyport, ["run", ...args], options);
  }

  /** `sallyport run --report`, and what it reported. */
  async report(args: readonly string[], options: ExecOptions = {}): Promise<Outcome & { report: RunReport }> {
    const file = join(this.home, "report.json");
    rmSync(file, { force: true });
    const outcome = await this.run(["--report", file, ...args], options);
    return { ...outcome, report: JSON.parse(readFileSync(file, "utf8")) as RunReport };
  }

  /** Another command of ours, or any program, on the host itself. */
  exec(command: string, args: readonly string[], options: ExecOptions = {}): Promise<Outcome> {
    return this.lab.gateway.exec(command, args, options);
  }

  snapshot(): Snapshot {
    return inNamespace(this.lab.gateway.namespace, takeSnapshot);
  }

  /** What is different on the host since `before`. */
  changes(before: Snapshot): string[] {
    // The guided run's own folder, should one be under way on this machine.
    return differences(before, this.snapshot()).filter((line) => !line.includes("sallyport-tour-"));
  }

  /** Ends the lab, and removes what a failed test's runs left on this machine: no run will ever stand there again. */
  async close(): Promise<void> {
    const { ino } = statSync(`/run/netns/${this.lab.gateway.namespace}`);
    await this.lab.close();
    for (const name of listNamespaces(`sallyport-${ino}-`)) deleteNamespace(name);
    rmSync(`/run/sallyport/run/${ino}`, { recursive: true, force: true });
  }
}

/** A curl that says which virtual host answered, or fails. */
export function curl(url: string, ...more: string[]): string[] {
  return ["curl", "-sS", "--max-time", "8", ...more, url];
}
