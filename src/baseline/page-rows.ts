/**
 * The tables of a page read back: which endpoints they have, and what people wrote beside them. A reason belongs to a row; where
 * the row is gone it goes to the endpoint's other rows, and where there is none it is kept under “not seen any more”. Nothing that
 * somebody wrote is dropped.
 */
import { orderOf } from "./evidence.ts";

/** The tables, by what their headings say. */
export const tables = {
  allowed: "allowed",
  held: "held back",
  refused: "refused",
  gone: "not seen any more",
} as const;
export type Table = keyof typeof tables;

/** Where a reason belongs. */
export interface Place {
  source: string;
  table: Table;
  endpoint: string;
  protocol: string;
  /** As the table says it; empty where it has no such column. */
  doubt: string;
}

/** One row as it stands in the page. */
export interface Row extends Place {
  why: string;
}

/** What people wrote, given out to the rows that there will be. */
export class Reasons {
  readonly #rows: readonly Row[];
  readonly #own = new Map<string, Row>();
  readonly #used = new Set<Row>();

  /** `wanted`: every row that will be asked about. */
  constructor(rows: readonly Row[], wanted: readonly Place[]) {
    this.#rows = rows.filter(({ why }) => why !== "");
    const places = new Set(wanted.map(placeKey));
    for (const row of this.#rows) if (places.has(placeKey(row))) this.#own.set(placeKey(row), row);
  }

  /** The row's own reason; else those of rows of the same endpoint that are no more. */
  of(place: Place): string {
    const own = this.#own.get(placeKey(place));
    const rows = own === undefined ? this.#rows.filter((row) => this.#isFree(row) && isSame(row, place)) : [own];
    for (const row of rows) this.#used.add(row);
    return [...new Set(rows.map(({ why }) => why))].join(" / ");
  }

  /** Reasons that no row has taken, in order. */
  left(): Row[] {
    const free = this.#rows.filter((row) => !this.#used.has(row));
    return [...new Map(free.map((row) => [JSON.stringify([endpointKey(row), row.why]), row]))]
      .toSorted(([a], [b]) => orderOf(a, b))
      .map(([, row]) => row);
  }

  #isFree(row: Row): boolean {
    return this.#own.get(placeKey(row)) !== row;
  }
}

function isSame(row: Place, place: Place): boolean {
  return endpointKey(row) === endpointKey(place);
}

/** What is allowed leaves out the port that goes without saying, what is held back does not. */
function endpointKey({ source, endpoint, protocol }: Place): string {
  return JSON.stringify([source, protocol === "tls" ? endpoint.replace(/:443`$/, "`") : endpoint, protocol]);
}

function placeKey(place: Place): string {
  return JSON.stringify([endpointKey(place), place.table, place.doubt]);
}

/** The rows of a generated part, whatever columns lie between those that are known and the last. */
export function rowsOf(text: string): Row[] {
  const rows: Row[] = [];
  let source = "";
  let table: Table | null = null;
  let head: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const heading = /^## Source (.+)$/.exec(line);
    if (heading !== null) [source, table] = [heading[1]!, null];
    const under = /^#{2,3} (.+)$/.exec(line)?.[1]?.trim() ?? "";
    const named = (Object.keys(tables) as Table[]).find((each) => capital(tables[each]) === under);
    if (named !== undefined) table = named;
    const row = /^\|(.*)\|\s*$/.exec(line)?.[1];
    if (table === null || row === undefined) continue;
    const [first = "", second = ""] = cellsOf(row, 3);
    if (/^:?-+:?$/.test(first)) continue;
    if ((first === "endpoint" || first === "source") && /^(?:endpoint|protocol)$/.test(second)) {
      head = cellsOf(row, Number.POSITIVE_INFINITY);
      continue;
    }
    const cells = cellsOf(row, head.length);
    if (head.length === 0 || cells.length < head.length) continue;
    const at = (name: string) => (head.includes(name) ? cells[head.indexOf(name)]! : "");
    rows.push({
      source: table === "gone" ? at("source") : source,
      table,
      endpoint: at("endpoint"),
      protocol: at("protocol"),
      doubt: at("doubt"),
      why: cells.at(-1)!,
    });
  }
  return rows;
}

/** At most so many cells; a bar in the last one is the writer's own. */
function cellsOf(row: string, most: number): string[] {
  const cells: string[] = [];
  let rest = row;
  while (cells.length < most - 1) {
    const bar = /(?<!\\)\|/.exec(rest);
    if (bar === null) break;
    cells.push(rest.slice(0, bar.index).trim());
    rest = rest.slice(bar.index + 1);
  }
  return [...cells, rest.trim()];
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
