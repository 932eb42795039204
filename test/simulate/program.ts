/** `sallyport simulate` as people call it, on this machine: it makes its own namespaces, so it needs no lab. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { listNamespaces } from "../../src/kernel/namespace.ts";
import type { Simulation } from "../../src/simulate/outcome.ts";
import { LabProcess, type Outcome } from "../lab/process.ts";
import { root } from "../support/modules.ts";

export const sallyport = join(root, "sallyport");

/** Starts `sallyport simulate ARGS` in a session of its own. */
export function start(args: readonly string[]): LabProcess {
  const env = { ...process.env };
  for (const name of ["FORCE_COLOR", "SALLYPORT_SINK_TOKEN"]) delete env[name];
  const child = spawn(sallyport, ["simulate", ...args], { stdio: ["ignore", "pipe", "pipe"], detached: true, env });
  return new LabProcess(child);
}

export async function simulate(args: readonly string[]): Promise<Outcome> {
  const running = start(args);
  running.limit(200_000);
  return running.exited;
}

/** With `--json`. */
export async function simulation(args: readonly string[]): Promise<Outcome & { simulation: Simulation }> {
  const outcome = await simulate(["--json", "--quiet", ...args]);
  if (!outcome.stdout.startsWith("{")) throw new Error(`no result: exit ${outcome.code}\n${outcome.stderr}`);
  return { ...outcome, simulation: JSON.parse(outcome.stdout) as Simulation };
}

/** What is left on this machine of the simulation that had this pid. */
export function leftOf(pid: number): string[] {
  const folder = "/run/sallyport/simulate";
  return [
    ...listNamespaces(`sallyport-sim-${pid}-`),
    ...(existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith(`${pid}-`)) : []),
  ];
}

export function verdicts({ techniques }: Simulation): Record<string, string> {
  return Object.fromEntries(techniques.map(({ id, verdict }) => [id, verdict]));
}
