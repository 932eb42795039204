/** One sealed segment as Parquet, a tenth of its size and read by column. */
import type { Engine } from "./engine.ts";
import { columnList, literal, linesSql } from "./columns.ts";
import { copyEvents, holdsOnlyEvents } from "./lines.ts";
import { sumsSql } from "./parts.ts";
import { pathOf, type Scratch } from "./scratch.ts";
import type { HeldSegment } from "./segments.ts";

/**
 * Writes a segment's events and their sums to two files that must not exist. Returns how many of its lines are no events.
 * Rejects with the engine's error.
 */
export async function compact(
  engine: Engine,
  scratch: Scratch,
  segment: HeldSegment,
  { events, sums }: { events: string; sums: string },
): Promise<number> {
  const skipped = await fill(engine, scratch, segment, "part");
  const format = "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false";
  try {
    await engine.run(`COPY (SELECT ${columnList} FROM part) TO ${literal(events)} (${format})`);
    await engine.run(`COPY (${sumsSql("part")}) TO ${literal(sums)} (${format}, ROW_GROUP_SIZE ${sumsRows})`);
  } finally {
    await engine.run("DROP TABLE part");
  }
  return skipped;
}

/** Small groups, so that a question about one family passes over the others. */
const sumsRows = 8192;

/** Makes table `name` of a segment's events. Returns how many of its lines are no events. */
export async function fill(engine: Engine, scratch: Scratch, segment: HeldSegment, name: string): Promise<number> {
  // Ours is the reader that says what an event is; what it takes for one, and the engine not, is written in the engine's taste.
  if ((await holdsOnlyEvents(segment)) && (await tabulate(engine, pathOf(segment.handle), name)) === 0) return 0;
  const file = await scratch.file();
  const skipped = await copyEvents(segment, file);
  await tabulate(engine, pathOf(file), name);
  return skipped;
}

/** Makes table `name` of a file of JSON lines. Returns how many lines, blank ones apart, are no events; they are left out. */
export async function tabulate(engine: Engine, path: string, name: string): Promise<number> {
  await engine.run(`CREATE OR REPLACE TABLE ${name} AS ${linesSql(path)}`);
  const [row] = await engine.rows(`SELECT count(*) FILTER (NOT is_event) FROM ${name}`);
  const bad = Number(row?.[0]);
  if (bad > 0) await engine.run(`DELETE FROM ${name} WHERE NOT is_event`);
  return bad;
}
