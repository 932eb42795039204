/** Rows as tables: for a terminal and for a document. A table is a group of cases with the same beginning. Pure. */
import { margin } from "./targets.ts";
import type { Row, Target } from "./result.ts";

/** Contenders down, the figures of one group across, for each group of rows that shares all but the last word of its case. */
export function groupsOf(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = row.case.slice(0, row.case.lastIndexOf("."));
    const of = groups.get(group);
    if (of === undefined) groups.set(group, [row]);
    else of.push(row);
  }
  return groups;
}

/** A group's head and lines, as texts. */
export function cells(rows: readonly Row[]): string[][] {
  const figures = [...new Set(rows.map((row) => row.case))];
  const contenders = [...new Set(rows.map((row) => row.contender))];
  const unitOf = (figure: string) => rows.find((row) => row.case === figure)!.unit;
  const head = figures.map((figure) => {
    const unit = unitOf(figure);
    return `${figure.slice(figure.lastIndexOf(".") + 1).replaceAll("_", " ")}${unit === "" ? "" : ` (${unit})`}`;
  });
  const lines = contenders.map((contender) => {
    const own = figures.map((figure) => rows.find((row) => row.case === figure && row.contender === contender));
    const reasons = new Set(own.flatMap((row) => (row?.cannot === undefined ? [] : [row.cannot])));
    if (reasons.size > 0 && own.every((row) => row === undefined || row.value === null))
      return [contender, `cannot: ${[...reasons].join("; ")}`, ...figures.slice(1).map(() => "")];
    return [contender, ...own.map((row) => (row === undefined ? "" : figure(row)))];
  });
  return [["", ...head], ...lines];
}

function figure({ value, spread, ratio_to_forwarding: ratio, cannot }: Row): string {
  if (value === null) return `cannot: ${cannot}`;
  const parts = [amount(value)];
  if (spread !== null) parts.push(`±${((spread / 2) * 100).toFixed(0)} %`);
  if (ratio !== null) parts.push(`${ratio.toFixed(ratio < 0.1 ? 3 : 2)}×`);
  return parts.join(" ");
}

/** With spaces between thousands. */
export function amount(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3;
  const [whole, part] = String(Number(value.toFixed(digits))).split(".");
  const grouped = whole!.replace(/\B(?=(\d{3})+$)/g, " ");
  return part === undefined ? grouped : `${grouped}.${part}`;
}

/** Columns padded for a terminal. */
export function columns(lines: readonly string[][]): string {
  // A cell that runs over all columns must not widen its own.
  const widths = lines[0]!.map((_, i) =>
    Math.max(...lines.map((line) => (line[i]!.startsWith("cannot:") ? 0 : line[i]!.length))),
  );
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** The same as Markdown. */
export function markdown(lines: readonly string[][]): string {
  const [head, ...rest] = lines as [string[], ...string[][]];
  const line = (row: readonly string[]) => `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "--:"))), ...rest.map(line)].join("\n");
}

/** Targets as lines of a table. */
export function targetCells(targets: readonly Target[]): string[][] {
  const lines = targets.map((target) => [
    target.target,
    target.wanted,
    target.value === null ? "not measured" : amount(target.value),
    target.met === null ? "" : `${target.met ? "met" : "MISSED"} ${margin(target)}`,
  ]);
  return [["target", "wanted", "measured", ""], ...lines];
}
