/**
 * The gateway as people run it, in a lab: the real launcher in the gateway's namespace, its record read through
 * `sallyport logs --follow`, its policy changed by replacing the file. Used by the tests of this folder.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Event } from "../../src/audit/event.ts";
import type { FlowView, Status } from "../../src/enforcer/status.ts";
import type { Lab } from "../lab/lab.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";

/** The program under test. */
export const launcher = fileURLToPath(new URL("../../sallyport", import.meta.url));

/** The provider's resolver of the lab, which the gateway asks. */
export const upstream = "203.0.113.53";

export type GatewayOptions = {
  /** The policy's text. */
  policy: string;
  /** A name for the state directory; the same name again is a restart. */
  state?: string;
  /** More arguments. */
  args?: string[];
};

/** What an event must hold; a nested object is compared member by member, a pattern by match. */
export type Expected = { [key: string]: unknown };

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
  readonly #follow: LabProcess;
  readonly #events: Event[] = [];
  #read = 0;

  private constructor(lab: Lab, process: LabProcess, state: string, policyFile: string) {
    this.lab = lab;
    this.process = process;
    this.state = state;
    this.policyFile = policyFile;
    this.#follow = lab.gateway.spawn(launcher, ["logs", "--follow", "--state", state]);
    RunningGateway.#running.add(this);
  }

  /** Resolves when the gateway says it is ready; rejects with what it said otherwise. */
  static async start(lab: Lab, options: GatewayOptions): Promise<RunningGateway> {
    const state = join(lab.gateway.home, options.state ?? `state-${++gateways}`);
    mkdirSync(state, { recursive: true });
    const policyFile = writePolicy(`${state}.yaml`, options.policy);
    const args = [...gatewayArguments(lab, policyFile, state), ...(options.args ?? [])];
    const process = lab.gateway.spawn(launcher, args);
    await process.waitFor(/^sallyport: ready: /m, 30_000);
    return new RunningGateway(lab, process, state, policyFile);
  }

  /** Kills those that a failed test left behind, so that the next one finds its ports free. */
  static async killAll(): Promise<void> {
    await Promise.all([...RunningGateway.#running].map((gateway) => gateway.crash()));
  }

  /** Every event of the record that was told so far. */
  get events(): readonly Event[] {
    const end = this.#follow.stdout.lastIndexOf("\n") + 1;
    if (end > this.#read) {
      const lines = this.#follow.stdout.slice(this.#read, end - 1).split("\n");
      this.#events.push(...lines.map((line) => JSON.parse(line) as Event));
      this.#read = end;
    }
    return this.#events;
  }

  /** This moment, comparable with the `time` of events. */
  get mark(): string {
    return new Date().toISOString().replace("Z", "");
  }

  /** The events told so far that were recorded after a moment and hold `expected`. */
  recorded(expected: Expected, after = ""): Event[] {
    return this.events.filter((event) => event.time > after && holds(event, expected));
  }

  /** The first of them, now or soon; rejects with what was recorded instead. */
  async expect(expected: Expected, after = "", timeoutMs = 5_000): Promise<Event> {
    const found = await this.#until(() => this.recorded(expected, after)[0], timeoutMs);
    if (found !== undefined) return found;
    const others = this.recorded({}, after).map(brief);
    const shown = [...others.slice(0, 20), ...(others.length > 20 ? [`and ${others.length - 20} more`] : [])];
    throw new Error(
      `no event ${JSON.stringify(expected, showPattern)} in ${timeoutMs} ms; recorded:\n${shown.join("\n")}`,
    );
  }

  /** Replaces the policy file; resolves with the milliseconds until the gateway said that the new one is in force. */
  async replacePolicy(text: string): Promise<number> {
    const before = this.process.stderr.length;
    const start = performance.now();
    writePolicy(this.policyFile, text);
    const said = await this.#until(
      () => /policy \w+ in force|policy not changed/.exec(this.process.stderr.slice(before)),
      15_000,
    );
    if (said === undefined) throw new Error(`the gateway did not notice the policy: ${this.process.stderr}`);
    return performance.now() - start;
  }

  /** Resolves when a file that a restart reads holds this name or address. */
  async keeps(file: "bindings.json" | "flows.json", name: string): Promise<void> {
    const path = join(this.state, file);
    const kept = await this.#until(() => existsSync(path) && readFileSync(path, "utf8").includes(`"${name}"`), 10_000);
    if (kept === undefined) throw new Error(`${name} is not in ${file}`);
  }

  /** Runs another command of the launcher on this gateway's state directory. */
  ask(command: string, ...args: string[]): Promise<Outcome> {
    return this.lab.gateway.exec(launcher, [...command.split(" "), "--state", this.state, ...args]);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.ask("status", "--json")).stdout) as Status;
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
    await this.#follow.kill("SIGKILL");
    return outcome;
  }

  /** What `look` finds within this time; undefined where it finds nothing. */
  async #until<T>(look: () => T | null | undefined | false, timeoutMs: number): Promise<T | undefined> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const found = look();
      if (found !== undefined && found !== null && found !== false) return found;
      if (performance.now() > end) return undefined;
      await sleep(5);
    }
  }
}

/** True when `actual` has every member of `expected`. */
function holds(actual: unknown, expected: unknown): boolean {
  if (expected instanceof RegExp) return typeof actual === "string" && expected.test(actual);
  if (typeof expected !== "object" || expected === null) return actual === expected;
  if (typeof actual !== "object" || actual === null) return false;
  return Object.entries(expected).every(([key, value]) => holds((actual as Record<string, unknown>)[key], value));
}

function showPattern(_: string, value: unknown): unknown {
  return value instanceof RegExp ? String(value) : value;
}

/** One line about an event, for failures. */
export function brief(event: Event): string {
  const { seq, kind, verdict, reason, rule, source, destination, dns, message } = event;
  return JSON.stringify({ seq, kind, verdict, reason, rule: rule?.name, source, destination, dns, message });
}
