/**
 * A simulation's results as one value that can be counted, printed and kept (`sallyport.simulate/1`), and the exit code they
 * mean. Pure.
 */
import { notCovered } from "./catalogue.ts";
import { asExpected, type Result } from "./judge.ts";
import type { Technique, Verdict } from "./technique.ts";

/** Where and when; the caller knows. */
export interface Circumstances {
  version: string;
  /** RFC 3339. */
  started: string;
  ended: string;
  mode: "range" | "live";
  /** The policy that was enforced; null: somebody else's firewall. */
  policy: { file: string; hash: string; mode: "monitor" | "enforce" } | null;
  /** The owner's sink, in live mode. */
  sink: string | null;
  machine: { kernel: string; architecture: string; node: string };
}

export interface Simulation extends Circumstances {
  schema: "sallyport.simulate/1";
  summary: Record<Verdict, number> & { techniques: number; as_expected: number; unexpected: number };
  techniques: Row[];
  not_covered: typeof notCovered;
}

/** One technique's row. */
export type Row = ReturnType<typeof rowOf>;

/** `leftOut` are techniques that this mode never tries. */
export function simulationOf(
  circumstances: Circumstances,
  results: readonly Result[],
  leftOut: readonly Technique[] = [],
): Simulation {
  const count = (verdict: Verdict) => results.filter((each) => each.verdict === verdict).length;
  const are = (value: boolean) => results.filter((each) => asExpected(each) === value).length;
  return {
    schema: "sallyport.simulate/1",
    ...circumstances,
    summary: {
      techniques: results.length,
      blocked: count("blocked"),
      reached: count("reached"),
      inconclusive: count("inconclusive"),
      as_expected: are(true),
      unexpected: are(false),
    },
    techniques: results.map(rowOf),
    not_covered: [
      ...notCovered,
      ...leftOut.map(({ class: of, name }) => ({ class: of, name, why: "Only in a range of its own, not live." })),
    ],
  };
}

function rowOf(result: Result) {
  const { technique, verdict, why, saw, sightings, denial } = result;
  const { id, name, class: of, attack, incidents, expected, limit = null } = technique;
  return {
    ...{ id, name, class: of, attack, incidents, expected, limit, verdict },
    as_expected: asExpected(result),
    ...{ why, saw, sightings, denial },
  };
}

/** A technique that arrived although it should not have. */
export function isBreach(row: Row): boolean {
  return row.expected === "blocked" && row.verdict === "reached";
}

/**
 * 3: something reached that should have been blocked. 1: nothing did, but something that should have been blocked could not
 * be judged, so it was not shown to be. 0: everything that should have been blocked was.
 */
export function exitCodeOf({ techniques }: Simulation, acceptsInconclusive: boolean): 0 | 1 | 3 {
  if (techniques.some(isBreach)) return 3;
  const isOpen = techniques.some((row) => row.expected === "blocked" && row.verdict === "inconclusive");
  return isOpen && !acceptsInconclusive ? 1 : 0;
}
