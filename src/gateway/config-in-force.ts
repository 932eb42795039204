/**
 * The configuration while a gateway runs. Read again when it is told to or the file changes: sinks are in force at once, by an
 * exporter that goes on at their cursors; the record's own settings and the metrics' address wait for a restart, which is said
 * wherever somebody looks. A text that does not load changes nothing: the last good one stays.
 */
import type { EventBody } from "../audit/event.ts";
import { type Config, loadConfigFile } from "../config/config.ts";
import type { ConfigurationView } from "../enforcer/status.ts";
import { Exporter } from "../export/exporter.ts";
import { restartNeeds } from "./record-settings.ts";

export interface ConfigInForceOptions {
  state: string;
  /** The command line says where metrics are served. */
  hasMetricsOption: boolean;
  /** Throws where a configuration cannot go with the command line. */
  check: (config: Config) => void;
  record: (event: EventBody) => void;
  /** Told of each exporter, or none, as it comes to be. */
  exporter: (exporter: Exporter | null) => void;
}

/** How long sinks may take for the last records when they are replaced, milliseconds. */
const handOverMs = 3_000;

export class ConfigInForce {
  /** What the process was started with. */
  readonly #started: Config;
  readonly #options: ConfigInForceOptions;
  #config: Config;
  #exporter: Exporter | null = null;
  #since = new Date();
  #rejected: ConfigurationView["rejected"] = null;
  #restart: string[] = [];
  #change: Promise<unknown> = Promise.resolve();
  #stopping = false;

  /** `config` is what the process is started with. */
  constructor(config: Config, options: ConfigInForceOptions) {
    this.#started = this.#config = config;
    this.#options = options;
  }

  get file(): string {
    return this.#config.file;
  }

  /** Names of the sinks that the record is sent to now. */
  sinks(): string[] {
    return this.#config.sinks.map(({ name }) => name);
  }

  view(): ConfigurationView {
    return {
      file: this.#config.file,
      since: this.#since.toISOString(),
      rejected: this.#rejected,
      restart: this.#restart,
    };
  }

  /** Begins to export, where there is a sink. */
  start(): void {
    const { sinks } = this.#config;
    const { state, record, exporter } = this.#options;
    const incident = (message: string, data: Record<string, unknown>) => record({ kind: "lifecycle", message, data });
    this.#exporter = sinks.length === 0 ? null : new Exporter({ state, sinks, incident });
    exporter(this.#exporter);
  }

  /**
   * Reads the file, and the secrets it names, again. Resolves with what came of it, in words, when that is in force. Rejects with a
   * SallyportError where it does not load or cannot go with the command line.
   */
  async reload(): Promise<string> {
    const reloaded = this.#change.then(() => this.#reload());
    this.#change = reloaded.catch(() => {});
    return await reloaded;
  }

  /** Stops exporting, after a reload that is under way. */
  async stop(withinMs: number): Promise<void> {
    this.#stopping = true;
    await this.#change;
    await this.#exporter?.stop(withinMs);
  }

  async #reload(): Promise<string> {
    const { file } = this.#config;
    if (this.#stopping) return "the gateway is stopping";
    let next: Config;
    try {
      next = loadConfigFile(file);
      this.#options.check(next);
    } catch (error) {
      const { message } = error as Error;
      this.#rejected = { at: new Date().toISOString(), message };
      this.#record("configuration rejected", { error: message });
      throw error;
    }
    this.#rejected = null;
    const restart = restartNeeds(this.#started, next, this.#options.hasMetricsOption);
    const isOld = JSON.stringify(restart) === JSON.stringify(this.#restart);
    const isSame = JSON.stringify(next.sinks) === JSON.stringify(this.#config.sinks);
    this.#restart = restart;
    const waits = restart.length === 0 ? "" : `; a restart is needed for ${restart.join(", ")}`;
    if (isSame && isOld) return `unchanged${waits}`;
    // Before the old exporter ends: retention waits for every new sink from here on.
    this.#config = next;
    this.#since = new Date();
    this.#record("configuration in force", { sinks: this.sinks(), restart });
    if (!isSame) {
      await this.#exporter?.stop(handOverMs);
      this.start();
    }
    return `in force${waits}`;
  }

  #record(message: string, data: Record<string, unknown>): void {
    this.#options.record({ kind: "lifecycle", message, data: { file: this.#config.file, ...data } });
  }
}
