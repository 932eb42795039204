/**
 * A small file of rows in the state directory that outlives the process: read once at start, replaced as a whole while
 * running. A missing, damaged or foreign file is an empty one: what is forgotten is refused, never let through.
 */
import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

export class Snapshot {
  readonly path: string;
  readonly #schema: string;
  #writing: Promise<void> = Promise.resolve();

  /** `schema` names the content and its version; a file that says another is not read. */
  constructor(state: string, name: string, schema: string) {
    this.path = join(state, name);
    this.#schema = schema;
  }

  read(): unknown[][] {
    try {
      const file = JSON.parse(readFileSync(this.path, "utf8")) as { schema?: unknown; rows?: unknown };
      if (file.schema !== this.#schema || !Array.isArray(file.rows)) return [];
      return file.rows.filter((row): row is unknown[] => Array.isArray(row));
    } catch {
      return [];
    }
  }

  /**
   * Replaces the content in one step: a reader sees the old or the new one. Writes are done one after the other, and the rows taken
   * piece by piece as they are written, so that many of them neither stop the thread nor stand in memory together.
   */
  write(rows: Iterable<readonly unknown[]>): Promise<void> {
    const written = this.#writing.then(async () => {
      await writeFile(`${this.path}.new`, pieces(this.#schema, rows), { mode: 0o600 });
      await rename(`${this.path}.new`, this.path);
    });
    this.#writing = written.catch(() => {});
    return written;
  }
}

/** UTF-16 units of a piece, about. */
const pieceUnits = 64 * 1024;

function* pieces(schema: string, rows: Iterable<readonly unknown[]>): Generator<string> {
  let text = `{"schema":${JSON.stringify(schema)},"rows":[`;
  let isFirst = true;
  for (const row of rows) {
    text += `${isFirst ? "" : ","}${JSON.stringify(row)}`;
    isFirst = false;
    if (text.length < pieceUnits) continue;
    yield text;
    text = "";
  }
  yield `${text}]}`;
}
