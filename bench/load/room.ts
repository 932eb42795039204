/** Where a benchmark writes much: whether the disk has room for it, said before the first byte; and a folder that does not stay. */
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";

/** Left free of a disk whatever happens, bytes. */
const leastFree = 1_000_000_000;

/** Says what will be written; throws where the disk of `directory` has no room for so many bytes. */
export function requireRoom(directory: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  const gigabytes = (value: number) => `${(value / 1e9).toFixed(1)} GB`;
  console.log(`disk: about ${gigabytes(bytes)} will be written in ${directory}, ${gigabytes(free)} are free`);
  if (free - bytes >= leastFree) return;
  throw new Error(`${directory} has no room for ${gigabytes(bytes)}: name another folder, or ask for less`);
}

/** A new folder under `parent` that is gone when this process is, also after Ctrl-C; not after SIGKILL. */
export function passingFolder(parent: string): string {
  const folder = mkdtempSync(join(parent, "sallyport-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  process.once("SIGINT", () => process.exit(130));
  process.once("SIGTERM", () => process.exit(143));
  return folder;
}
