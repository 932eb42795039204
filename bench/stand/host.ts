/** The machine that a run is on: what it is, and whether others are using it. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Result } from "../report/result.ts";

/** Above this many busy processors figures say more about the others' work. */
const mostBusy = 0.15;

/** Looks for a second. */
export async function lookAtHost(): Promise<Result["host"]> {
  const before = busySeconds();
  const start = performance.now();
  await sleep(1000);
  const busy = (busySeconds() - before) / ((performance.now() - start) / 1000);
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cpus: availableParallelism(),
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    busy: Number(busy.toFixed(2)),
    quiet: busy <= mostBusy,
    versions: {},
  };
}

/** Seconds of processor that the whole machine used so far, those taken from it by its host included (proc_stat(5)). */
export function busySeconds(): number {
  const fields = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!.trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , interrupt = 0, soft = 0, steal = 0] = fields;
  return (user + nice + system + interrupt + soft + steal) / 100;
}

/** What Debian calls the installed versions of these packages; those that are not installed are left out. */
export function packageVersions(packages: readonly string[]): Record<string, string> {
  let text = "";
  try {
    text = execFileSync("dpkg-query", ["-W", "-f=${db:Status-Status} ${Package} ${Version}\n", ...packages], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch (error) {
    // It fails when one is unknown, having told of the others.
    text = (error as { stdout?: string }).stdout ?? "";
  }
  const found = text.split("\n").flatMap((line) => {
    const [status, name, version] = line.split(" ");
    return status === "installed" ? [[name!, version!] as const] : [];
  });
  return Object.fromEntries(found);
}
