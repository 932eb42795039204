/** The battery's results as people read them: a line a case, a column a place, and what went wrong below. */
import { fronts, modes, type CaseResult, type Result } from "./case.ts";
import { isGood } from "./score.ts";

const short: { [R in Result]: string } = {
  held: "held",
  works: "works",
  leak: "LEAK",
  broken: "BROKEN",
  "no-event": "NO-EV",
  "wrong-reason": "REASON",
  inconclusive: "?",
};

const places = fronts.flatMap((front) => modes.flatMap((mode) => ([4, 6] as const).map((v) => ({ front, mode, v }))));
const width = 7;

export function matrix(results: readonly CaseResult[], colour: boolean): string {
  const paint = (text: string, good: boolean | null) =>
    !colour || good === null ? text : `\u001b[${good ? 32 : 31}m${text}\u001b[0m`;
  const rows = new Map<string, CaseResult[]>();
  for (const result of results) {
    const key = `${result.row.padEnd(6)}${result.variant}`;
    rows.set(key, [...(rows.get(key) ?? []), result]);
  }
  const label = Math.min(72, Math.max(20, ...[...rows.keys()].map((key) => key.length))) + 2;
  const head = [
    " ".repeat(label) + fronts.map((front) => front.padEnd(width * 4)).join(""),
    " ".repeat(label) + fronts.map(() => modes.map((mode) => mode.padEnd(width * 2)).join("")).join(""),
    " ".repeat(label) + places.map(({ v }) => `v${v}`.padEnd(width)).join(""),
  ];
  const lines = [...rows].map(([key, cells]) => {
    const marks = places.map(({ front, mode, v }) => {
      const cell = cells.find((each) => each.front === front && each.mode === mode && each.family === v);
      const text = (cell === undefined ? "-" : short[cell.result]).padEnd(width);
      return paint(text, cell === undefined ? null : isGood(cell.result));
    });
    const text = key.length > label - 2 ? `${key.slice(0, label - 3)}…` : key;
    return text.padEnd(label) + marks.join("");
  });
  return [...head, ...lines].join("\n");
}

/** What a person needs to look into what is not well. */
export function troubles(results: readonly CaseResult[]): string {
  return results
    .filter(({ result }) => !isGood(result))
    .map(({ id, result, evidence }) => {
      const { expected, note, arrived, control } = evidence;
      const lines = [
        ...(note === undefined ? [] : [note]),
        ...(expected === undefined ? [] : [`expected: ${JSON.stringify(expected, patterns)}`]),
        ...(arrived === undefined || arrived.length === 0 ? [] : [`arrived: ${arrived.join("; ")}`]),
        ...(control === undefined ? [] : [`control: ${control}`]),
      ];
      return `${result}: ${id}\n${lines.join("\n").replaceAll(/^/gm, "    ")}`;
    })
    .join("\n");
}

export function summary(results: readonly CaseResult[]): string {
  const counts = new Map<Result, number>();
  for (const { result } of results) counts.set(result, (counts.get(result) ?? 0) + 1);
  return [...counts].map(([result, n]) => `${n} ${result}`).join(", ");
}

export function patterns(_: string, value: unknown): unknown {
  return value instanceof RegExp ? String(value) : value;
}
