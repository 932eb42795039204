/**
 * Looks at every shell that starts whether somebody elsewhere types into it: at once, and again while it may still be getting its
 * connection. What is found is told once for each step and remote end, and not again for what such a shell starts.
 */
import {
  isRelay,
  mayBeShell,
  programName,
  type Relay,
  type ReverseShell,
  reverseShell,
} from "../detect/reverse-shell.ts";
import type { ProcessRecord } from "../process/record.ts";
import { endsOf, streamOf } from "../process/streams.ts";
import type { ProcessTable } from "../process/table.ts";

/** When a shell is looked at, ms after it started. */
const looks = [0, 300, 1_500, 5_000];
const mostWaiting = 1_024;
/** Other processes looked at for one shell, and the time for it, ms. */
const mostOthers = 200;
const othersMs = 500;

interface Waiting {
  startedAt: number;
  since: number;
  next: number;
}

export class ShellWatch {
  readonly #table: ProcessTable;
  readonly #found: (record: ProcessRecord, shell: ReverseShell) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #told = new Set<string>();

  constructor(table: ProcessTable, found: (record: ProcessRecord, shell: ReverseShell) => void) {
    this.#table = table;
    this.#found = found;
  }

  /** `pid` executed something. `now` in ms. */
  executed(pid: number, now: number): void {
    const record = this.#table.get(pid);
    if (record === null || !mayBeShell(programName(record.exe, record.args))) return;
    if (this.#waiting.size >= mostWaiting) this.#waiting.delete(this.#waiting.keys().next().value!);
    this.#waiting.set(pid, { startedAt: record.startedAt, since: now, next: 0 });
  }

  /** It has just made a connection. */
  connected(pid: number): void {
    const record = this.#table.get(pid);
    if (record !== null) this.#look(record);
  }

  tick(now: number): void {
    for (const [pid, each] of this.#waiting) {
      if (now - each.since < looks[each.next]!) continue;
      const record = this.#table.get(pid);
      while (each.next < looks.length && now - each.since >= looks[each.next]!) each.next++;
      if (record?.startedAt !== each.startedAt || this.#look(record) || each.next === looks.length) {
        this.#waiting.delete(pid);
      }
    }
  }

  #look(record: ProcessRecord): boolean {
    const { pid, exe, args } = record;
    if (!mayBeShell(programName(exe, args))) return false;
    const input = streamOf(pid, 0);
    if (input.kind === "other") return false;
    const output = streamOf(pid, 1);
    const found = reverseShell({ exe, args, input, output }, () => this.#others(record, input.kind === "terminal"));
    if (found === null) return false;
    const key = `${record.step?.pid ?? record.pid} ${found.remote}`;
    if (!this.#told.has(key)) {
      if (this.#told.size < mostWaiting) this.#told.add(key);
      this.#found(record, found);
    }
    return true;
  }

  /**
   * Those above it first, then the others of its step. Never the runner, which reads what every step writes. Only a terminal may
   * have anybody at its other side; a pipe's are asked for among programs that are made for it.
   */
  *#others(record: ProcessRecord, onTerminal: boolean): Generator<Relay> {
    const until = performance.now() + othersMs;
    const above = new Set(record.ancestors.map(({ pid }) => pid));
    const near = this.#table
      .newestFirst()
      .filter((each) => each.pid !== record.pid && !this.#table.isRunner(each))
      .filter((each) => each.step === record.step && each.container === record.container)
      .filter((each) => record.step !== null || above.has(each.pid))
      .filter(({ exe, args }) => onTerminal || isRelay(programName(exe, args)));
    const ordered = [...near.filter(({ pid }) => above.has(pid)), ...near.filter(({ pid }) => !above.has(pid))];
    for (const { pid, exe, args } of ordered.slice(0, mostOthers)) {
      if (performance.now() > until) return;
      const { remotes, terminals } = endsOf(pid);
      if (remotes.length === 0 || (onTerminal && terminals.length === 0)) continue;
      yield { pid, exe, args, above: above.has(pid), input: streamOf(pid, 0), terminals, remotes };
    }
  }
}
