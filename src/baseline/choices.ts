/** What a reader can do rather than wait for more runs, and what he should know that is in no estimate. Sentences; pure. */
import { count, printable } from "../policy/wording.ts";
import type { Aim, Completeness } from "./advice.ts";
import { rough } from "./figures.ts";
import type { RunSets } from "./incidence.ts";

interface JobCompleteness {
  job: string;
  completeness: Completeness;
}

/** Bounds worth naming; beyond a half the list is a guess. */
const risks = [0.1, 0.2, 0.3, 0.5];

/**
 * Ways to enforce something before the aim is reached. `runsTo`: about how many more runs until the bound is at most so much;
 * null: more than can be told.
 */
export function soonerThan(
  aim: Aim,
  completeness: Completeness,
  jobs: readonly JobCompleteness[],
  runsTo: (risk: number) => number | null,
): string[] {
  const out: string[] = [];
  const { bound } = completeness;
  if (bound > aim.risk) {
    const ways = risks.flatMap((risk) => {
      const more = risk <= aim.risk ? null : runsTo(risk);
      return more === null || (completeness.runs_to_go !== null && more >= completeness.runs_to_go)
        ? []
        : [{ risk, more }];
    });
    // The least risk that is there already, and the least one at all.
    const now = ways.find(({ more }) => more === 0);
    const next = ways.find(({ more }) => more > 0);
    for (const way of [next, now]) {
      if (way === undefined || (way === next && now !== undefined && now.risk <= next.risk)) continue;
      const when = way.more === 0 ? "is reached now" : `takes about ${count(rough(way.more), "more run")}`;
      out.push(
        `--risk ${Math.round(way.risk * 100)}% ${when}: until the list grows, up to 1 run in ${Math.round(1 / way.risk)} may break`,
      );
    }
    const good = jobs.filter((each) => each.completeness.bound <= aim.risk);
    if (good.length > 0) {
      const names = good.map(({ job }) => printable(job)).join(", ");
      out.push(`as a source of its own it is there already: ${names}`);
    }
  }
  out.push(
    "deny rules refuse while the default still monitors: write them now for what must never be reached",
    "sallyport policy preset lists what clients are configured to reach, however few runs there were",
  );
  return out;
}

/** Jobs about which less than this is known may do anything next. */
const unknown = 0.5;
const mostNames = 5;
/** So many runs that contact so many destinations are jobs, beside which others may be a machine's heartbeat. */
const fewLarge = 3;

/** What the estimate for the mix of all runs does not show. */
export function cautionsOf(runs: RunSets, jobs: readonly JobCompleteness[]): string[] {
  const out: string[] = [];
  const few = jobs.filter(({ completeness }) => completeness.bound > unknown);
  if (few.length > 0) {
    const names = few
      .slice(0, mostNames)
      .map(({ job, completeness }) => `${printable(job)} (${count(completeness.runs, "run")})`);
    const rest = few.length > mostNames ? ` and ${few.length - mostNames} more` : "";
    out.push(`the estimate is for the mix of jobs; of these alone nearly nothing is known: ${names.join(", ")}${rest}`);
  }
  const alone = new Map<string, number>();
  for (const run of runs) if (run.size === 1) for (const each of run) alone.set(each, (alone.get(each) ?? 0) + 1);
  const [most] = [...alone].toSorted(([, a], [, b]) => b - a);
  const isPadded =
    most !== undefined && most[1] * 2 >= runs.length && runs.filter(({ size }) => size >= fewLarge).length >= fewLarge;
  if (isPadded) {
    const [host, port] = most[0].split(" ");
    out.push(
      `${most[1]} of ${runs.length} runs contacted nothing but ${host}:${port}: where that is the machine and no job, they make the estimate too hopeful`,
    );
  }
  return out;
}
