/**
 * A run's record to elsewhere, while it is written and for a while at its end. The run is not held up by a sink for longer than
 * that: what a sink has not got stays in the record, and its cursor beside it, so that the next run with the same folder and
 * configuration sends it first.
 */
import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { readHead } from "../audit/segment.ts";
import { type Config, loadConfigFile } from "../config/config.ts";
import type { SinkConfig } from "../config/sink.ts";
import { SallyportError } from "../errors.ts";
import { readersOf } from "../export/cursor.ts";
import { Exporter } from "../export/exporter.ts";
import type { User } from "./user.ts";

/** How long the sinks may take for what is left when the command has ended, and before somebody who waits is told, milliseconds. */
const waits = { last: 10_000, told: 2_000 } as const;

export interface Undelivered {
  sink: string;
  /** Records of the folder that it has not got. */
  records: number;
  /** Why, as far as is known; null where it was only slow. */
  error: string | null;
}

/**
 * Reads the configuration of a run. Variables that hold its secrets are taken out of our environment, which the command gets.
 * Throws CONFIG_UNREADABLE and CONFIG_INVALID, the latter also for a file that root would write to where the command can put
 * something else in its place.
 */
export function loadRunConfig(file: string, user: User | null): Config {
  const secrets = new Set<string>();
  const config = loadConfigFile(file, (name) => {
    secrets.add(name);
    return process.env[name];
  });
  for (const name of secrets) delete process.env[name];
  for (const sink of config.sinks) if (sink.to === "file" && user !== null) requireOwnFolder(sink.path, user);
  return config;
}

function requireOwnFolder(path: string, user: User): void {
  for (let folder = realFolder(dirname(path)); ; folder = dirname(folder)) {
    const { uid, mode } = statSync(folder);
    if (uid === user.uid || (mode & 0o022) !== 0) {
      const text = `Root would write ${path}, and the command could put something else there: ${folder} can be written by it.`;
      throw new SallyportError("CONFIG_INVALID", `${text} Name a file in a folder of root's.`, { path });
    }
    if (folder === dirname(folder)) return;
  }
}

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch (error) {
    throw new SallyportError("CONFIG_INVALID", `There is no folder ${folder} for a file.`, { folder }, error);
  }
}

export class RunSinks {
  readonly #state: string;
  readonly #sinks: readonly SinkConfig[];
  readonly #exporter: Exporter;

  /** `state` as this process names it; `incident`: for the record. */
  constructor(state: string, sinks: readonly SinkConfig[], incident: (message: string, data: object) => void) {
    this.#state = state;
    this.#sinks = sinks;
    this.#exporter = new Exporter({
      // The exporter is another process, and `self` another there.
      state: state.replace(/^\/proc\/self\//, `/proc/${process.pid}/`),
      sinks,
      incident: (message, data) => incident(message, data),
    });
  }

  /** Waits for the sinks, when the record is closed, and says what they have not got. `say` is told where it takes a while. */
  async finish(say: (message: string) => void): Promise<Undelivered[]> {
    const names = this.#sinks.map(({ name }) => name);
    const text = `sending the last of the record to ${names.join(", ")}; this takes at most ${waits.last / 1000} s`;
    const slow = setTimeout(() => say(text), waits.told);
    await this.#exporter.stop(waits.last, true);
    clearTimeout(slow);
    // From the disk, not from what was told last: that is what the next run goes on from.
    const head = await readHead(this.#state);
    const last = head === null || head === "damaged" ? 0 : head.seq;
    const told = this.#exporter.status();
    return (await readersOf(this.#state, names))
      .filter(({ seq }) => seq < last)
      .map(({ name, seq }) => {
        const sink = told.find((each) => each.name === name);
        const error = sink === undefined || sink.failures === 0 ? null : (sink.last_error?.message ?? null);
        return { sink: name, records: last - seq, error };
      });
  }
}
