/**
 * Brings records and reports into the engine: sealed segments as Parquet, from the cache or made now, and what a gateway is
 * writing as a table of the whole lines there were when it was opened. Nothing here waits for a gateway or makes one wait.
 */
import { open, readFile, realpath, stat, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { lockHolder } from "../audit/lock.ts";
import { readReport } from "../audit/report-file.ts";
import { readHead } from "../audit/segment.ts";
import { SallyportError } from "../errors.ts";
import { Cache, type Half } from "./cache.ts";
import { literal } from "./columns.ts";
import { compact, fill, tabulate } from "./compact.ts";
import type { Engine } from "./engine.ts";
import { copyWholeLines, writeEvents } from "./lines.ts";
import type { Copy, LoadedRecord } from "./parts.ts";
import { join, type Loose, measure } from "./pieces.ts";
import { pathOf, type Scratch } from "./scratch.ts";
import { endsTorn, identify, holdSegments, type Identity, type HeldSegment } from "./segments.ts";

export interface LoadOptions {
  /** Where Parquet copies are kept, instead of in each state directory. */
  cache: string | null;
  signal?: AbortSignal | undefined;
  /** How far the copying of segments is: something to show when it takes long. */
  onProgress?: ((done: number, of: number, name: string) => void) | undefined;
  /** What people should know about the answer, in words. */
  onNote?: ((text: string) => void) | undefined;
}

/** What was loaded, and the files that it reads. */
export interface Loaded {
  records: LoadedRecord[];
  paths: string[];
}

/** Loads state directories and reports, each once. RECORD_UNREADABLE, REPORT_INVALID; a place is never passed over. */
export async function load(
  engine: Engine,
  scratch: Scratch,
  inputs: readonly string[],
  options: LoadOptions,
): Promise<Loaded> {
  const loaded: Loaded = { records: [], paths: [] };
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
  // The head first: a gateway that writes on only makes the record longer than it.
  const head = await readHead(input);
  const { sealed, live } = await holdSegments(input, (handle) => scratch.keep(handle));
  const pieces: Loose[] = await loadSealed(place, sealed);
  if (live !== null) {
    const { segment } = live;
    const file = await scratch.file();
    await copyWholeLines(live, file);
    const whole = { ...live, handle: file, size: (await file.stat()).size };
    const skipped = await fill(engine, scratch, whole, table);
    tellSkipped(place, segment.name, skipped);
    const isTorn = whole.size < live.size && lockHolder(input) === null;
    pieces.push({ file: segment.name, first: segment.first, source: { table }, skipped, isTorn });
  }
  const measured = await join(engine, await measure(engine, pieces), table);
  const copies = measured.flatMap(({ source }) => ("copy" in source ? [source.copy] : []));
  const tables = measured.flatMap(({ source }) => ("table" in source ? [source.table] : []));
  loaded.paths.push(...copies.flatMap(({ events, sums }) => [events, sums]));
  loaded.records.push({
    ...{ gateway: input, copies, tables, pieces: measured, isReport: false },
    head: head === null || head === "damaged" ? null : head.seq,
  });
}

type Files = Record<Half, FileHandle>;

/** The Parquet copies of all sealed segments. */
async function loadSealed(place: Place, sealed: readonly HeldSegment[]): Promise<Loose[]> {
  if (sealed.length === 0) return [];
  const { engine, scratch, input, options } = place;
  const cache = await Cache.open(input, options.cache, (handle) => scratch.keep(handle));
  const ready: { segment: HeldSegment; files: Files | null; isTorn: boolean }[] = [];
  for (const segment of sealed) {
    const files = cache instanceof Cache ? await find(cache, await identify(segment), scratch) : null;
    const isTorn = await endsTorn(segment);
    if (files !== null) await segment.handle.close();
    ready.push({ segment, files, isTorn });
  }
  const of = ready.filter(({ files }) => files === null).length;
  if (typeof cache === "string" && of > 0) {
    options.onNote?.(`sealed segments are read for this question only (${cache}); --cache DIR keeps copies elsewhere`);
  }
  const paths: { events: string; sums: string; skipped: number }[] = [];
  let done = 0;
  for (const { segment, files } of ready) {
    options.signal?.throwIfAborted();
    if (files === null) options.onProgress?.(done++, of, segment.segment.name);
    // Only a segment without a damaged line has a copy that lasts.
    const found = files === null ? null : { ...files, skipped: 0 };
    const { events, sums, skipped } = found ?? (await copy(place, segment, cache instanceof Cache ? cache : null));
    paths.push({ events: pathOf(events), sums: pathOf(sums), skipped });
  }
  if (cache instanceof Cache) await cache.sweep();
  const copies = await withTimes(engine, paths);
  return ready.map(({ segment: { segment }, isTorn }, at) => {
    const { name: file, first } = segment;
    return { file, first, source: { copy: copies[at]! }, skipped: paths[at]!.skipped, isTorn };
  });
}

async function find(cache: Cache, identity: Identity, scratch: Scratch): Promise<Files | null> {
  const events = await cache.find(identity, "events");
  const sums = await cache.find(identity, "sums");
  for (const handle of [events, sums]) if (handle !== null) scratch.keep(handle);
  return events === null || sums === null ? null : { events, sums };
}

async function withTimes(engine: Engine, paths: readonly { events: string; sums: string }[]): Promise<Copy[]> {
  const rows = await engine.rows(
    `SELECT filename, epoch_us(min(earliest)), epoch_us(max(latest))
     FROM read_parquet([${paths.map(({ sums }) => literal(sums)).join(", ")}], filename = true)
     WHERE family = 'rules' GROUP BY filename`,
  );
  const times = new Map(rows.map(([name, first, last]) => [String(name), [Number(first), Number(last)] as const]));
  return paths.map(({ events, sums }) => ({ events, sums, times: times.get(sums) ?? null }));
}

/** Copies a segment: into the cache, or, where there is none or no room, into the scratch directory. */
async function copy(place: Place, segment: HeldSegment, cache: Cache | null): Promise<Files & { skipped: number }> {
  const { engine, scratch } = place;
  const identity = await identify(segment);
  const lasting = cache === null || !(await cache.hasRoom(identity)) ? null : cache;
  const path = () => lasting?.place() ?? scratch.path();
  const paths = { events: path(), sums: path() };
  try {
    const skipped = await compact(engine, scratch, segment, paths);
    tellSkipped(place, segment.segment.name, skipped);
    // A damaged segment is read each time, so that each answer says that it is damaged.
    const keep = async (half: Half) =>
      scratch.keep(
        lasting !== null && skipped === 0
          ? await lasting.adopt(paths[half], identity, half)
          : await open(paths[half], "r"),
      );
    return { events: await keep("events"), sums: await keep("sums"), skipped };
  } finally {
    for (const each of Object.values(paths)) await unlink(each).catch(() => {});
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
    throw new SallyportError("REPORT_INVALID", `${input} is no report of sallyport run with its events.`, {
      path: input,
    });
  }
  tellSkipped(place, input, report.skipped);
  const file = await scratch.file();
  await writeEvents(report.events, file);
  await tabulate(engine, pathOf(file), table);
  const piece: Loose = { file: input, first: 1, source: { table }, skipped: report.skipped, isTorn: false };
  const pieces = await measure(engine, [piece]);
  loaded.records.push({ gateway: input, copies: [], tables: [table], pieces, head: null, isReport: true });
}

function tellSkipped({ input, options }: Place, file: string, skipped: number): void {
  if (skipped === 0) return;
  const where = file === input ? input : `${input}/events/${file}`;
  const lines = skipped === 1 ? "1 line is no event" : `${skipped} lines are no events`;
  options.onNote?.(`${where}: ${lines}, and left out; \`sallyport logs verify\` says what happened to the record`);
}
