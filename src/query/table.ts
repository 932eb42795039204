/**
 * Answers as text: a table for people, CSV for spreadsheets, JSON lines for scripts. What the record holds was partly written by
 * whoever wants to get out, so no cell may move a cursor, reorder a line or be run by a spreadsheet.
 */
import { styleText } from "node:util";
import { bytes } from "../run/report.ts";
import { printable } from "../policy/wording.ts";
import type { Answer } from "./query.ts";
import type { Shortfall } from "./shortfalls.ts";
import type { Field } from "./questions.ts";
import type { Value } from "./value.ts";

export interface TableOptions {
  /** Only for a terminal. */
  colour: boolean;
  /** Columns that say nothing here. */
  hide?: readonly string[];
}

const longestCell = 60;

/** The table that people read; without a line end at its end. */
export function answerText({ fields, rows }: Answer, { colour, hide = [] }: TableOptions): string {
  if (rows.length === 0) return "Nothing was recorded that answers this.";
  const shown = fields.map((field, at) => ({ field, at })).filter(({ field }) => !hide.includes(field.name));
  const head = shown.map(({ field }) => printable((field.title ?? field.name).toUpperCase()));
  const cells = rows.map((row) => shown.map(({ field, at }) => cell(field, row[at] ?? null, row, fields)));
  const isRight = shown.map(({ field, at }) =>
    field.kind === "text"
      ? rows.every((row) => row[at] === null || typeof row[at] === "number")
      : field.kind === "number" || field.kind === "bytes",
  );
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((line) => line[i]!.length)));
  const line = (values: readonly string[]) =>
    values
      .map((value, i) => (isRight[i] === true ? value.padStart(widths[i]!) : value.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  const title = line(head);
  return [colour ? styleText("bold", title, { validateStream: false }) : title, ...cells.map(line)].join("\n");
}

function cell(field: Field, value: Value, row: readonly Value[], fields: readonly Field[]): string {
  if (value === null) {
    // No rule decided: the default did, where a tier says that something decided.
    const tier = field.kind === "rule" ? row[fields.findIndex(({ name }) => name === "rule_tier")] : null;
    return tier === 3 ? "default" : "-";
  }
  if (field.kind === "bytes" && typeof value === "number") return bytes(value);
  if (field.kind === "time" && typeof value === "string") return value.replace(/\.\d+Z$/, "Z");
  const text = printable(typeof value === "string" ? value : JSON.stringify(value));
  return text.length > longestCell ? `${text.slice(0, longestCell - 1)}…` : text;
}

/** A line for each thing that is missing, the first few; with the record's name where there are several. */
export function incompleteText(incomplete: readonly Shortfall[], isOne: boolean): string[] {
  const lines = incomplete.slice(0, mostLines).map(({ gateway, message, from, to }) => {
    const [begin, end] = [from, to].map((time) => time?.replace(/\.\d+Z$/, "Z"));
    const when =
      from === null && to === null
        ? ""
        : from === null
          ? `, before ${end}`
          : to === null
            ? `, after ${begin}`
            : `, ${begin === end ? `at ${begin}` : `between ${begin} and ${end}`}`;
    return `incomplete: ${isOne ? "" : `${printable(gateway)}: `}${printable(message)}${when}`;
  });
  const more = incomplete.length - lines.length;
  return more === 0 ? lines : [...lines, `incomplete: and ${more} more; --json has them all`];
}

const mostLines = 5;

/** RFC 4180, with line feeds, a header, and nothing that a spreadsheet would take for a formula. */
export function answerCsv({ fields, rows }: Answer): string {
  const lines = [fields.map(({ name }) => csvCell(name)), ...rows.map((row) => row.map(csvCell))];
  return lines.map((line) => `${line.join(",")}\n`).join("");
}

function csvCell(value: Value): string {
  if (value === null) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

/** An object a line; JSON escapes what must be. Where the answer is incomplete, a last one says so. */
export function answerJson({ fields, rows, incomplete }: Answer): string {
  const objects: object[] = rows.map((row) =>
    Object.fromEntries(fields.map(({ name }, at) => [name, row[at] ?? null])),
  );
  if (incomplete.length > 0) objects.push({ incomplete });
  return objects.map((each) => `${JSON.stringify(each)}\n`).join("");
}
