/**
 * Tells of files that git tracks and that somebody writes after they were checked out. The index is read when a step that uses a
 * `checkout` action has ended; each folder with a tracked file gets a mark. Writers are told by the kernel, with each event.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathsInIndex } from "../detect/git-index.ts";
import { FolderWatch, type Written } from "../kernel/fanotify.ts";
import type { ProcessRecord, StepTag } from "../process/record.ts";
import { isFolder } from "../process/streams.ts";
import type { ProcessTable } from "../process/table.ts";

export interface Overwritten {
  step: StepTag | null;
  /** Distinct files. */
  count: number;
  examples: string[];
  /** Programs that wrote, at most as many as examples. */
  programs: string[];
  /** The first one that wrote. */
  writer: ProcessRecord | null;
}

const mostFolders = 16_384;
const mostIndex = 64 * 1024 * 1024;
const mostLooked = 2_000;
const shown = 5;
const mostFiles = 100_000;

interface Group extends Overwritten {
  files: Set<string>;
}

export class SourceWatch {
  /** What is not watched, in words. */
  readonly limits = new Set<string>();
  readonly #workspace: string;
  readonly #table: ProcessTable;
  readonly #watch: FolderWatch;
  readonly #tracked = new Map<string, Set<string>>();
  readonly #groups = new Map<StepTag | null, Group>();
  #files = 0;
  #written: Written[] = [];

  /** Throws KernelError where the kernel cannot tell. */
  constructor(workspace: string, table: ProcessTable) {
    this.#workspace = workspace;
    this.#table = table;
    this.#watch = new FolderWatch();
  }

  /** A step has ended: where it was a checkout, or may have been, what it brought is watched from now on. */
  ended(step: StepTag): void {
    // Too short for its name to be read.
    const mayBe = step.name === null && this.#tracked.size === 0;
    if (!isCheckout(step) && !mayBe) return;
    this.read();
    this.#table.drain();
    this.take();
    for (const copy of workingCopies(this.#workspace)) {
      const index = readIndex(join(copy, ".git/index"));
      const paths = index === null ? null : pathsInIndex(index);
      if (paths === null) this.limits.add(`the index of ${copy} cannot be read: writes to its files are not told`);
      for (const path of paths ?? []) this.#track(join(copy, path));
    }
  }

  #track(path: string): void {
    if (!path.startsWith(`${this.#workspace}/`) || this.#files >= mostFiles) {
      this.limits.add(`of more than ${mostFiles} tracked files the first are watched`);
      return;
    }
    const folder = dirname(path);
    let names = this.#tracked.get(folder);
    if (names === undefined) {
      if (this.#tracked.size >= mostFolders || !this.#watch.add(folder)) {
        this.limits.add("some folders with tracked files are not watched");
        return;
      }
      this.#tracked.set(folder, (names = new Set()));
    }
    names.add(path.slice(folder.length + 1));
    this.#files++;
  }

  /** Asks the kernel what was written. The writers' beginnings are told elsewhere: the table is drained between this and {@link take}. */
  read(): void {
    this.#written.push(...this.#watch.take());
  }

  /** Takes in what was read. */
  take(): void {
    for (const { pid, folder, name } of this.#written.splice(0)) {
      if (this.#tracked.get(folder)?.has(name) !== true) continue;
      const writer = this.#table.lately(pid);
      const step = writer?.step ?? null;
      if (writer !== null && (this.#table.isRunner(writer) || isGit(writer) || pid === process.pid)) continue;
      if (step !== null && isCheckout(step)) continue;
      let group = this.#groups.get(step);
      if (group === undefined) {
        group = { step, count: 0, examples: [], programs: [], writer, files: new Set() };
        this.#groups.set(step, group);
      }
      const path = join(folder, name).slice(this.#workspace.length + 1);
      if (group.files.has(path)) continue;
      group.files.add(path);
      group.count++;
      if (group.examples.length < shown) group.examples.push(path);
      const program = writer?.exe ?? "unknown";
      if (group.programs.length < shown && !group.programs.includes(program)) group.programs.push(program);
    }
    if (this.#watch.overflowed) this.limits.add("the kernel lost some news of written files");
  }

  /** One for each step that is over; with `all` for the others, too. */
  findings(all: boolean): Overwritten[] {
    const found: Overwritten[] = [];
    for (const [step, group] of this.#groups) {
      if (!all && step?.endedAt === null) continue;
      if (!all && step === null) continue;
      this.#groups.delete(step);
      const { files: _, ...told } = group;
      found.push(told);
    }
    return found;
  }

  close(): void {
    this.#watch.close();
  }
}

function isCheckout({ action }: StepTag): boolean {
  return /\/checkout$/i.test(action ?? "");
}

/** git itself, of the machine's own. */
function isGit({ exe, native }: ProcessRecord): boolean {
  return native && exe !== null && /^\/usr\/(?:local\/)?(?:bin\/git|(?:lib|libexec)\/git-core\/git[\w-]*)$/.test(exe);
}

/** Folders with an index: the workspace, and down to two below it. */
function workingCopies(workspace: string): string[] {
  const found: string[] = [];
  let level = [workspace];
  let looked = 0;
  for (let depth = 0; depth <= 2; depth++) {
    const below: string[] = [];
    for (const folder of level) {
      if (looked++ > mostLooked) return found;
      if (isFolder(join(folder, ".git"))) found.push(folder);
      if (depth < 2) below.push(...foldersIn(folder));
    }
    level = below;
  }
  return found;
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((each) => each.isDirectory() && each.name !== ".git" && each.name !== "node_modules")
      .map(({ name }) => join(folder, name));
  } catch {
    return [];
  }
}

/** The job may have put anything there: a pipe would never end, a link may lead anywhere. */
function readIndex(path: string): Buffer | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return null;
  }
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size <= mostIndex ? readFileSync(fd) : null;
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}
