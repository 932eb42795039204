/**
 * Brings records and reports into the engine: sealed segments as Parquet, from the cache or made now, and what a gateway is
 * writing as a table of the whole lines there were when it was opened. Nothing here waits for a gateway or makes one wait.
 */
import { open, readFile, realpath, stat, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { readReport } from "../audit/report-file.ts";
import { SallyportError } from "../errors.ts";
import { Cache } from "./cache.ts";
import { columnList, emptyTable, literal } from "./columns.ts";
import { compact, tabulate } from "./compact.ts";
import type { Engine } from "./engine.ts";
import { copyEvents, copyWholeLines, writeEvents } from "./lines.ts";
import { pathOf, type Scratch } from "./scratch.ts";
import { identify, openRecord, type OpenSegment } from "./segments.ts";

export interface LoadOptions {
  /** Where Parquet copies are kept, instead of in each state directory. */
  cache: string | null;
  signal?: AbortSignal | undefined;
  /** How far the copying of segments is: something to show when it takes long. */
  onProgress?: ((done: number, of: number, name: string) => void) | undefined;
  /** What people should know about the answer, in words. */
  onNote?: ((text: string) => void) | undefined;
}

/** What was loaded: `SELECT`s that together are all events, and the files that they read. */
export interface Loaded {
  selects: string[];
  paths: string[];
}

/** Loads state directories and reports, each once. RECORD_UNREADABLE, REPORT_INVALID; a place is never passed over. */
export async function load(
  engine: Engine,
  scratch: Scratch,
  inputs: readonly string[],
  options: LoadOptions,
): Promise<Loaded> {
  const loaded: Loaded = { selects: [], paths: [] };
  const seen = new Set<string>();
  for (const input of inputs) {
    const real = await realpath(input).catch((error: unknown) => {
      throw new SallyportError("RECORD_UNREADABLE", `There is no ${input}`, { directory: input }, error);
    });
    if (seen.has(real)) continue;
    seen.add(real);
    const place = { engine, scratch, input, table: `live_${seen.size}`, options };
    const isRecord = (await stat(real)).isDirectory();
    await (isRecord ? loadRecord : loadReport)(place, loaded);
  }
  return loaded;
}

/** The view `record`: every event of all that was loaded. */
export async function createView(engine: Engine, { selects }: Loaded): Promise<void> {
  const all = selects.length > 0 ? selects : [`SELECT NULL::VARCHAR AS gateway, ${emptyTable} WHERE false`];
  await engine.run(`CREATE VIEW record AS ${all.join("\nUNION ALL ")}`);
}

interface Place {
  engine: Engine;
  scratch: Scratch;
  /** As the user wrote it; the value of `gateway`. */
  input: string;
  /** For what is not Parquet. */
  table: string;
  options: LoadOptions;
}

async function loadRecord(place: Place, loaded: Loaded): Promise<void> {
  const { engine, scratch, input, table } = place;
  const { sealed, live } = await openRecord(input, (handle) => scratch.keep(handle));
  const paths = await loadSealed(place, sealed);
  loaded.paths.push(...paths);
  if (paths.length > 0) {
    loaded.selects.push(select(input, `read_parquet([${paths.map(literal).join(", ")}], union_by_name = false)`));
  }
  if (live === null) return;
  const file = await scratch.file();
  await copyWholeLines(live, file);
  if ((await tabulate(engine, pathOf(file), table)) > 0) {
    const whole = { ...live, handle: file, size: (await file.stat()).size };
    const events = await scratch.file();
    tellSkipped(place, live.segment.name, await copyEvents(whole, events));
    await tabulate(engine, pathOf(events), table);
  }
  loaded.selects.push(select(input, table));
}

/** The paths of a Parquet file for each segment. */
async function loadSealed(place: Place, sealed: readonly OpenSegment[]): Promise<string[]> {
  const { scratch, input, options } = place;
  const cache = sealed.length === 0 ? null : await Cache.open(input, options.cache, (handle) => scratch.keep(handle));
  const ready: { segment: OpenSegment; copy: FileHandle | null }[] = [];
  for (const segment of sealed) {
    const copy = cache instanceof Cache ? await cache.find(await identify(segment)) : null;
    if (copy !== null) {
      scratch.keep(copy);
      await segment.handle.close();
    }
    ready.push({ segment, copy });
  }
  const of = ready.filter(({ copy }) => copy === null).length;
  if (typeof cache === "string" && of > 0) {
    options.onNote?.(`segments are read anew for this question only: ${cache}; --cache DIR keeps copies elsewhere`);
  }
  const paths: string[] = [];
  let done = 0;
  for (const { segment, copy } of ready) {
    options.signal?.throwIfAborted();
    if (copy === null) options.onProgress?.(done++, of, segment.segment.name);
    paths.push(pathOf(copy ?? (await makeCopy(place, segment, cache instanceof Cache ? cache : null))));
  }
  if (cache instanceof Cache) await cache.sweep();
  return paths;
}

/** Copies a segment: into the cache, or, where there is none or no room, into the scratch directory. */
async function makeCopy(place: Place, segment: OpenSegment, cache: Cache | null): Promise<FileHandle> {
  const { engine, scratch } = place;
  const identity = await identify(segment);
  const lasting = (await cache?.place(identity)) ?? null;
  const path = lasting ?? scratch.path();
  try {
    const skipped = await compact(engine, scratch, segment, path);
    tellSkipped(place, segment.segment.name, skipped);
    // A damaged segment is read each time, so that each answer says that it is damaged.
    if (cache !== null && lasting !== null && skipped === 0) return scratch.keep(await cache.adopt(path, identity));
    return scratch.keep(await open(path, "r"));
  } finally {
    await unlink(path).catch(() => {});
    await segment.handle.close();
  }
}

async function loadReport(place: Place, loaded: Loaded): Promise<void> {
  const { engine, scratch, input, table } = place;
  const text = await readFile(input, "utf8").catch((error: Error) => {
    throw new SallyportError("RECORD_UNREADABLE", `${input}: ${error.message}`, { path: input }, error);
  });
  const report = readReport(text);
  if (report === null) {
    throw new SallyportError("REPORT_INVALID", `${input} is no report of sallyport run with its events.`, { path: input });
  }
  tellSkipped(place, input, report.skipped);
  const file = await scratch.file();
  await writeEvents(report.events, file);
  await tabulate(engine, pathOf(file), table);
  loaded.selects.push(select(input, table));
}

function select(input: string, from: string): string {
  return `SELECT ${literal(input)} AS gateway, ${columnList} FROM ${from}`;
}

function tellSkipped({ input, options }: Place, file: string, skipped: number): void {
  if (skipped === 0) return;
  const where = file === input ? input : `${input}/events/${file}`;
  const lines = skipped === 1 ? "1 line is no event" : `${skipped} lines are no events`;
  options.onNote?.(`${where}: ${lines}, and left out; \`sallyport logs verify\` says what happened to the record`);
}
