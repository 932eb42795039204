/**
 * How far a sink has the record, on the disk: `<state>/export/<sink>.json`, replaced in one step. Written after the sink has
 * taken a batch, so that a crash sends some records again and none never. A cursor that is damaged says nothing, and all there
 * is is sent: again rather than never.
 */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Reader } from "../audit/retention.ts";
import { listSegments, readHead } from "../audit/segment.ts";
import { replaceFile } from "../audit/small-file.ts";
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

  /** Null where the sink has none yet: it is new. "damaged" where there is one and it says nothing. Never rejects. */
  async read(): Promise<Position | "damaged" | null> {
    try {
      return parseCursor(await readFile(this.#path, "utf8")) ?? "damaged";
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ENOENT" ? null : "damaged";
    }
  }

  /** Durable when it resolves; rejects with the file system's error. */
  async write(position: Position): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await replaceFile(this.#path, `${JSON.stringify({ schema, ...position })}\n`);
  }
}

/** Before the oldest record there is: where a new sink begins. What was deleted before it came is no loss of its own. */
export async function oldest(state: string): Promise<Position> {
  const [first] = (await listSegments(state)).segments;
  return first === undefined ? beginning : { seq: first.first - 1, hash: "", segment: first.first, offset: 0 };
}

/**
 * How far these sinks are, for retention. One without a cursor that can be read has nothing yet; so has one whose cursor is ahead
 * of the record: that was another record, and it will be sent this one from its beginning.
 */
export async function readersOf(state: string, sinks: readonly string[]): Promise<Reader[]> {
  const head = await readHead(state);
  const durable = head === null || head === "damaged" ? 0 : head.seq;
  return await Promise.all(
    sinks.map(async (name) => {
      const cursor = await new Cursor(state, name).read();
      const seq = cursor === null || cursor === "damaged" ? 0 : cursor.seq;
      return { name, seq: seq > durable ? 0 : seq };
    }),
  );
}

/** The sinks that the record of a state directory was ever sent to, in order of name. */
export async function knownSinks(state: string): Promise<string[]> {
  const names = await readdir(join(state, "export")).catch(() => []);
  return names.flatMap((name) => /^([\w.-]+)\.json$/.exec(name)?.[1] ?? []).toSorted();
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
