/**
 * A command in the test's own process, with what it printed and its exit code: a process of its own each time takes most of a
 * test's time. Not for two at once, since what a process has one of (folder, environment, console, exit code) is lent out meanwhile.
 */
import { Command, CommanderError } from "commander";
import { fail } from "../fail.ts";
import { addPostureCommand } from "../posture.ts";

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** No token of the host's, and no API that is there. */
export const plainEnv = { GITHUB_TOKEN: "", GH_TOKEN: "", GITHUB_API_URL: "https://api.example" };

/** `sallyport posture`, in the folder `at` where one is given; `env` goes over `plainEnv` and the process's own. */
export async function postureHere(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  at: string | null = null,
): Promise<Ended> {
  const out = { log: "", error: "" };
  const kept = { log: console.log, error: console.error, code: process.exitCode, at: process.cwd() };
  const { argv } = process;
  const lent = { ...plainEnv, ...env };
  const before = { ...process.env };
  Object.assign(process.env, lent);
  for (const name of ["log", "error"] as const)
    console[name] = (text: unknown) => {
      out[name] += `${String(text)}\n`;
    };
  const program = new Command("sallyport").exitOverride();
  addPostureCommand(program);
  const [command] = program.commands;
  command!.exitOverride().configureOutput({
    writeOut: (text) => (out.log += text),
    writeErr: (text) => (out.error += text),
  });
  try {
    if (at !== null) process.chdir(at);
    // The help looks there for what it is asked about.
    process.argv = [...argv.slice(0, 2), "posture", ...words];
    process.exitCode = 0;
    await program.parseAsync(["posture", ...words], { from: "user" });
    return { code: process.exitCode, stdout: out.log, stderr: out.error };
  } catch (error) {
    const code = error instanceof CommanderError ? (error.exitCode === 0 ? 0 : 2) : fail(error);
    return { code, stdout: out.log, stderr: out.error };
  } finally {
    Object.assign(console, { log: kept.log, error: kept.error });
    process.exitCode = kept.code;
    process.chdir(kept.at);
    process.argv = argv;
    for (const name of Object.keys(lent)) delete process.env[name];
    Object.assign(process.env, before);
  }
}
