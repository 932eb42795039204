/**
 * The machine whose clients are asked: a project's folder, a home, the system's files and the environment. Everything that
 * presets read of it goes through here. Nothing is written, and no network is asked.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { delimiter, isAbsolute, join, relative } from "node:path";
import { SallyportError } from "../errors.ts";
import { oneLine } from "../translate/note.ts";

const largestFile = 64 * 1024 * 1024;
const commandTimeout = 60_000;

/** Where to look. */
export interface Machine {
  /** The project: lockfiles and its own settings are here. */
  readonly folder: string;
  readonly home: string;
  /** What `/etc` is below; `/` but in tests. */
  readonly root: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A file that was read, and how it is called in messages ({@link nameOf}). */
export interface Text {
  readonly name: string;
  readonly text: string;
}

/** A file's text; null where there is none. One that is there and cannot be read is a failure: its hosts would be missing. */
export function readText(machine: Machine, path: string): Text | null {
  const name = nameOf(machine, path);
  try {
    const { size } = statSync(path);
    if (size > largestFile) throw new SallyportError("SETTINGS_UNREADABLE", `${name} has ${size} bytes`, { path });
    return { name, text: readFileSync(path, "utf8") };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") return null;
    if (error instanceof SallyportError) throw error;
    throw new SallyportError("SETTINGS_UNREADABLE", `${name}: ${(error as Error).message}`, { path }, error);
  }
}

/** The files of a folder with one of these endings, in order of name; none where there is no such folder. */
export function readTexts(machine: Machine, folder: string, ending: RegExp): Text[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => ending.test(name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw new SallyportError("SETTINGS_UNREADABLE", `${folder}: ${(error as Error).message}`, { folder }, error);
  }
  return names.toSorted().flatMap((name) => readText(machine, join(folder, name)) ?? []);
}

/** What files of the project are called begins so, and no other name does. */
export const projectPrefix = "./";

/**
 * How a path is called in messages: `./…` in the project, `~/…` in the home, else as it is. The first are marked, because they
 * come with a branch: whoever may open a pull request can write them.
 */
export function nameOf({ folder, home, root }: Machine, path: string): string {
  for (const [base, prefix] of [
    [folder, projectPrefix],
    [home, "~/"],
    [root, "/"],
  ] as const) {
    const inside = relative(base, path);
    if (inside !== "" && !inside.startsWith("..") && !isAbsolute(inside)) return prefix + inside;
  }
  return path;
}

/** What a command prints, run in `folder`; null where the machine has no such command. */
export function ask(
  { environment }: Machine,
  folder: string,
  command: string,
  args: readonly string[],
  also: Readonly<Record<string, string | undefined>> = {},
): string | null {
  const isThere = (environment["PATH"] ?? "")
    .split(delimiter)
    .some((path) => path !== "" && isFile(join(path, command)));
  if (!isThere) return null;
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    env: { ...environment, ...also },
    encoding: "utf8",
    timeout: commandTimeout,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (status === 0) return stdout;
  const said = stderr?.trim() || (error?.message ?? `exit ${status}`);
  throw new SallyportError("SETTINGS_UNREADABLE", `${command} ${args.join(" ")}: ${oneLine(said)}`, {}, error);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The 1-based line of a text on which `what` stands first; null where it does not. */
export function lineOf(text: string, what: string): number | null {
  const at = text.indexOf(what);
  return at < 0 ? null : text.slice(0, at).split("\n").length;
}
