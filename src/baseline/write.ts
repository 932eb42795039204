/** Files that people keep, written so that a reader finds the old text or the new one and never a half. */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { SallyportError } from "../errors.ts";

/**
 * Replaces a file's content in one step, by another file that takes its name, rights and owner; a link stays a link. Throws
 * FILE_UNWRITABLE, and then the file is as it was.
 */
export function writeAtomically(path: string, text: string): void {
  try {
    replace(path, text);
  } catch (error) {
    throw new SallyportError(
      "FILE_UNWRITABLE",
      `${path} cannot be written: ${(error as Error).message}.`,
      { path },
      error,
    );
  }
}

function replace(path: string, text: string): void {
  const target = real(path);
  const before = statSync(target, { throwIfNoEntry: false });
  const temporary = join(dirname(target), `.sallyport-${randomBytes(6).toString("hex")}`);
  const fd = openSync(temporary, "wx", 0o644);
  try {
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
    fsyncSync(fd);
    if (before !== undefined) {
      chmodSync(temporary, before.mode & 0o7777);
      const mine = statSync(temporary);
      if (mine.uid !== before.uid || mine.gid !== before.gid) chownSync(temporary, before.uid, before.gid);
    }
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
