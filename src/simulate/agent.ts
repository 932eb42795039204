/**
 * The side that attacks: makes the attempts of a plan, several at a time, and writes what each saw to a file, a line each.
 * Runs as a command of its own, so that it stands wherever the firewall under test is.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { choose } from "./catalogue.ts";
import { parseShallow } from "./shallow.ts";
import type { Fired, Shot, Technique } from "./technique.ts";

export interface Plan {
  /** Where lines of {@link Outcome} go. */
  results: string;
  shots: { technique: string; shot: Shot }[];
}

/** One line of results. */
export type Outcome = { technique: string } & Fired;

/** How many attempts are under way at once: few where a firewall and a sink share the machine. */
const usualAtOnce = 8;

export async function runPlan(file: string): Promise<void> {
  const plan = JSON.parse(readFileSync(file, "utf8")) as Plan;
  const shots = plan.shots.map(({ technique, shot }) => ({ technique: choose([technique])[0]!, shot }));
  await fireAll(shots, (outcome) => appendFileSync(plan.results, `${JSON.stringify(outcome)}\n`));
}

/** Makes each attempt once. One that throws is a defect of ours and says nothing about the firewall. */
export async function fireAll(
  shots: readonly { technique: Technique; shot: Shot }[],
  onOutcome: (outcome: Outcome) => void,
  atOnce = usualAtOnce,
): Promise<void> {
  const waiting = [...shots];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { technique, shot } = next;
      const fired = await technique
        .probe(shot)
        .catch((error: unknown): Fired => ({ fired: false, why: `the probe failed: ${(error as Error).message}` }));
      onOutcome({ technique: technique.id, ...fired });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/**
 * The outcomes in a file of results, by technique. A line that is none, such as the beginning of one whose writer was ended, is
 * left out: no outcome is a verdict of "inconclusive".
 */
export function readOutcomes(text: string): Map<string, Fired> {
  const outcomes = new Map<string, Fired>();
  for (const line of text.split("\n")) {
    const outcome = outcomeIn(line);
    if (outcome === null) continue;
    const { technique, ...fired } = outcome;
    outcomes.set(technique, fired);
  }
  return outcomes;
}

function outcomeIn(line: string): Outcome | null {
  const read = parseShallow(line) as Outcome | null | undefined;
  if (typeof read?.technique !== "string") return null;
  return typeof (read.fired ? read.saw : read.why) === "string" ? read : null;
}
