/** The end of a run: the table people read and the report that scripts read. */
import { ftruncateSync, writeSync } from "node:fs";
import { styleText } from "node:util";
import type { Event } from "../audit/event.ts";
import type { Destination } from "./destinations.ts";

/** What `--report` writes (docs/run.md). */
export interface RunReport extends RunSummary {
  events: Event[];
}

/** The report but for its events, which may be more than fits in memory. */
export interface RunSummary {
  schema: "sallyport.run/1";
  command: string[];
  exit_code: number;
  mode: "monitor" | "enforce";
  /** The policy's content hash. */
  policy: string;
  started: string;
  ended: string;
  destinations: Destination[];
}

/** Writes the report and its events to an open file, from its start. Rejects with the file's error. */
export async function writeReport(fd: number, report: RunSummary, events: AsyncIterable<Event>): Promise<void> {
  // A pipe or a terminal has no length to cut.
  try {
    ftruncateSync(fd);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
  }
  let text = JSON.stringify(report, null, 2).replace(/\n\}$/, ',\n  "events": [');
  let between = "\n    ";
  for await (const event of events) {
    text += `${between}${JSON.stringify(event)}`;
    between = ",\n    ";
    if (text.length < flushAt) continue;
    writeAll(fd, text);
    text = "";
  }
  writeAll(fd, `${text}\n  ]\n}\n`);
}

const flushAt = 1 << 16;

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
}

const verdictStyle = { allow: "green", would_deny: "yellow", deny: "red" } as const;
const verdictText = { allow: "allow", would_deny: "would deny", deny: "deny" } as const;

/** The table of destinations. `colour` only for a terminal. */
export function table(rows: readonly Destination[], colour: boolean): string {
  if (rows.length === 0) return "No connection was made.";
  const shown = rows.slice(0, mostShown);
  const head = ["DESTINATION", "PORT", "PROTOCOL", "VERDICT", "RULE", "CONNS", "UP", "DOWN"];
  const cells = shown.map((row) => [
    destinationOf(row),
    row.port === null ? "-" : String(row.port),
    row.protocol,
    verdictText[row.verdict],
    row.verdict === "allow" ? (row.rule ?? row.reason) : `${row.rule ?? "default"}: ${row.reason}`,
    String(row.connections),
    bytes(row.bytes_up),
    bytes(row.bytes_down),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((line) => Math.min(60, line[i]!.length))));
  const right = new Set([1, 5, 6, 7]);
  const line = (values: readonly string[]) =>
    values
      .map((value, i) => (right.has(i) ? value.padStart(widths[i]!) : value.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  const body = cells.map((values, i) => {
    const text = line(values);
    return colour ? styleText(verdictStyle[shown[i]!.verdict], text, { validateStream: false }) : text;
  });
  if (rows.length > shown.length) body.push(`and ${rows.length - shown.length} more; --report FILE has them all`);
  return [colour ? styleText("bold", line(head), { validateStream: false }) : line(head), ...body].join("\n");
}

/** A screen or three: nobody reads more, and a scan makes thousands. */
const mostShown = 100;

function destinationOf(row: Destination): string {
  return row.name ?? row.ip ?? "(all others)";
}

/** A count of bytes for people, in powers of 1000. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count;
  let unit = -1;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** One line about a destination as it is first seen. */
export function liveLine(row: Destination, colour: boolean): string {
  const where = row.port === null ? destinationOf(row) : `${destinationOf(row)}:${row.port}`;
  const why = row.verdict === "allow" ? (row.rule ?? row.reason) : `${row.rule ?? "default"}: ${row.reason}`;
  const verdict = verdictText[row.verdict].padEnd(10);
  const styled = colour ? styleText(verdictStyle[row.verdict], verdict, { validateStream: false }) : verdict;
  return `sallyport: ${styled} ${where} ${row.protocol} (${why})`;
}
