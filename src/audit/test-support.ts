/** What the tests of this room share: state directories that go away, plain events, and records to tamper with. */
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after } from "node:test";
import { pathToFileURL } from "node:url";
import type { Event, EventBody } from "./event.ts";
import { readEvents } from "./read.ts";
import type { ReadFilter } from "./read.ts";
import { Spool } from "./spool.ts";
import type { SpoolOptions } from "./spool.ts";

/** A file system that is quick to synchronise, for tests that open a record hundreds of times. */
export const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A new, empty directory; removed when the test file ends. */
export function temporary(parent: string = tmpdir()): string {
  const directory = mkdtempSync(join(parent, "sallyport-audit-"));
  after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A denied connection to `port`, different in nothing else. */
export function denial(port: number, more: EventBody | object = {}): EventBody {
  return {
    kind: "connection",
    verdict: "deny",
    enforced: true,
    reason: "default",
    stage: "connect",
    source: { ip: "192.0.2.10", port: 40_000, group: null },
    destination: { name: "files.example", name_from: "dns", ip: "198.51.100.7", port, protocol: "tcp" },
    ...more,
  };
}

/** Writes a record of `count` events (destination ports 1 to `count`) and closes it. */
export async function writeRecord(
  directory: string,
  count: number,
  options: Partial<SpoolOptions> = {},
): Promise<void> {
  const spool = await Spool.open({ directory, ...options });
  for (let port = 1; port <= count; port++) spool.append(denial(port));
  await spool.close();
}

export function copyOf(directory: string, parent?: string): string {
  const copy = temporary(parent);
  cpSync(directory, copy, { recursive: true });
  return copy;
}

/** Names of the segments, in order. */
export function segmentsOf(directory: string): string[] {
  return readdirSync(join(directory, "events"))
    .filter((name) => name.endsWith(".ndjson"))
    .toSorted();
}

export function readSegment(directory: string, name: string): Buffer {
  return readFileSync(join(directory, "events", name));
}

export async function allEvents(directory: string, filter: ReadFilter = {}): Promise<Event[]> {
  const events: Event[] = [];
  for await (const event of readEvents(directory, filter)) events.push(event);
  return events;
}

/** Resolves when `condition` holds; rejects after ten seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const room = pathToFileURL(import.meta.dirname).href;

type Child = ChildProcessByStdio<null, Readable, null>;

/** Runs a module (text) in another process; `room` in the text is this folder's URL. `prefix`: a command that runs it. */
export function runModule(code: string, args: string[] = [], prefix: string[] = []): Child {
  const text = `const room = ${JSON.stringify(room)};\n${code}`;
  const [command, ...rest] = [...prefix, process.execPath, "--input-type=module", "-e", text, ...args];
  return spawn(command!, rest, { stdio: ["ignore", "pipe", "inherit"] });
}

/** What a process prints, once it has ended. */
export async function outputOf(child: Child): Promise<{ text: string; code: number | null }> {
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
  const code = await new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));
  return { text, code };
}

/** `unshare` with a private mount namespace; in a user namespace where we are not root. */
export function privateMounts(script: string): string[] {
  return ["unshare", process.getuid?.() === 0 ? "-m" : "-Urm", "sh", "-ec", `${script}; exec "$@"`, "sh"];
}
