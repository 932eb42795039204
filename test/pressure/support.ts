/**
 * A gateway between two jobs, of which one attacks and the other must notice nothing: what the tests of this folder share.
 * `SALLYPORT_PRESSURE=full` runs the long forms; the short ones have the same rates for a few seconds.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "node:test";
import type { Event } from "../../src/audit/event.ts";
import type { Lab } from "../lab/lab.ts";
import type { Machine } from "../lab/machine.ts";
import type { LabProcess } from "../lab/process.ts";
import { ask } from "../../src/enforcer/control.ts";
import type { Status } from "../../src/enforcer/status.ts";
import type { RunningGateway } from "../gateway/start.ts";
import type { Flood, Flooded } from "./flood.ts";

export const isFull = process.env["SALLYPORT_PRESSURE"] === "full";

/** How long a flood lasts. */
export const floodSeconds = isFull ? 10 : 3;

/** Resident memory of the whole gateway that no attack may exceed, MB: a quiet one has some 200. */
export const memoryBound = 500;

export const program = (name: string) => new URL(name, import.meta.url).pathname;

/** What the control socket says, without the start of a program in between. */
export function statusOf(gateway: RunningGateway): Promise<Status> {
  return ask<Status>(gateway.state, "GET", "/status");
}

/** Resident memory now and at its highest since {@link forgetPeak}, MB. */
export function memoryOf(pid: number): { now: number; peak: number } {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const of = (key: string) => Math.round(Number(new RegExp(`${key}:\\s+(\\d+)`).exec(text)![1]) / 1000);
  return { now: of("VmRSS"), peak: of("VmHWM") };
}

/** proc(5), clear_refs: the peak is from here on. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Runs a shell line on a machine; it must succeed. */
export async function shell(machine: Machine, line: string): Promise<string> {
  const { code, stdout, stderr } = await machine.exec("sh", ["-ec", line]);
  if (code !== 0) throw new Error(`${line}: ${stderr}`);
  return stdout;
}

/**
 * What an attacker does on his own machine first: his kernel must not reset connections it did not begin nor tell servers that
 * nobody listens, and it answers for every address that he forges.
 */
export async function armAttacker(lab: Lab, forgedV6: readonly string[] = []): Promise<void> {
  const runner = lab.runner(1);
  for (const tool of ["iptables", "ip6tables"]) {
    await shell(
      runner,
      `${tool} -A INPUT -p tcp --sport 443 --tcp-flags SYN,ACK SYN,ACK -j DROP; ${tool} -A INPUT -p udp --sport 53 -j DROP`,
    );
  }
  await shell(runner, `ip route add local ${forgedV4.prefix} dev lo`);
  const lines = forgedV6.map((each) => `addr add ${each}/128 dev ${lab.id}-r1 nodad`);
  await runner.exec("ip", ["-batch", "-"], { input: `${lines.join("\n")}\n` });
}

/** Addresses of runner 1's own networks that are not its own. */
export const forgedV4 = {
  prefix: "10.20.1.64/26",
  addresses: Array.from({ length: 62 }, (_, i) => `10.20.1.${65 + i}`),
};
export const forgedV6 = Array.from({ length: 200 }, (_, i) => `fd20:1::1:${(i + 1).toString(16)}`);

/** Floods from runner 1; what reached the gateway's interface, and how fast it was sent. */
export async function flood(
  lab: Lab,
  options: Flood,
  meanwhile = async (): Promise<void> => {},
): Promise<Flooded & { arrived: number }> {
  const lostBefore = await lostOnTheWire(lab);
  const running = lab
    .runner(1)
    .spawn(process.execPath, ["--no-warnings", program("flood.ts"), JSON.stringify(options)]);
  await running.waitFor(/started/);
  await meanwhile();
  const { code, stdout, stderr } = await running.exited;
  if (code !== 0) throw new Error(`the flood failed: ${stderr}`);
  const done = JSON.parse(stdout.trim().split("\n").at(-1)!) as Flooded;
  return { ...done, arrived: done.sent - ((await lostOnTheWire(lab)) - lostBefore) };
}

/** Packets that the veth pair lost because this machine was too busy. */
async function lostOnTheWire(lab: Lab): Promise<number> {
  const { stdout } = await lab.runner(1).exec("ip", ["-j", "-s", "link", "show", `${lab.id}-r1`]);
  const [link] = JSON.parse(stdout) as [{ stats64: { tx: { dropped: number } } }];
  return link.stats64.tx.dropped;
}

export interface Served {
  requests: number;
  failed: number;
  /** Milliseconds from the name's lookup to the whole answer. */
  p50: number;
  p95: number;
  max: number;
}

/** The other job: asks for an allowed page again and again, a new connection and a new lookup each time. */
export class OtherJob {
  readonly #process: LabProcess;
  #seen = 0;

  constructor(machine: Machine, url = "https://allowed.example/") {
    const line = `curl -sS -o /dev/null --max-time 20 -w '%{http_code} %{time_total}\\n' ${url} || echo failed $(date +%T.%N)`;
    this.#process = machine.spawn("sh", ["-c", `while :; do ${line}; sleep 0.1; done`]);
  }

  /** Resolves once it has been served. */
  async ready(): Promise<void> {
    await this.#process.waitFor(/^200 .*\n/m, 20_000);
  }

  /** What curl had to say. */
  get complaints(): string {
    return this.#process.stderr;
  }

  /** What it met since the last call. */
  since(): Served {
    const end = this.#process.stdout.lastIndexOf("\n") + 1;
    const lines = this.#process.stdout.slice(this.#seen, end).split("\n").filter(Boolean);
    this.#seen = end;
    const times = lines
      .filter((line) => line.startsWith("200 "))
      .map((line) => Math.round(Number(line.split(" ")[1]) * 1000))
      .toSorted((a, b) => a - b);
    const at = (part: number) => times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0;
    const failed = lines.filter((line) => !line.startsWith("200 ")).length;
    return { requests: times.length + failed, failed, p50: at(0.5), p95: at(0.95), max: times.at(-1) ?? 0 };
  }

  async stop(): Promise<void> {
    await this.#process.kill("SIGKILL");
  }
}

/** How many denied attempts the events stand for. */
export function attempts(events: readonly Event[]): number {
  return events.filter((event) => event.verdict === "deny").reduce((sum, event) => sum + (event.count ?? 1), 0);
}

/** Resolves with the value once it is what is wanted, or once the time is over. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  wanted: (value: T) => boolean,
  timeoutMs = 15_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (wanted(value) || performance.now() > end) return value;
    await sleep(100);
  }
}

/** A line in the test's output. */
export function figures(t: TestContext, values: Record<string, unknown>): void {
  t.diagnostic(JSON.stringify(values));
}
