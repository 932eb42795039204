/**
 * Files of one line: seals, the head, cursors of sinks. Read with a bound and through no link; replaced in one step under a name
 * that nobody can foresee, so that two who write at once, or a link that somebody planted in a shared folder, spoil nothing.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, readdir, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";

/** No file of one statement comes near. */
const smallBytes = 16 * 1024;
const unfinished = /\.json(?:\.[0-9a-f]{16})?\.new$/;

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;

/** A file of one statement; null where there is none, empty where what is there cannot be one. Never rejects. */
export async function readSmall(path: string): Promise<string | null> {
  try {
    const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(smallBytes + 1), 0, smallBytes + 1, 0);
      return bytesRead > smallBytes ? "" : buffer.toString("utf8", 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? null : "";
  }
}

/**
 * Replaces a small file in one step, durably: a new file is written and synchronised beside it, takes its name, and the folder is
 * synchronised. Mode 0600. Rejects with the file system's error, and then the file is as it was.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString("hex")}.new`;
  const handle = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Takes away what a crash left of {@link replaceFile}. Only for who alone writes in the folder. Never rejects. */
export async function sweepUnfinished(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (unfinished.test(name)) await unlink(join(folder, name)).catch(() => {});
}

/** Makes the names in a folder durable (fsync). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, O_RDONLY | O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
