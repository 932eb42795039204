/**
 * The undo file on the disk: made new, for its owner alone, whole before the first change, and each line on the disk before the
 * next step. Nothing in it is a secret of ours: no token is ever given to it.
 */
import { closeSync, constants, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Stats } from "node:fs";
import { dirname } from "node:path";
import { SallyportError } from "../../errors.ts";
import type { Change } from "../fix/change.ts";
import { parseUndo, undoLine, undoStart } from "../fix/undo-file.ts";
import type { Progress, UndoFile, UndoHeader } from "../fix/undo-file.ts";
import { syncDirectory, whyNotOwn } from "./folder.ts";

const { O_RDONLY, O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;

export interface Journal {
  readonly path: string;
  note(change: number, state: Progress): void;
  close(): void;
}

/** Throws FILE_UNWRITABLE, also where there is a file of that name. */
export function startJournal(path: string, about: UndoHeader, changes: readonly Change[]): Journal {
  const fd = guarded(path, () => openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  const journal = journalOn(path, fd);
  guarded(path, () => {
    append(fd, undoStart(about, changes));
    syncDirectory(dirname(path));
  });
  return journal;
}

/** One that is there, to be read and gone on with: this user's alone, since whoever can write it says what is changed. Throws UNDO_INVALID. */
export function openJournal(path: string): { file: UndoFile; resume: () => Journal } {
  let text: string;
  let read: Stats;
  try {
    const fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      read = fstatSync(fd);
      if (!read.isFile()) throw new Error("it is no regular file");
      const why = whyNotOwn(read, 0o022);
      if (why !== null) throw new Error(`it ${why}, and says what is changed`);
      text = readFileSync(fd, "utf8");
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new SallyportError("UNDO_INVALID", `${path}: ${(error as Error).message}.`, {}, error);
  }
  const file = parseUndo(text, path);
  const resume = () => {
    const fd = guarded(path, () => openSync(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK));
    guarded(path, () => {
      const { dev, ino, size } = fstatSync(fd);
      if (dev !== read.dev || ino !== read.ino || size !== Buffer.byteLength(text))
        throw new Error("it changed meanwhile");
      // A line that was torn must not take the next one with it.
      if (!text.endsWith("\n")) ftruncateSync(fd, Buffer.byteLength(text.slice(0, text.lastIndexOf("\n") + 1)));
    });
    return journalOn(path, fd);
  };
  return { file, resume };
}

function journalOn(path: string, fd: number): Journal {
  return {
    path,
    note: (change, state) => guarded(path, () => append(fd, undoLine(change, state))),
    close: () => closeSync(fd),
  };
}

function append(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
  fsyncSync(fd);
}

function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new SallyportError("FILE_UNWRITABLE", `${path}: ${(error as Error).message}.`, { path }, error);
  }
}
