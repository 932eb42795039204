/**
 * What an answer does not count because the record has it not: events that were lost while the disk failed, records that
 * retention deleted, numbers that are missing, lines that are cut or damaged. Told beside the answer, for the time that was asked
 * about. It is read from the record itself and checks no chain: who edits a record leaves no such trace, `logs verify` finds it.
 */
import { readRetentionData } from "../audit/beginning.ts";
import type { NamedRetention } from "../audit/beginning.ts";
import { formatTime, parseTime } from "../audit/clock.ts";
import { tornBytes } from "../audit/recover.ts";
import { lostBefore } from "../audit/spool-status.ts";
import type { Engine } from "./engine.ts";
import { emptyTable } from "./columns.ts";
import { type LoadedRecord, recordSql, type Window } from "./parts.ts";
import { from, type Piece } from "./pieces.ts";

/**
 * - `lost`: events for which there was no room while the disk failed.
 * - `deleted`: by retention, as the record says.
 * - `missing`: records whose numbers are not there, and nothing says why.
 * - `torn`: a record that a crash cut.
 * - `unreadable`: lines that are no events.
 */
export type ShortfallKind = "lost" | "deleted" | "missing" | "torn" | "unreadable";

export interface Shortfall {
  /** The record or report, as it was written. */
  gateway: string;
  kind: ShortfallKind;
  message: string;
  /** How many events or records; null: not known. */
  count: number | null;
  /** Between when and when, RFC 3339; null: from the beginning, to the end, or not known. */
  from: string | null;
  to: string | null;
}

interface Found {
  kind: ShortfallKind;
  message: string;
  count: number | null;
  /** Microseconds. */
  from: number | null;
  to: number | null;
}

/** All that is missing of these records, whenever it was. */
export async function findShortfalls(
  engine: Engine,
  records: readonly LoadedRecord[],
): Promise<(Found & { gateway: string })[]> {
  const all: (Found & { gateway: string })[] = [];
  for (const record of records) {
    const told = await toldBy(engine, record);
    const found = record.isReport
      ? record.pieces.flatMap(damages)
      : [
          ...beginning(record, told),
          ...(await holes(engine, record)),
          ...told.found,
          ...record.pieces.flatMap(damages),
        ];
    all.push(...found.map((each) => ({ gateway: record.gateway, ...each })));
  }
  return all;
}

/** Those within a window, for people and scripts. */
export function within(found: readonly (Found & { gateway: string })[], { since, until }: Window): Shortfall[] {
  const text = (time: number | null) => (time === null ? null : formatTime(time));
  return found
    .filter(({ to }) => since === null || to === null || to >= since)
    .filter(({ from }) => until === null || from === null || from < until)
    .map(({ gateway, kind, message, count, from, to }) => ({
      ...{ gateway, kind, message, count },
      ...{ from: text(from), to: text(to) },
    }));
}

interface Told {
  found: Found[];
  /** What the last retentions say. */
  retentions: NamedRetention[];
}

/** What the record says of itself. */
async function toldBy(engine: Engine, record: LoadedRecord): Promise<Told> {
  const told: Told = { found: [], retentions: [] };
  const rows = await engine.rows(
    `SELECT seq, epoch_us(time), message, data FROM (${recordSql([record], emptyTable)})
     WHERE kind = 'lifecycle' AND data IS NOT NULL AND seq IS NOT NULL
       AND (contains(data, '"lost"') OR contains(data, '"retention"') OR contains(data, '"bytes"'))
     ORDER BY seq DESC LIMIT ${mostTold}`,
  );
  for (const [number, time, message, text] of rows.toReversed()) {
    const [seq, now, data] = [Number(number), time === null ? null : Number(time), parse(text)];
    const lost = lostBefore({ kind: "lifecycle", data });
    if (lost > 0) {
      const ends = [data["first"], data["last"]].map((end) => (typeof end === "string" ? parseTime(end) : null));
      const said = `${lost === 1 ? "1 event was" : `${lost} events were`} lost while the record could not be written`;
      told.found.push({ kind: "lost", message: said, count: lost, from: ends[0] ?? null, to: ends[1] ?? now });
    }
    if (tornBytes({ kind: "lifecycle", message: String(message), data }) > 0) {
      const before = await timeOf(engine, record, seq - 1);
      told.found.push({ kind: "torn", message: "a record was cut by a crash", count: 1, from: before, to: now });
    }
    const retention = readRetentionData(data, seq);
    if (retention !== null) told.retentions.push(retention);
  }
  return told;
}

/** Of one record; a gateway that has more of them has its trouble told by fewer. */
const mostTold = 1000;

async function timeOf(engine: Engine, { pieces }: LoadedRecord, seq: number): Promise<number | null> {
  for (const piece of pieces) {
    if (piece.seqs === null || seq < piece.seqs[0] || seq > piece.seqs[1]) continue;
    const [row] = await engine.rows(`SELECT epoch_us(max(time)) FROM ${from(piece)} WHERE seq = ${seq}`);
    if (row?.[0] !== null && row?.[0] !== undefined) return Number(row[0]);
  }
  return null;
}

/** What came before the first record. */
function beginning({ pieces }: LoadedRecord, { retentions }: Told): Found[] {
  const [piece] = pieces;
  if (piece === undefined || piece.first === 1) return [];
  const last = piece.first - 1;
  const to = pieces.find(({ times }) => times !== null)?.times?.[0] ?? null;
  const latest = retentions.findLast(({ after, ends }) => [after, ...ends].some((end) => end.seq === last));
  if (latest === undefined) {
    const message = `records 1 to ${last} are missing, and no retention says so`;
    return [{ kind: "missing", message, count: last, from: null, to }];
  }
  const gone = latest.missing.map(({ first, last }): Found => {
    const message = `records ${first} to ${last} were missing before retention came to them (record ${latest.seq})`;
    return { kind: "missing", message, count: last - first + 1, from: null, to };
  });
  const message = `records 1 to ${last} were deleted by retention (record ${latest.seq})`;
  return [{ kind: "deleted", message, count: last, from: null, to }, ...gone];
}

/** Numbers that are missing after the first record. */
async function holes(engine: Engine, { pieces, head }: LoadedRecord): Promise<Found[]> {
  const found: Found[] = [];
  let last = (pieces[0]?.first ?? 1) - 1;
  let time: number | null = null;
  const missing = (first: number, end: number, from: number | null, to: number | null) => {
    const message = first === end ? `record ${first} is missing` : `records ${first} to ${end} are missing`;
    found.push({ kind: "missing", message, count: end - first + 1, from, to });
  };
  for (const piece of pieces) {
    const { seqs, times, rows } = piece;
    const first = Math.max(seqs?.[0] ?? piece.first, piece.first);
    if (first > last + 1) missing(last + 1, first - 1, time, times?.[0] ?? null);
    if (seqs === null) {
      last = Math.max(last, piece.first - 1);
      continue;
    }
    if (rows < seqs[1] - seqs[0] + 1) {
      for (const [before, after, from, to] of await holesIn(engine, piece)) {
        if (after > last + 1) missing(Math.max(before, last) + 1, after - 1, from, to);
      }
    }
    last = Math.max(last, seqs[1]);
    time = times?.[1] ?? time;
  }
  if (head !== null && head > last) missing(last + 1, head, time, null);
  return found;
}

async function holesIn(engine: Engine, piece: Piece): Promise<[number, number, number | null, number | null][]> {
  const rows = await engine.rows(
    `SELECT before, seq, epoch_us(time_before), epoch_us(time) FROM (
       SELECT seq, time, lag(seq) OVER by_seq AS before, lag(time) OVER by_seq AS time_before
       FROM ${from(piece)} WHERE seq IS NOT NULL WINDOW by_seq AS (ORDER BY seq)
     ) WHERE seq > before + 1 ORDER BY seq LIMIT ${mostHoles}`,
  );
  const number = (value: unknown) => (value === null ? null : Number(value));
  return rows.map(([before, seq, at, time]) => [Number(before), Number(seq), number(at), number(time)]);
}

/** In one segment; more is said no better. */
const mostHoles = 100;

/** Lines of a piece that are no events. */
function damages({ file, skipped, isTorn, times }: Piece): Found[] {
  const [from, to] = times ?? [null, null];
  const lines = skipped === 1 ? "1 line is no event" : `${skipped} lines are no events`;
  return [
    ...(skipped === 0 ? [] : [{ kind: "unreadable", message: `${file}: ${lines}`, count: skipped, from, to } as const]),
    ...(isTorn
      ? [{ kind: "torn", message: `${file} ends in the middle of a record`, count: 1, from: to, to: null } as const]
      : []),
  ];
}

function parse(text: unknown): Record<string, unknown> {
  try {
    const data: unknown = JSON.parse(String(text));
    return typeof data === "object" && data !== null ? (data as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
