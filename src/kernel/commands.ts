/**
 * Runs the few system tools the room needs (`ip`, `iptables-restore`, `iptables-save`, `conntrack`): synchronous but for
 * {@link runAside}, without a shell, with a fixed search path and environment. Called by the other files of this room and by the rooms that set up
 * places to enforce.
 */
import { execFile, spawnSync } from "node:child_process";
import { accessSync, constants, realpathSync } from "node:fs";
import { join } from "node:path";
import { SallyportError } from "../errors.ts";
import { inNamespace } from "./enter.ts";

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
const SEARCH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].join(":");
const MAX_OUTPUT = 256 * 1024 * 1024;
const ENVIRONMENT = { PATH: SEARCH, LC_ALL: "C" } as const;
const TIMEOUT = 30_000;

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

/** Runs `tool` to its end, whatever its exit code. Throws SallyportError MISSING_TOOL where there is no such tool. */
export function attempt(tool: string, args: readonly string[], options: RunOptions = {}): Finished {
  const how = {
    input: options.input ?? "",
    encoding: "utf8",
    timeout: options.timeout ?? TIMEOUT,
    killSignal: "SIGKILL",
    // A session of its own: Ctrl-C is for whoever runs us, and must not cut off a tool that takes rules away again.
    // (Node takes this for the synchronous call too; its types do not say so.)
    detached: true,
    maxBuffer: MAX_OUTPUT,
    env: ENVIRONMENT,
  } as const;
  const spawn = () => spawnSync(tool, args, how);
  const once = () => (options.namespace === undefined ? spawn() : inNamespace(options.namespace, spawn));
  let result = once();
  // Between fork and setsid the child is still in our group: a Ctrl-C in that moment ends it before it has begun.
  for (let again = 0; again < 3 && result.signal !== null && result.signal !== "SIGKILL"; again++) result = once();
  if (result.error !== undefined) {
    const code = (result.error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") throw missing(tool);
    // EPIPE: the tool ended without reading its input; its exit code and messages say why.
    if (code !== "EPIPE") throw result.error;
  }
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
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

/** What {@link attempt} does, while the event loop goes on. Rejects with MISSING_TOOL. */
export function attemptAside(tool: string, args: readonly string[], input = ""): Promise<Finished> {
  const how = { encoding: "utf8", timeout: TIMEOUT, killSignal: "SIGKILL", maxBuffer: MAX_OUTPUT } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(tool, args, { ...how, env: ENVIRONMENT }, (error, stdout, stderr) => {
      if (error?.code === "ENOENT") reject(missing(tool));
      else resolve({ status: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr });
    });
    // It may end without reading its input; its exit code and messages say why.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

/** Where `tool` is, without links; null where there is none that could be run. */
export function executable(tool: string): string | null {
  for (const folder of SEARCH.split(":")) {
    try {
      const path = realpathSync(join(folder, tool));
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return null;
}

function missing(tool: string): SallyportError {
  return new SallyportError("MISSING_TOOL", `The tool ${tool} is not installed.`, { tool });
}
