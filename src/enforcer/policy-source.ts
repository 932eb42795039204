/**
 * The policy in force and where it comes from. A replaced or edited file is picked up by itself; a text that does not load
 * changes nothing: the last good policy stays and the failure is said. Dates in the policy (`expires`, `monitor_until`)
 * take effect when they pass.
 */
import { type FSWatcher, readFileSync, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { SallyportError } from "../errors.ts";
import { hurriedly } from "../kernel/priority.ts";
import { loadPolicy, type LoadedPolicy } from "../policy/load.ts";
import { formatProblem, type Problem } from "../policy/problem.ts";

/** Node's timers hold 31 bits of milliseconds. */
const longestTimer = 2 ** 31 - 1;
/** Editors write a file in several steps; they are taken as one. */
const settleMs = 50;
/** How often the file is looked at besides the watch (network file systems, replaced directories). */
const pollMs = 2_000;

export interface PolicyInForce {
  text: string;
  file: string;
  loaded: LoadedPolicy;
  /** The moment it was loaded for, ms since the epoch: which rules had expired by then. */
  at: number;
}

/** Loads a policy text; throws POLICY_INVALID with every problem in `data.problems`. */
export function loadText(text: string, file: string, now: Date = new Date()): PolicyInForce {
  // Whoever replaces a policy waits while traffic that the one before allows has the processors.
  const loaded = hurriedly(() => loadPolicy(text, file, now));
  if ("problems" in loaded) throw invalid(loaded.problems);
  return { text, file, loaded, at: now.getTime() };
}

/** Reads and loads a policy file; throws POLICY_UNREADABLE or POLICY_INVALID. */
export function loadFile(file: string): PolicyInForce {
  return loadText(readText(file), file);
}

/** Whether the file can be read and holds this text. */
export function holds(file: string, text: string): boolean {
  try {
    return readText(file) === text;
  } catch {
    return false;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new SallyportError("POLICY_UNREADABLE", `${file}: ${(error as Error).message}`, { file }, error);
  }
}

function invalid(problems: readonly Problem[]): SallyportError {
  const text = problems.map(formatProblem).join("\n");
  return new SallyportError("POLICY_INVALID", `The policy does not load.\n${text}`, { problems });
}

/** What a {@link PolicyWatch} calls: when the file's content may be another, and when a date set with `at` has passed. */
export interface PolicyWatcher {
  replaced: () => void;
  due: () => void;
}

/** Watches a policy file and the dates in it. */
export class PolicyWatch {
  readonly #file: string;
  readonly #watcher: PolicyWatcher;
  #watch: FSWatcher | null = null;
  #poll: NodeJS.Timeout | null = null;
  #settle: NodeJS.Timeout | null = null;
  #date: NodeJS.Timeout | null = null;
  #seen: string;

  constructor(file: string, watcher: PolicyWatcher) {
    this.#file = file;
    this.#watcher = watcher;
    this.#seen = fingerprint(file);
    try {
      // The directory, not the file: a replaced file is another inode.
      this.#watch = watch(dirname(file), (_, name) => {
        if (name === null || name === basename(file)) this.#look();
      });
      this.#watch.on("error", () => this.#watch?.close());
    } catch {
      // No inotify (limits, odd file systems): the poll below is enough, only slower.
    }
    this.#poll = setInterval(() => this.#look(), pollMs).unref();
  }

  /** Calls back once `date` has passed; a later call replaces it. */
  at(date: Date | null): void {
    if (this.#date !== null) clearTimeout(this.#date);
    this.#date = null;
    if (date === null) return;
    const wait = Math.max(0, date.getTime() - Date.now());
    const due = wait <= longestTimer;
    this.#date = setTimeout(() => (due ? this.#watcher.due() : this.at(date)), Math.min(wait, longestTimer)).unref();
  }

  close(): void {
    this.#watch?.close();
    for (const timer of [this.#poll, this.#settle, this.#date]) if (timer !== null) clearTimeout(timer);
  }

  #look(): void {
    const seen = fingerprint(this.#file);
    if (seen === this.#seen) return;
    this.#seen = seen;
    if (this.#settle !== null) clearTimeout(this.#settle);
    this.#settle = setTimeout(this.#watcher.replaced, settleMs);
  }
}

/** Changes whenever the file's content could have. */
function fingerprint(file: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(file);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch {
    return "none";
  }
}
