/**
 * Workflows of a folder, read and replaced below open directories, so that no link leads out of it, neither one that was there nor
 * one that is put there meanwhile. A reader finds the old text or the new one and never a half.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { SallyportError } from "../../errors.ts";

/** Bytes. Far beyond what a workflow may have. */
const largest = 16 * 1024 * 1024;
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

export type FileRead = { readonly text: string } | { readonly why: string };

export class Folder {
  /** The real path. */
  readonly path: string;
  readonly #root: number;
  readonly #sync: (directory: string) => void;

  /** Throws WORKFLOW_UNREADABLE. A link to the folder itself is followed: somebody typed it. `sync`: brings a directory's names onto the disk. */
  constructor(path: string, sync: (directory: string) => void = syncDirectory) {
    this.#sync = sync;
    try {
      this.path = realpathSync(path);
      this.#root = openSync(this.path, O_RDONLY | O_DIRECTORY);
    } catch (error) {
      throw new SallyportError("WORKFLOW_UNREADABLE", `${path}: ${(error as Error).message}.`, {}, error);
    }
  }

  close(): void {
    closeSync(this.#root);
  }

  /** As UTF-8, with its byte order mark. Never throws. */
  read(path: string): FileRead {
    return this.#below(path, (at) => readAt(at).text);
  }

  /** Null: done. Else why not: the file is as it was, or is replaced and its directory was not brought onto the disk. */
  replace(path: string, from: string, to: string): { readonly why: string; readonly isReplaced: boolean } | null {
    let isReplaced = false;
    const done = this.#below(path, (at, directory) => {
      const before = readAt(at);
      if (before.text !== from) throw new Error("it changed meanwhile");
      const temporary = `${directory}/.sallyport-${randomBytes(6).toString("hex")}`;
      const fd = openSync(temporary, "wx", 0o600);
      try {
        writeFileSync(fd, to);
        const { uid, gid } = fstatSync(fd);
        if (uid !== before.uid || gid !== before.gid) fchownSync(fd, before.uid, before.gid);
        fchmodSync(fd, before.mode & 0o7777);
        fsyncSync(fd);
        // As late as can be: between here and the next call, nothing waits.
        if (readAt(at).text !== from) throw new Error("it changed meanwhile");
        renameSync(temporary, at);
        isReplaced = true;
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      } finally {
        closeSync(fd);
      }
      this.#sync(directory);
      return to;
    });
    return "why" in done ? { why: done.why, isReplaced } : null;
  }

  /** Opens each directory on the way without following links, and works below the last one by its number. */
  #below(path: string, work: (at: string, directory: string) => string): FileRead {
    const parts = path.split("/");
    const name = parts.pop()!;
    if ([...parts, name].some((part) => part === "" || part === "." || part === "..")) return { why: "it is no path" };
    const open: number[] = [];
    try {
      let fd = this.#root;
      for (const part of parts) {
        fd = openSync(`/proc/self/fd/${fd}/${part}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        open.push(fd);
      }
      return { text: work(`/proc/self/fd/${fd}/${name}`, `/proc/self/fd/${fd}`) };
    } catch (error) {
      return { why: reasonOf(error as NodeJS.ErrnoException) };
    } finally {
      for (const fd of open) closeSync(fd);
    }
  }
}

function readAt(at: string): { text: string; mode: number; uid: number; gid: number } {
  const fd = openSync(at, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw new Error("it is no regular file");
    if (status.size > largest) throw new Error(`it has ${status.size} bytes`);
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(fd));
    const { mode, uid, gid } = status;
    return { text, mode, uid, gid };
  } finally {
    closeSync(fd);
  }
}

/** Brings the names in a directory onto the disk. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Why a file or folder is not the effective user's alone; null: it is. `others`: the bits of a mode that let somebody else write. */
export function whyNotOwn({ uid, mode }: { uid: number; mode: number }, others: number): string | null {
  if (uid !== process.geteuid!()) return "belongs to another user";
  return (mode & others) === 0 ? null : `can be written by others (mode ${(mode & 0o7777).toString(8)})`;
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === "ELOOP" || error.code === "ENOTDIR") return "a link is on the way, and is not followed";
  if (error.code === "ENOENT") return "it is not there";
  if (error.code === "ERR_ENCODING_INVALID_ENCODED_DATA" || error instanceof TypeError) return "it is not UTF-8";
  return error.message.replaceAll(/\/proc\/self\/fd\/\d+\//g, "");
}
