/**
 * Copies of closed segments that queries keep beside the record, in `<state>/query`: their names, and taking them away. What is in
 * one, and whether it may be read, is the affair of `src/query/cache.ts`; a segment that retention deletes must be gone there too.
 */
import { constants } from "node:fs";
import { open, readdir, stat, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";

const copy = /^events-(\d{12})\.\d+\.[0-9a-f]+\.v\d+\.(?:events|sums)\.parquet$/;
const unfinished = /^tmp-[0-9a-f]+\.parquet$/;
/** Nobody works on one segment for so long. */
const abandonedMs = 3_600_000;

export function copiesDirectory(state: string): string {
  return join(state, "query");
}

/**
 * Takes away the copies in an open folder that are not wanted, and unfinished ones that nobody works on any more. Resolves with
 * how many copies went; rejects with the file system's error.
 */
export async function removeCopies(
  folder: FileHandle,
  isUnwanted: (name: string, first: number) => boolean,
): Promise<number> {
  const path = `/proc/self/fd/${folder.fd}`;
  let count = 0;
  for (const name of await readdir(path)) {
    const first = copy.exec(name)?.[1];
    if (first !== undefined && isUnwanted(name, Number(first))) {
      await removed(join(path, name));
      count++;
    } else if (unfinished.test(name)) {
      const { mtimeMs } = await stat(join(path, name)).catch(() => ({ mtimeMs: Infinity }));
      if (Date.now() - mtimeMs > abandonedMs) await removed(join(path, name));
    }
  }
  return count;
}

/** Takes away the copies of segments before the one that begins with record `first`. Rejects with the file system's error. */
export async function forgetCopies(state: string, first: number): Promise<void> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  const folder = await open(copiesDirectory(state), O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(
    (error: NodeJS.ErrnoException) => {
      // No folder, or something else in its place: no query keeps copies there.
      if (["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code ?? "")) return null;
      throw error;
    },
  );
  if (folder === null) return;
  try {
    if ((await removeCopies(folder, (_, segment) => segment < first)) > 0) await folder.sync();
  } finally {
    await folder.close();
  }
}

async function removed(path: string): Promise<void> {
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}
