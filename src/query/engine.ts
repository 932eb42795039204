/**
 * DuckDB, the only file that loads it: in memory, with few threads and little memory, because the gateway on the same machine
 * comes first. It is loaded when a question is asked, so that no other command pays for it.
 */
import { readdirSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import type { DuckDBConnection, DuckDBInstance, DuckDBResult, DuckDBValue } from "@duckdb/node-api";
import { SallyportError } from "../errors.ts";
import { literal } from "./columns.ts";
import { openFiles } from "./scratch.ts";

export interface EngineOptions {
  /** At most so many threads (2). */
  threads?: number;
  /** At most so much memory, bytes (512 MB); what needs more goes to `scratch`. */
  memoryBytes?: number;
  /** A private directory, for what does not fit into memory. */
  scratch: string;
}

/** Most bytes that may go to the scratch directory: the disk is the gateway's too. */
const scratchBytes = 4_000_000_000;
const niceness = 10;

type Api = typeof import("@duckdb/node-api");

export class Engine {
  readonly #api: Api;
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  #interrupting: NodeJS.Timeout | undefined;

  private constructor(api: Api, instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#api = api;
    this.#instance = instance;
    this.#connection = connection;
  }

  /** QUERY_ENGINE where DuckDB is not installed for this machine. */
  static async open({ threads = 2, memoryBytes = 512_000_000, scratch }: EngineOptions): Promise<Engine> {
    const api = await load();
    stepBack();
    const instance = await api.DuckDBInstance.create(":memory:", {
      threads: String(threads),
      memory_limit: `${memoryBytes}B`,
      temp_directory: scratch,
      max_temp_directory_size: `${scratchBytes}B`,
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
      allow_community_extensions: "false",
      allow_persistent_secrets: "false",
    });
    const connection = await instance.connect();
    stepBack();
    const engine = new Engine(api, instance, connection);
    await engine.run("SET TimeZone = 'UTC'");
    return engine;
  }

  /** Runs a statement of ours. Rejects with DuckDB's error. */
  async run(sql: string): Promise<void> {
    await this.#connection.run(sql);
  }

  /** All rows of a statement of ours. */
  async rows(sql: string, values: DuckDBValue[] = []): Promise<DuckDBValue[][]> {
    return (await this.#connection.runAndReadAll(sql, values)).getRows();
  }

  /** A result whose rows are fetched as they are needed. */
  async stream(sql: string): Promise<DuckDBResult> {
    return await this.#connection.stream(sql);
  }

  /** How many statements there are in `sql`, and whether the first is a SELECT. Rejects where it does not parse or bind. */
  async kind(sql: string): Promise<{ count: number; isSelect: boolean }> {
    const statements = await this.#connection.extractStatements(sql);
    if (statements.count !== 1) return { count: statements.count, isSelect: false };
    const prepared = await statements.prepare(0);
    const isSelect = prepared.statementType === this.#api.StatementType.SELECT;
    prepared.destroySync();
    return { count: 1, isSelect };
  }

  /**
   * From here on nothing but these files can be read, no extension loaded, no setting changed. It does not hold back everything
   * that SQL can do (a table function turns on logging to a file): see `select.ts`.
   */
  async lock(paths: readonly string[]): Promise<void> {
    await this.run(`SET allowed_paths = [${paths.map(literal).join(", ")}]`);
    // An allowed path is kept as what it leads to, and so is every path that is opened. That of a file which retention has
    // deleted since leads nowhere and stays as it is: then this lets it through, and no file that still has a name.
    await this.run(`SET allowed_directories = [${literal(openFiles)}]`);
    await this.run("SET enable_external_access = false");
    await this.run("SET lock_configuration = true");
  }

  /** Ends what runs, and whatever is begun after it, soon. */
  interrupt(): void {
    this.#connection.interrupt();
    // Between two statements, and while one is only beginning, there is nothing yet that an interrupt would end.
    this.#interrupting ??= setInterval(() => this.#connection.interrupt(), 50);
  }

  close(): void {
    clearInterval(this.#interrupting);
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

async function load(): Promise<Api> {
  try {
    return await import("@duckdb/node-api");
  } catch (error) {
    const why = (error as Error).message.split("\n")[0];
    const message = `DuckDB, which answers queries, cannot be loaded on ${process.platform}-${process.arch}: ${why}`;
    throw new SallyportError("QUERY_ENGINE", message, {}, error);
  }
}

/** Gives way to everybody else: all threads there are, those of the query engine among them, become nicer. */
function stepBack(): void {
  try {
    // Linux knows priorities by thread; a process's number means its first thread alone.
    for (const thread of readdirSync("/proc/self/task").map(Number)) {
      if (getPriority(thread) < niceness) setPriority(thread, niceness);
    }
  } catch {
    // A thread ended meanwhile: no reason to refuse an answer.
  }
}
