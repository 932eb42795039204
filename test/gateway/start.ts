/**
 * The gateway as people run it, in a lab: the real launcher in the gateway's namespace, its record read through
 * `sallyport logs --follow`, its policy changed by replacing the file. Used by the tests of this folder.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../../src/audit/event.ts";
import type { FlowView, Status } from "../../src/enforcer/status.ts";
import type { Lab } from "../lab/lab.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { launcher } from "../support/launcher.ts";
import { Record } from "../support/record.ts";
import type { Expected } from "../support/record.ts";
import { until } from "../support/until.ts";

/** The provider's resolver of the lab, which the gateway asks. */
export const upstream = "203.0.113.53";

export type GatewayOptions = {
  /** The policy's text. */
  policy: string;
  /** A name for the state directory; the same name again is a restart. */
  state?: string;
  /** More arguments. */
  args?: string[];
  /** More of the environment. */
  env?: { [name: string]: string };
};

let gateways = 0;

/** What `sallyport gateway` is given in a lab. */
export function gatewayArguments(lab: Lab, policyFile: string, state: string): string[] {
  return [
    ...["gateway", "--policy", policyFile, "--inside", ...lab.gateway.inside, "--outside", lab.gateway.outside],
    ...["--state", state, "--dns", upstream],
  ];
}

/** Writes a policy in one step, as a careful deployment does; returns its path. */
export function writePolicy(file: string, text: string): string {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
  return file;
}

export class RunningGateway {
  readonly lab: Lab;
  readonly process: LabProcess;
  readonly state: string;
  readonly policyFile: string;
  static readonly #running = new Set<RunningGateway>();
  readonly record: Record;

  private constructor(lab: Lab, process: LabProcess, state: string, policyFile: string) {
    this.lab = lab;
    this.process = process;
    this.state = state;
    this.policyFile = policyFile;
    this.record = new Record(lab.gateway, state);
    RunningGateway.#running.add(this);
  }

  /** Resolves when the gateway says it is ready; rejects with what it said otherwise. */
  static async start(lab: Lab, options: GatewayOptions): Promise<RunningGateway> {
    const state = join(lab.gateway.home, options.state ?? `state-${++gateways}`);
    mkdirSync(state, { recursive: true });
    const policyFile = writePolicy(`${state}.yaml`, options.policy);
    const args = [...gatewayArguments(lab, policyFile, state), ...(options.args ?? [])];
    const process = lab.gateway.spawn(launcher, args, options.env === undefined ? {} : { env: options.env });
    await process.waitFor(/^sallyport: ready: /m, 30_000);
    return new RunningGateway(lab, process, state, policyFile);
  }

  /** Kills those that a failed test left behind, so that the next one finds its ports free. */
  static async killAll(): Promise<void> {
    await Promise.all([...RunningGateway.#running].map((gateway) => gateway.crash()));
  }

  /** Every event of the record that was told so far. */
  get events(): readonly Event[] {
    return this.record.events;
  }

  /** This moment, comparable with the `time` of events. */
  get mark(): string {
    return this.record.mark;
  }

  recorded(expected: Expected, after = ""): Event[] {
    return this.record.recorded(expected, after);
  }

  expect(expected: Expected, after = "", timeoutMs = 5_000): Promise<Event> {
    return this.record.expect(expected, after, timeoutMs);
  }

  /** Replaces the policy file; resolves with the milliseconds until the gateway said that the new one is in force. */
  async replacePolicy(text: string): Promise<number> {
    const before = this.process.stderr.length;
    const start = performance.now();
    writePolicy(this.policyFile, text);
    const said = await until(
      () => /policy \w+ in force|policy not changed/.exec(this.process.stderr.slice(before)),
      15_000,
    );
    if (said === undefined) throw new Error(`the gateway did not notice the policy: ${this.process.stderr}`);
    return performance.now() - start;
  }

  /** Resolves when a file that a restart reads holds this name or address. */
  async keeps(file: "bindings.json" | "flows.json", name: string): Promise<void> {
    const path = join(this.state, file);
    const kept = await until(() => existsSync(path) && readFileSync(path, "utf8").includes(`"${name}"`), 10_000);
    if (kept === undefined) throw new Error(`${name} is not in ${file}`);
  }

  /** Runs another command of the launcher on this gateway's state directory. */
  ask(command: string, ...args: string[]): Promise<Outcome> {
    return this.lab.gateway.exec(launcher, [...command.split(" "), "--state", this.state, ...args]);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.ask("status", "--json")).stdout) as Status;
  }

  /** The first status that holds this; the last one asked for where none does within ten seconds. */
  async statusWhen(holds: (status: Status) => boolean): Promise<Status> {
    const end = performance.now() + 10_000;
    for (;;) {
      const status = await this.status();
      if (holds(status) || performance.now() > end) return status;
    }
  }

  async flows(): Promise<FlowView[]> {
    const { stdout } = await this.ask("flows", "--json");
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as FlowView);
  }

  /** Ends it as a service manager does; resolves with how it ended. */
  stop(): Promise<Outcome> {
    return this.#end("SIGTERM");
  }

  /** Ends it as the kernel does when memory is short. */
  crash(): Promise<Outcome> {
    return this.#end("SIGKILL");
  }

  async #end(signal: NodeJS.Signals): Promise<Outcome> {
    RunningGateway.#running.delete(this);
    const outcome = await this.process.kill(signal);
    await this.record.close();
    return outcome;
  }
}
