/** Who connected where, as a diagram that GitHub draws (Mermaid): steps on the left, destinations on the right. */
import type { JobRow } from "../machine/job-rows.ts";
import { block } from "./markdown.ts";

/** More edges than this are no picture any more; Mermaid refuses 500. */
const mostEdges = 40;

/** A fenced Mermaid flow chart. Refused destinations come first when there are too many. */
export function picture(rows: readonly JobRow[]): string {
  const steps = new Map<string, string>();
  const places = new Map<string, string>();
  const edges = new Map<string, { from: string; to: string; verdict: JobRow["verdict"]; count: number }>();
  for (const row of rows) {
    const step = stepOf(row);
    const place = row.name ?? row.ip ?? "all others";
    const key = `${step}\0${place}\0${row.verdict}`;
    const known = edges.get(key);
    if (known !== undefined) {
      known.count += row.count;
      continue;
    }
    if (edges.size >= mostEdges) continue;
    const from = idOf(steps, step, "s");
    const to = idOf(places, place, "d");
    edges.set(key, { from, to, verdict: row.verdict, count: row.count });
  }
  const lines = ["flowchart LR"];
  for (const [text, id] of steps) lines.push(`  ${id}(["${label(text)}"])`);
  for (const [text, id] of places) lines.push(`  ${id}["${label(text)}"]`);
  const styles: string[] = [];
  for (const [i, { from, to, verdict, count }] of [...edges.values()].entries()) {
    const line = verdict === "allow" ? "-->" : verdict === "deny" ? "--x" : "-.->";
    lines.push(`  ${from} ${line}|${count}| ${to}`);
    if (verdict !== "allow") styles.push(`  linkStyle ${i} stroke:${verdict === "deny" ? "#d1242f" : "#9a6700"}`);
  }
  return block([...lines, ...styles].join("\n"), "mermaid");
}

function stepOf({ process }: JobRow): string {
  if (process === null) return "unknown";
  if (process.runner) return "the runner";
  if (process.step_number === null) return "outside of the steps";
  return `${process.step_number}. ${process.action ?? process.step ?? ""}`;
}

function idOf(ids: Map<string, string>, text: string, prefix: string): string {
  let id = ids.get(text);
  if (id === undefined) ids.set(text, (id = `${prefix}${ids.size + 1}`));
  return id;
}

/** Within quotes Mermaid takes all but these, and its own entities begin with `#`; what is no plain character is left out. */
function label(text: string): string {
  const safe = text.replace(/[^\p{L}\p{N} ./:@_+-]/gu, "_");
  return safe.length > 60 ? `${safe.slice(0, 60)}…` : safe;
}
