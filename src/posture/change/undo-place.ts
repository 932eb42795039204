/**
 * Where the undo file goes when nobody says: beside the repository's objects, in `.git/sallyport/`. There no `git add` takes it
 * along (it has workflows' texts and settings in it), no `git clean` takes it away, and a linked worktree that is removed leaves it.
 * Git itself is not asked: a repository that it refuses ("dubious ownership") must not get the file among its own. Nor does it go
 * into a git folder of somebody else, `/tmp/.git` above all: who can replace it says what a later `--undo` changes.
 */
import { lstatSync, mkdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { SallyportError } from "../../errors.ts";
import { syncDirectory, whyNotOwn } from "./folder.ts";

/** Bytes of a `.git` file or a `commondir`, which hold one path. */
const mostOfPointer = 8192;

/**
 * A path that is not there yet, its folder made. `folders`: where a repository is looked for, in this order; outside of any, the file
 * goes into the last. `made`: RFC 3339. Throws FILE_UNWRITABLE, also where the repository is not this user's alone.
 */
export function undoPlace(folders: readonly string[], made: string): string {
  const time = made.replaceAll(/[-:]|\.\d+/g, "");
  const git = folders.map(gitFolderOf).find((each) => each !== null);
  if (git === undefined) return join(realpathSync(folders.at(-1)!), `sallyport-undo-${time}.jsonl`);
  const own = join(git, "sallyport");
  try {
    // Whole groups share repositories (core.sharedRepository). What they put in the file's place is theirs, and is not read back.
    mustBeOwn(git, 0o002);
    mkdirSync(own, { mode: 0o700, recursive: true });
    mustBeOwn(own, 0o022);
    syncDirectory(git);
  } catch (error) {
    throw new SallyportError("FILE_UNWRITABLE", `${own}: ${(error as Error).message}.`, { path: own }, error);
  }
  return join(own, `undo-${time}.jsonl`);
}

/** Throws where a folder is a link, or somebody else than its user may put things into it. `others`: the bits of its mode that say so. */
function mustBeOwn(path: string, others: number): void {
  const status = lstatSync(path);
  if (!status.isDirectory()) throw new Error("a link is there, and is not followed");
  const why = whyNotOwn(status, others);
  if (why !== null) throw new Error(`${path} ${why}: say with --undo-file where the undo file is to go`);
}

/** Whether a file is among those of a repository that a commit would take: below it, and not in its git folder. */
export function isAmongFiles(path: string): boolean {
  const folder = realpathSync(dirname(path));
  const git = gitFolderOf(folder);
  return git !== null && /^\.\.(?:\/|$)/.test(relative(git, folder));
}

/**
 * The git folder of the repository that a folder is in, of a linked worktree its main one; null: it is in none. A folder that only
 * looks like a bare repository is none: a commit can have `HEAD`, `objects/` and `refs/`, but no `.git`.
 */
function gitFolderOf(folder: string): string | null {
  let at: string;
  try {
    at = realpathSync(folder);
  } catch {
    return null;
  }
  for (;;) {
    const git = gitFolderAt(join(at, ".git"));
    if (git !== null) return git;
    const above = dirname(at);
    if (above === at) return null;
    at = above;
  }
}

/** gitrepository-layout(5): `.git` is a folder, or a file that names one, whose `commondir` may name another. */
function gitFolderAt(path: string): string | null {
  try {
    let git = realpathSync(path);
    const named = statSync(git).isFile() ? /^gitdir: (.+)$/.exec(pointer(git))?.[1] : "";
    if (named === undefined) return null;
    if (named !== "") git = realpathSync(resolve(dirname(git), named));
    const common = join(git, "commondir");
    if (lstatSync(common, { throwIfNoEntry: false })?.isFile() === true)
      git = realpathSync(resolve(git, pointer(common)));
    return isGitFolder(git) ? git : null;
  } catch {
    return null;
  }
}

function pointer(path: string): string {
  if (statSync(path).size > mostOfPointer) throw new Error("it is no path");
  return readFileSync(path, "utf8").trim();
}

function isGitFolder(path: string): boolean {
  const isThere = (name: string, kind: "isFile" | "isDirectory") =>
    statSync(join(path, name), { throwIfNoEntry: false })?.[kind]() === true;
  return isThere("HEAD", "isFile") && isThere("objects", "isDirectory") && isThere("refs", "isDirectory");
}
