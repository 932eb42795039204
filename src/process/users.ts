/** Names of users, by /etc/passwd alone: asking a directory service could itself need the network that is being decided on. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const MOST = 1024 * 1024;
const AGAIN = 30_000;

let names: ReadonlyMap<number, string> = new Map();
let readAt = Number.NEGATIVE_INFINITY;
let stamp = "";

/** The name of a user; null where /etc/passwd has none. Looked at again every half a minute. */
export function userName(uid: number): string | null {
  const now = performance.now();
  if (now - readAt > AGAIN) {
    readAt = now;
    refresh();
  }
  return names.get(uid) ?? null;
}

function refresh(): void {
  let fd: number;
  try {
    fd = openSync("/etc/passwd", "r");
  } catch {
    return;
  }
  try {
    const { mtimeMs, size, ino } = fstatSync(fd);
    if (stamp === `${mtimeMs} ${size} ${ino}`) return;
    stamp = `${mtimeMs} ${size} ${ino}`;
    const bytes = Buffer.alloc(Math.min(size, MOST));
    names = parsePasswd(bytes.toString("utf8", 0, readSync(fd, bytes, 0, bytes.length, 0)));
  } catch {
    // What was known stays.
  } finally {
    closeSync(fd);
  }
}

/** `uid → name` of passwd(5); the first of several names counts, as it does for getpwuid(3). */
export function parsePasswd(text: string): Map<number, string> {
  const found = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , uid] = line.split(":", 3);
    if (name === undefined || !/^[A-Za-z_][\w.$-]{0,63}$/.test(name) || !/^\d{1,10}$/.test(uid ?? "")) continue;
    if (!found.has(Number(uid))) found.set(Number(uid), name);
  }
  return found;
}
