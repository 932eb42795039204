/** Who connected where, as a diagram that GitHub draws (Mermaid): steps on the left, destinations on the right. */
import type { JobRow } from "../machine/job-rows.ts";
import { shownName, stepName } from "./cells.ts";
import { block, cut } from "./markdown.ts";

/** More edges than this are no picture any more; what is over it is one edge for each step and verdict, of which there are as many. */
const mostEdges = 20;
/** Pixels between two destinations: Mermaid's own 50 make a page of a job's worth. */
const layout = '%%{init: {"flowchart": {"nodeSpacing": 12, "rankSpacing": 90}}}%%';

interface Edge {
  step: string;
  place: string;
  verdict: JobRow["verdict"];
  count: number;
  /** Destinations that it stands for; null: the one it names. */
  others: Set<string> | null;
}

/** A fenced Mermaid flow chart. Refused destinations come first when there are too many. */
export function picture(rows: readonly JobRow[]): string {
  const edges = edgesOf(rows);
  const steps = new Map<string, string>();
  const places = new Map<string, string>();
  const texts = new Map<string, string>();
  const arrows: string[] = [];
  const styles: string[] = [];
  for (const [i, { step, place, verdict, count, others }] of edges.entries()) {
    const from = idOf(steps, step, "s");
    // The others of two steps are not the same ones.
    const key = others === null ? place : [step, verdict].join("\0");
    const to = idOf(places, key, "d");
    texts.set(to, others === null ? place : `${others.size} ${others.size === 1 ? "other" : "others"}`);
    const line = verdict === "allow" ? "-->" : verdict === "deny" ? "--x" : "-.->";
    arrows.push(`  ${from} ${line}|${count}| ${to}`);
    if (verdict !== "allow") styles.push(`  linkStyle ${i} stroke:${verdict === "deny" ? "#d1242f" : "#9a6700"}`);
  }
  const nodes = [
    ...[...steps].map(([text, id]) => `  ${id}(["${label(text)}"])`),
    ...[...texts].map(([id, text]) => `  ${id}["${label(text)}"]`),
  ];
  return block([layout, "flowchart LR", ...nodes, ...arrows, ...styles].join("\n"), "mermaid");
}

function edgesOf(rows: readonly JobRow[]): Edge[] {
  const edges = new Map<string, Edge>();
  const over = new Map<string, Edge>();
  for (const row of rows) {
    const { name, ip, verdict, count } = row;
    const step = stepName(row.process);
    const place = name === null ? (ip ?? "all others") : shownName(name);
    const key = [step, place, verdict].join("\0");
    const known = edges.get(key);
    if (known !== undefined) known.count += count;
    else if (edges.size < mostEdges) edges.set(key, { step, place, verdict, count, others: null });
    else {
      const key = [step, verdict].join("\0");
      const rest = over.get(key);
      if (rest !== undefined) {
        rest.count += count;
        rest.others!.add(place);
      } else if (over.size < mostEdges) over.set(key, { step, place, verdict, count, others: new Set([place]) });
    }
  }
  return [...edges.values(), ...over.values()];
}

function idOf(ids: Map<string, string>, text: string, prefix: string): string {
  let id = ids.get(text);
  if (id === undefined) ids.set(text, (id = `${prefix}${ids.size + 1}`));
  return id;
}

/** Within quotes Mermaid takes all but these, and its own entities begin with `#`; what is no plain character is left out. */
function label(text: string): string {
  return cut(text.replace(/[^\p{L}\p{N} ./:@_+()…-]/gu, "_"), 60);
}
