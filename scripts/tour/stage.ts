/**
 * Where the guided run plays: on this host's own network, or, where npm cannot reach its registry, in an internet in a box.
 * A stage runs programs of the host that the run polices.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { Lab } from "../../test/lab/lab.ts";

export const home = join(import.meta.dirname, "../..");

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Stage {
  /** What to tell about it. */
  where: string;
  /** The command to watch. */
  watched: string[];
  /** Runs a program to its end. */
  exec(command: string, args: readonly string[]): Promise<Finished>;
  close(): Promise<void>;
}

/** Without a network npm would try for minutes. */
const impatient = { npm_config_fetch_retries: "0", npm_config_fetch_timeout: "15000" };

/** This host. `cache` is npm's for the run: answers from an older cache would show no contact at all. */
export const hostStage = (cache: string): Stage => ({
  where: "this host's own network",
  watched: ["npm", "view", "is-number", "version"],
  exec: (command, args) =>
    new Promise((resolve, reject) => {
      // A process group of its own: Ctrl-C reaches this process, which ends the run and waits until it has cleaned up.
      const child = spawn(command, args, {
        cwd: home,
        env: { ...process.env, ...impatient, npm_config_cache: cache },
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
      });
      const forward = () => child.kill("SIGINT");
      process.once("SIGINT", forward);
      let stdout = "";
      let stderr = "";
      child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
      child.once("error", reject);
      child.once("close", (code) => {
        process.off("SIGINT", forward);
        resolve({ code: code ?? 130, stdout, stderr });
      });
    }),
  close: async () => {},
});

/** A machine in the lab plays the host; its registry serves packages made a moment ago. */
export async function boxStage(): Promise<Stage> {
  const lab = await Lab.create({ sink: false, forwarding: true, routeInside: true });
  return {
    where: "an internet in a box (npm could not reach its registry from here)",
    watched: ["npm", "view", "lab-padding", "version", "--registry", "https://registry.npm.example/"],
    exec: async (command, args) => {
      const done = await lab.runner(1).exec(command, args, { cwd: home, timeoutMs: 60_000 });
      return { code: done.code ?? 130, stdout: done.stdout, stderr: done.stderr };
    },
    close: () => lab.close(),
  };
}
