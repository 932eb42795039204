/**
 * Runs the few system tools the room needs (`ip`, `iptables-restore`, `iptables-save`, `conntrack`): synchronous but for
 * {@link runAside}, without a shell, with a fixed search path and environment, each in a session of its own: Ctrl-C is for
 * whoever runs us, and must not cut off a tool that takes rules away again. Called by the other files of this room and by the rooms that set up
 * places to enforce.
 */
import { accessSync, constants as files, realpathSync, statSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { SallyportError } from "../errors.ts";
import { inNamespace } from "./enter.ts";
import { type Ended, spawnAside, type SpawnDefect, spawnToEnd } from "./spawn.ts";

export interface RunOptions {
  /** Standard input. */
  input?: string;
  /** Network namespace (a name known to `ip netns`, or a path) to run the tool in. */
  namespace?: string;
  /** Milliseconds before the tool is killed; 30 s by default. */
  timeout?: number;
}

export interface Finished {
  /** Exit code; null where a signal ended it. */
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Debian keeps the tools in /usr/sbin, which the PATH of a service or of sudo may lack. */
const SEARCH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const MAX_OUTPUT = 256 * 1024 * 1024;
const TIMEOUT = 30_000;
const given = { environment: [`PATH=${SEARCH.join(":")}`, "LC_ALL=C"], maxOutput: MAX_OUTPUT } as const;

/** A tool ended with a code other than 0. */
export class CommandError extends Error {
  readonly tool: string;
  readonly args: readonly string[];
  readonly status: number | null;
  readonly stderr: string;

  constructor(tool: string, args: readonly string[], finished: Finished) {
    super(`${[tool, ...args].join(" ")}: ${finished.stderr.trim() || `exit code ${finished.status}`}`);
    this.name = "CommandError";
    this.tool = tool;
    this.args = args;
    this.status = finished.status;
    this.stderr = finished.stderr;
  }
}

/**
 * Runs `tool` to its end, whatever its exit code. Throws SallyportError MISSING_TOOL where there is no such tool, and an error where it
 * did not end in time or said too much.
 */
export function attempt(tool: string, args: readonly string[], options: RunOptions = {}): Finished {
  const path = placeOf(tool);
  const how = { ...given, input: options.input ?? "", timeout: options.timeout ?? TIMEOUT };
  const spawn = () => spawnToEnd(path, [tool, ...args], how);
  const once = () => (options.namespace === undefined ? spawn() : inNamespace(options.namespace, spawn));
  let result = once();
  // Until its session is its own it is in our group: a Ctrl-C in that moment ends it before it has begun.
  for (let again = 0; again < 3 && typeof result !== "string" && cutOff(result); again++) result = once();
  return finished(tool, args, result);
}

/** Runs `tool` and returns its standard output. Throws MISSING_TOOL, or {@link CommandError} where it fails. */
export function run(tool: string, args: readonly string[], options: RunOptions = {}): string {
  const finished = attempt(tool, args, options);
  if (finished.status !== 0) throw new CommandError(tool, args, finished);
  return finished.stdout;
}

/**
 * The same while the event loop goes on, by a thread that serves others or has more than one tool to run. The tool runs in the
 * network namespace that this thread is in when it is called. Rejects with what {@link run} throws.
 */
export async function runAside(tool: string, args: readonly string[], input = ""): Promise<string> {
  const finished = await attemptAside(tool, args, input);
  if (finished.status !== 0) throw new CommandError(tool, args, finished);
  return finished.stdout;
}

/** What {@link attempt} does, while the event loop goes on. Rejects with what that throws. */
export async function attemptAside(
  tool: string,
  args: readonly string[],
  input = "",
  timeout = TIMEOUT,
): Promise<Finished> {
  return finished(tool, args, await spawnAside(placeOf(tool), [tool, ...args], { ...given, input, timeout }));
}

const cutOff = ({ signal }: Ended) => signal !== null && signal !== constants.signals.SIGKILL;

function finished(tool: string, args: readonly string[], result: Ended | SpawnDefect): Finished {
  if (typeof result !== "string") return result;
  const what = result === "timeout" ? "did not end in time (ETIMEDOUT)" : `printed more than ${MAX_OUTPUT} bytes`;
  throw new Error(`${[tool, ...args].join(" ")}: ${what}`);
}

/** Where `tool` is, without links; null where there is none that could be run. */
export function executable(tool: string): string | null {
  const path = find(tool);
  return path === null ? null : realpathSync(path);
}

function find(tool: string): string | null {
  for (const folder of SEARCH) {
    const path = join(folder, tool);
    try {
      accessSync(path, files.X_OK);
      // A folder may be entered, which is the same permission.
      if (statSync(path).isFile()) return path;
    } catch {
      // Not here.
    }
  }
  return null;
}

function placeOf(tool: string): string {
  const path = find(tool);
  if (path === null) throw new SallyportError("MISSING_TOOL", `The tool ${tool} is not installed.`, { tool });
  return path;
}
