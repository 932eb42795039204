/**
 * What a record was loaded from, piece by piece: each closed segment's copy, and the table of what is being written. The reading
 * joint of a question: lines that stand in two segments are counted once, and what is missing between pieces shows
 * (`shortfalls.ts`).
 */
import { columnList, literal } from "./columns.ts";
import type { Engine } from "./engine.ts";
import { parquet, type Copy } from "./parts.ts";

/** Both ends included. */
export type Range = readonly [first: number, last: number];

export interface Piece {
  /** File name of the segment; the path of a report. */
  file: string;
  /** Number of its first record, by its name. */
  first: number;
  source: { copy: Copy } | { table: string };
  rows: number;
  /** Of the records' numbers, and their times in microseconds; null where nothing in it has one. */
  seqs: Range | null;
  times: Range | null;
  /** Lines that are no events, and were left out. */
  skipped: number;
  /** It ends in the middle of a line, and nobody is writing it. */
  isTorn: boolean;
}

export type Loose = Omit<Piece, "rows" | "seqs" | "times">;

/** What is in each piece. Of copies only their footers are read. */
export async function measure(engine: Engine, pieces: readonly Loose[]): Promise<Piece[]> {
  const paths = pieces.flatMap(({ source }) => ("copy" in source ? [source.copy.events] : []));
  const found = new Map<string, unknown[]>();
  if (paths.length > 0) {
    const of = (column: string) => `FILTER (path_in_schema = '${column}')`;
    const rows = await engine.rows(
      `SELECT file_name, sum(row_group_num_rows) ${of("seq")},
         min(TRY_CAST(stats_min_value AS BIGINT)) ${of("seq")}, max(TRY_CAST(stats_max_value AS BIGINT)) ${of("seq")},
         epoch_us(min(TRY_CAST(stats_min_value AS TIMESTAMP)) ${of("time")}),
         epoch_us(max(TRY_CAST(stats_max_value AS TIMESTAMP)) ${of("time")})
       FROM parquet_metadata([${paths.map(literal).join(", ")}])
       WHERE path_in_schema IN ('seq', 'time') GROUP BY file_name`,
    );
    for (const [path, ...values] of rows) found.set(String(path), values);
  }
  const measured: Piece[] = [];
  for (const piece of pieces) {
    const { source } = piece;
    const values = "copy" in source ? (found.get(source.copy.events) ?? []) : await measureTable(engine, source.table);
    const [rows, first, last, begin, end] = values;
    const range = (from: unknown, to: unknown): Range | null =>
      from === null || from === undefined ? null : [Number(from), Number(to)];
    measured.push({ ...piece, rows: Number(rows ?? 0), seqs: range(first, last), times: range(begin, end) });
  }
  return measured;
}

async function measureTable(engine: Engine, table: string): Promise<unknown[]> {
  const [row] = await engine.rows(
    `SELECT count(*), min(seq), max(seq), epoch_us(min(time)), epoch_us(max(time)) FROM ${table}`,
  );
  return row!;
}

/**
 * Takes out of each piece the events that stand in a later one as well, the same in every column. A segment that somebody wrote
 * to while it was ours is left, and what of it was not yet durable is written again into the next (`audit/store.ts`).
 */
export async function join(engine: Engine, pieces: readonly Piece[], prefix: string): Promise<Piece[]> {
  const joined: Piece[] = [];
  // The least number in all that comes after each piece: as a rule it says at once that nothing stands there again.
  const least: number[] = [];
  for (let at = pieces.length - 1, to = Number.POSITIVE_INFINITY; at >= 0; at--) {
    least[at] = to;
    to = Math.min(to, pieces[at]!.seqs?.[0] ?? to);
  }
  for (const [at, piece] of pieces.entries()) {
    if (piece.seqs === null || piece.seqs[1] < least[at]!) {
      joined.push(piece);
      continue;
    }
    const later = pieces.slice(at + 1).filter((each) => meet(piece.seqs, each.seqs));
    if (later.length === 0) {
      joined.push(piece);
      continue;
    }
    const table = `${prefix}_joint_${at}`;
    const [first, last] = piece.seqs;
    const again = later.map((each) => `SELECT ${columnList} FROM ${from(each)} WHERE seq BETWEEN ${first} AND ${last}`);
    await engine.run(
      `CREATE TABLE ${table} AS SELECT ${columnList} FROM ${from(piece)} EXCEPT ALL (${again.join(" UNION ALL ")})`,
    );
    joined.push({ ...piece, source: { table } });
  }
  return joined;
}

function meet(one: Range | null, other: Range | null): boolean {
  return one !== null && other !== null && one[0] <= other[1] && other[0] <= one[1];
}

/** Where a piece's events are, in SQL. */
export function from({ source }: Pick<Piece, "source">): string {
  return "copy" in source ? parquet([source.copy.events]) : source.table;
}
