/** The end of a run: the table people read and the report that scripts read. */
import { styleText } from "node:util";
import type { EventBody } from "../audit/event.ts";
import type { Destination } from "./destinations.ts";

export interface RunReport {
  schema: "sallyport.run/1";
  command: string[];
  exit_code: number;
  mode: "monitor" | "enforce";
  /** The policy's content hash. */
  policy: string;
  started: string;
  ended: string;
  destinations: Destination[];
  events: EventBody[];
}

const verdictStyle = { allow: "green", would_deny: "yellow", deny: "red" } as const;
const verdictText = { allow: "allow", would_deny: "would deny", deny: "deny" } as const;

/** The table of destinations. `colour` only for a terminal. */
export function table(rows: readonly Destination[], colour: boolean): string {
  if (rows.length === 0) return "No connection was made.";
  const head = ["DESTINATION", "PORT", "PROTOCOL", "VERDICT", "RULE", "CONNS", "UP", "DOWN"];
  const cells = rows.map((row) => [
    row.name ?? row.ip ?? "-",
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
    values.map((value, i) => (right.has(i) ? value.padStart(widths[i]!) : value.padEnd(widths[i]!))).join("  ").trimEnd();
  const body = cells.map((values, i) => {
    const text = line(values);
    return colour ? styleText(verdictStyle[rows[i]!.verdict], text, { validateStream: false }) : text;
  });
  return [colour ? styleText("bold", line(head), { validateStream: false }) : line(head), ...body].join("\n");
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
  const where = row.port === null ? (row.name ?? "-") : `${row.name ?? row.ip}:${row.port}`;
  const why = row.verdict === "allow" ? (row.rule ?? row.reason) : `${row.rule ?? "default"}: ${row.reason}`;
  const verdict = verdictText[row.verdict].padEnd(10);
  const styled = colour ? styleText(verdictStyle[row.verdict], verdict, { validateStream: false }) : verdict;
  return `sallyport: ${styled} ${where} ${row.protocol} (${why})`;
}
