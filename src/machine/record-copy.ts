/**
 * The record of a job, for the job itself to read: a copy below the results, because the record's own folder is root's alone.
 * Copied while the agent goes on writing, so it ends where `head.json` said it ended or later, and always with a whole line.
 */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { eventsDirectory } from "../audit/segment.ts";

const wanted = /^(?:events-\d{12}\.(?:ndjson|seal\.json)|head\.json)$/;

/**
 * Copies segments, seals and the head of the record in `from`, which must be on the disk (`Spool.flush`), to the folder `to`,
 * which is replaced as a whole. Throws the file system's error.
 */
export function copyRecord(from: string, to: string): void {
  const source = eventsDirectory(from);
  const fresh = `${to}.new`;
  const target = eventsDirectory(fresh);
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(target, { recursive: true, mode: 0o755 });
  const names = readdirSync(source).filter((name) => wanted.test(name));
  // The head first: what is written meanwhile only makes the copy longer than its head. A seal before its segment would be
  // a segment that is missing, so segments come before seals.
  const order = (name: string) => (name === "head.json" ? 0 : name.endsWith(".ndjson") ? 1 : 2);
  for (const name of names.toSorted((a, b) => order(a) - order(b) || (a < b ? -1 : 1))) {
    const path = join(target, name);
    copyFileSync(join(source, name), path);
    chmodSync(path, 0o644);
  }
  const last = names
    .filter((name) => name.endsWith(".ndjson"))
    .toSorted()
    .at(-1);
  if (last !== undefined) cutToLines(join(target, last));
  for (const folder of [fresh, target]) chmodSync(folder, 0o755);
  rmSync(`${to}.old`, { recursive: true, force: true });
  try {
    renameSync(to, `${to}.old`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  renameSync(fresh, to);
  rmSync(`${to}.old`, { recursive: true, force: true });
}

function cutToLines(path: string): void {
  truncateSync(path, readFileSync(path).lastIndexOf(10) + 1);
}
