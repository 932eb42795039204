/**
 * How far a sink has the record, on the disk: `<state>/export/<sink>.json`, replaced in one step. Written after the sink has
 * taken a batch, so that a crash sends some records again and none never. A cursor that is damaged is the beginning: again
 * rather than never.
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../audit/segment.ts";
import { beginning, type Position } from "./record.ts";

const schema = "sallyport.cursor/1";

export class Cursor {
  readonly #folder: string;
  readonly #path: string;

  /** `sink` is a name of the configuration: letters, digits, dots, dashes and underscores. */
  constructor(state: string, sink: string) {
    this.#folder = join(state, "export");
    this.#path = join(this.#folder, `${sink}.json`);
  }

  async read(): Promise<Position> {
    try {
      return parseCursor(await readFile(this.#path, "utf8")) ?? beginning;
    } catch {
      return beginning;
    }
  }

  /** Durable when it resolves; rejects with the file system's error. */
  async write(position: Position): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await replaceFile(this.#path, `${JSON.stringify({ schema, ...position })}\n`);
  }
}

/** Null where the text is no cursor. */
export function parseCursor(text: string): Position | null {
  try {
    const { schema: found, seq, hash, segment, offset } = JSON.parse(text) as Record<string, unknown>;
    const numbers = [seq, segment, offset].every((each) => Number.isSafeInteger(each) && (each as number) >= 0);
    if (found !== schema || !numbers || typeof hash !== "string" || !/^(?:[0-9a-f]{64})?$/.test(hash)) return null;
    return { seq: seq as number, hash, segment: segment as number, offset: offset as number };
  } catch {
    return null;
  }
}
