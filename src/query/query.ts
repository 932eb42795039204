/**
 * Questions to one or many records: `open` once, `ask` or `select`, `close`. Called by the command line and the benchmark.
 *
 * What is asked sees each record as it was when the query was opened. It reads files, takes no lock, and is never waited for by
 * a gateway. Before SQL of somebody else's runs, the engine is locked: it can reach the copies it reads and nothing else.
 */
import { formatTime } from "../audit/clock.ts";
import { SallyportError } from "../errors.ts";
import { Engine } from "./engine.ts";
import { emptyTable } from "./columns.ts";
import { load, type Loaded, type LoadOptions } from "./load.ts";
import { partsSql, recordSql, type Window } from "./parts.ts";
import { questions, questionSql, type Field, type Question, type QuestionName } from "./questions.ts";
import { Scratch } from "./scratch.ts";
import { findShortfalls, type Shortfall, within } from "./shortfalls.ts";
import { checkSelect, refused, shown } from "./select.ts";
import { plain, type Value } from "./value.ts";

export interface QueryOptions extends Partial<LoadOptions> {
  /** State directories, and reports of `sallyport run`. */
  inputs: readonly string[];
  /** Microseconds since the epoch: events of that time and later, and before. */
  since?: number | null;
  until?: number | null;
  threads?: number;
  memoryBytes?: number;
  /** Most bytes of an answer, about (64 MB): it is held in memory that is not the engine's. */
  answerBytes?: number;
}

export interface Answer {
  fields: Field[];
  rows: Value[][];
  /** There are more rows than were asked for. */
  more: boolean;
  /** What the records have not, of the time that was asked about: it is not counted. */
  incomplete: Shortfall[];
}

export class Query {
  readonly #engine: Engine;
  readonly #scratch: Scratch;
  readonly #options: QueryOptions;
  readonly #loaded: Loaded;
  readonly #shortfalls: Awaited<ReturnType<typeof findShortfalls>>;
  #isLocked = false;

  private constructor(
    engine: Engine,
    scratch: Scratch,
    options: QueryOptions,
    loaded: Loaded,
    shortfalls: Awaited<ReturnType<typeof findShortfalls>>,
  ) {
    this.#engine = engine;
    this.#scratch = scratch;
    this.#options = options;
    this.#loaded = loaded;
    this.#shortfalls = shortfalls;
  }

  /** Loads the inputs. QUERY_ENGINE, QUERY_FAILED, RECORD_UNREADABLE, REPORT_INVALID; an aborted signal's reason. */
  static async open(options: QueryOptions): Promise<Query> {
    const scratch = await Scratch.make();
    let engine: Engine | null = null;
    const { signal } = options;
    const stop = () => engine?.interrupt();
    try {
      engine = await Engine.open({
        scratch: scratch.spill,
        ...(options.threads === undefined ? {} : { threads: options.threads }),
        ...(options.memoryBytes === undefined ? {} : { memoryBytes: options.memoryBytes }),
      });
      signal?.addEventListener("abort", stop);
      const loaded = await load(engine, scratch, options.inputs, { ...options, cache: options.cache ?? null });
      const { since = null, until = null } = options;
      await engine.run(`CREATE VIEW record AS ${recordSql(loaded.records, emptyTable)}`);
      await engine.run(
        `CREATE VIEW events AS SELECT * FROM record WHERE ${since === null ? "true" : `time >= ${literalTime(since)}`}` +
          (until === null ? "" : ` AND time < ${literalTime(until)}`),
      );
      return new Query(engine, scratch, options, loaded, await findShortfalls(engine, loaded.records));
    } catch (error) {
      engine?.close();
      await scratch.remove();
      signal?.throwIfAborted();
      throw failure(error);
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Answers one of our questions. QUERY_FAILED. */
  async ask(name: QuestionName, limit: number): Promise<Answer> {
    const question: Question = questions[name];
    const { until = null } = this.#options;
    const ago = question.sinceMs === null ? null : (Date.now() - question.sinceMs) * 1000;
    const since = this.#options.since ?? ago;
    const window: Window = { since: question.needsPast === true ? null : since, until };
    const parts = partsSql(question.family, this.#loaded.records, window, literalTime);
    const sql = questionSql(question, parts, since === null ? null : literalTime(since), limit + 1);
    const incomplete = within(this.#shortfalls, window);
    return { fields: [...question.fields], ...(await this.#fetch(sql, limit)), incomplete };
  }

  /** Answers SQL over `events` and `record`. QUERY_INVALID for what is no single SELECT or does not bind; QUERY_FAILED. */
  async select(sql: string, limit: number): Promise<Answer> {
    if (!this.#isLocked) await this.#engine.lock(this.#loaded.paths);
    this.#isLocked = true;
    await checkSelect(this.#engine, sql);
    const fields: Field[] = [];
    const rows = await this.#fetch(sql, limit, fields);
    const { since = null, until = null } = this.#options;
    return { fields, ...rows, incomplete: within(this.#shortfalls, { since, until }) };
  }

  async close(): Promise<void> {
    this.#engine.close();
    await this.#scratch.remove();
  }

  /** At most `limit` rows. Pushes the columns to `fields`, where it is given. */
  async #fetch(sql: string, limit: number, fields?: Field[]): Promise<{ rows: Value[][]; more: boolean }> {
    const { signal, answerBytes = 64_000_000 } = this.#options;
    const stop = () => this.#engine.interrupt();
    signal?.addEventListener("abort", stop);
    try {
      signal?.throwIfAborted();
      const result = await this.#engine.stream(sql);
      for (const name of fields === undefined ? [] : result.deduplicatedColumnNames()) {
        fields?.push({ name, kind: "text" });
      }
      const rows: Value[][] = [];
      let held = 0;
      for await (const chunk of result.yieldRows()) {
        for (const row of chunk) {
          if (rows.length === limit) return { rows, more: true };
          const values = row.map(plain);
          held += heldBy(values);
          if (held > answerBytes) throw refused(`The answer is larger than ${answerBytes} bytes; ask for less.`);
          rows.push(values);
        }
      }
      return { rows, more: false };
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof SallyportError) throw error;
      throw fields === undefined || !isAuthors(error) ? failure(error) : refused((error as Error).message);
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }
}

/** About how many bytes a row of an answer is. */
function heldBy(value: Value): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 8;
  let sum = 16;
  for (const each of Object.values(value)) sum += heldBy(each);
  return sum;
}

/** A time as an SQL literal; the text is made here, of a number. */
function literalTime(micros: number): string {
  return `TIMESTAMP '${formatTime(micros).slice(0, -1)}'`;
}

/** Whether an error is of what the author of the SQL wrote, and not of the machine or the files. */
function isAuthors(error: unknown): boolean {
  return !/^(?:IO|Out of Memory|Internal|Fatal|Interrupt) /.test((error as Error).message);
}

function failure(error: unknown): unknown {
  if (error instanceof SallyportError) return error;
  return new SallyportError(
    "QUERY_FAILED",
    `The question could not be answered: ${shown((error as Error).message)}`,
    {},
    error,
  );
}
