/** What the works are written with: programs that must succeed, and what servers said without what differs by place. */
import { fileURLToPath } from "node:url";
import type { ExecOptions } from "../../lab/machine.ts";
import type { WebReport } from "../../lab/internet/web.ts";
import type { Expected } from "../../support/record.ts";
import type { Job } from "../job.ts";

/** Long: many stands may share a small machine, and a work is not about time. */
const patience = 150_000;

/** Its standard output; throws where it fails. */
export async function output(
  job: Job,
  command: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await job.exec(command, args, { timeoutMs: patience, ...options });
  if (code === 0) return stdout;
  throw new Error(
    `${command} ${args.join(" ")}: ${signal ?? `exit ${code}`}\n${stderr.slice(-2000)}${stdout.slice(-500)}`,
  );
}

export function shell(job: Job, script: string, options: ExecOptions = {}): Promise<string> {
  return output(job, "sh", ["-euc", script], options);
}

/** The standard output, as JSON, of a program in `programs/`. */
export async function program(job: Job, name: string, ...args: (string | number)[]): Promise<unknown> {
  const file = fileURLToPath(new URL(`./programs/${name}.ts`, import.meta.url));
  return JSON.parse(await output(job, process.execPath, ["--no-warnings", file, ...args.map(String)])) as unknown;
}

/** curl over the job's family, with the lab's certificates verified. */
export function curl(job: Job, ...args: string[]): Promise<string> {
  return output(job, "curl", ["-sS", `-${job.v}`, "--max-time", "50", ...args]);
}

/** What the web server said of the request, but for where it came from: that is the enforcer's address, or not. */
export async function reported(job: Job, ...args: string[]): Promise<Omit<WebReport, "client">> {
  return withoutClient(JSON.parse(await curl(job, ...args)) as WebReport);
}

export function withoutClient(report: WebReport): Omit<WebReport, "client"> {
  const { client, ...rest } = report;
  void client;
  return rest;
}

/** The event of an allowed connection, by the rule and the last number of the address. */
export function allowed(rule: string, n: number, destination: object = {}): (job: Job) => Expected {
  return (job) => ({ kind: "connection", rule: { name: rule }, destination: { ip: job.dot(n), ...destination } });
}
