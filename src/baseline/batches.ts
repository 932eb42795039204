/**
 * Runs that began together, taken as one. What the estimates suppose is that runs are draws of their own; the twenty legs of a
 * matrix are not. What one of them meets for the first time the nineteen others meet too, and then count as quiet: five pushes would
 * look like a hundred runs. So they are one draw, of all that any of them contacted:
 *
 * - runs that say which workflow run they belong to, by that (attempts of one, too: it is the same commit);
 * - others, by the clock: those that begin within a window after the first of them.
 *
 * That is never too hopeful: a batch has news where any of its runs has. Pure.
 */
import type { Run, SourceEvidence } from "./evidence.ts";
import { parseTime } from "../audit/clock.ts";
import { orderOf } from "./evidence.ts";

/** Batches in the order of time. `windowMs`: how much later than the first of a batch another run may begin. */
export function batchesOf(runs: readonly Run[], windowMs: number): Run[] {
  const named = new Map<string, Run[]>();
  const batches: Run[][] = [];
  let opened = Number.NEGATIVE_INFINITY;
  let open: Run[] = [];
  for (const run of runs.toSorted((a, b) => orderOf(a.start, b.start))) {
    if (run.batch !== null) {
      const known = named.get(run.batch);
      if (known !== undefined) known.push(run);
      else {
        named.set(run.batch, [run]);
        batches.push(named.get(run.batch)!);
      }
      continue;
    }
    const start = millisecondsOf(run.start);
    if (start - opened > windowMs) {
      opened = start;
      open = [];
      batches.push(open);
    }
    open.push(run);
  }
  return batches.map(together);
}

function together(runs: readonly Run[]): Run {
  const [first] = runs;
  if (runs.length === 1) return first!;
  return { ...first!, seen: new Set(runs.flatMap(({ seen }) => [...seen])) };
}

/** Milliseconds from the first run's start to the last one's. */
export function spanOf({ runs }: Pick<SourceEvidence, "runs">): number {
  const starts = [...runs.values()].map(({ start }) => start).toSorted(orderOf);
  return starts.length === 0 ? 0 : millisecondsOf(starts.at(-1)!) - millisecondsOf(starts[0]!);
}

/** Microseconds are what the record has. */
function millisecondsOf(time: string): number {
  return (parseTime(time) ?? 0) / 1000;
}
