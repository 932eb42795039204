/** An agent between its beginning and its first word, as whoever begins it sees it. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { SallyportError } from "../errors.ts";
import { removeCgroup } from "../kernel/own-cgroup.ts";
import type { AgentAnswer, AgentWord } from "./order.ts";
import type { Places } from "./places.ts";
import { cgroupOf } from "./predecessor.ts";

export class Starting {
  readonly #places: Places;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #words: AsyncIterator<string, undefined>;
  #failure: Error | null = null;

  /** Runs the program that is in its place, in a session of its own. It loads, and waits. */
  constructor(places: Places) {
    this.#places = places;
    const log = openSync(
      places.log,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND,
      0o600,
    );
    this.#child = spawn(process.execPath, [join(places.program, "agent.mjs"), places.order], {
      cwd: "/",
      detached: true,
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" },
      stdio: ["pipe", log, log, "pipe"],
    });
    closeSync(log);
    this.#ended = new Promise((resolve) => {
      this.#child.once("exit", resolve);
      this.#child.once("error", (error) => resolve((this.#failure = error)));
    });
    // It may be gone by the time it is spoken to; that there is no answer says so.
    this.#child.stdin?.on("error", () => {});
    const words = this.#child.stdio[3] as Readable | null | undefined;
    this.#words = lines(words ?? null);
  }

  /** Has it begin: its order is in its place, and `word` goes with it. `selfTest` makes the line that it is told when it asks. Throws AGENT. */
  async order(word: AgentWord, selfTest: () => Promise<string>): Promise<AgentAnswer> {
    const tell = (line: string) => this.#child.stdin?.write(`${line}\n`);
    tell(JSON.stringify(word));
    for (;;) {
      const { value } = await this.#words.next();
      if (value === undefined) break;
      const word = JSON.parse(value) as AgentAnswer | { selfTest: true };
      if ("selfTest" in word) tell(await selfTest());
      else {
        if (word.ready) this.#release();
        return word;
      }
    }
    await this.#ended;
    if (this.#failure !== null)
      throw new SallyportError("AGENT", `The agent could not be run: ${this.#failure.message}.`);
    const said = readFileSync(this.#places.log, "utf8").trim().slice(-4_000);
    const last = said === "" ? "It said nothing." : said;
    throw new SallyportError("AGENT", `The agent ended before it enforced. ${last}`);
  }

  /** Ends it; when this resolves nothing of it runs, and its control group is gone. */
  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
    this.#release();
    if (this.#child.pid !== undefined) removeCgroup(cgroupOf(this.#child.pid));
  }

  /** It stays when we go. */
  #release(): void {
    this.#child.stdin?.destroy();
    (this.#child.stdio[3] as Readable | null | undefined)?.destroy();
    this.#child.unref();
  }
}

/** Read from now on: an agent may be over before anybody asks what it said, and Node lets go what nobody reads then. */
function lines(stream: Readable | null): AsyncIterator<string, undefined> {
  if (stream === null) return Readable.from([])[Symbol.asyncIterator]();
  stream.on("error", () => {});
  return createInterface({ input: stream })[Symbol.asyncIterator]();
}
