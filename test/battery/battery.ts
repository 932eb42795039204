/**
 * The battery: every case on every stand it is meant for. The stands work side by side, each through its cases one after
 * the other, so that an event that is recorded while a case runs is that case's own; those that only time ends run beside.
 */
import { caseName, fronts, modes } from "./case.ts";
import type { Case, CaseResult, Family, Front, Mode } from "./case.ts";
import { happen, type Happening } from "./execute.ts";
import { isGood, score } from "./score.ts";
import { gatewayStand, openStand } from "./stands/gateway.ts";
import { runStand } from "./stands/run.ts";
import { standName } from "./stands/stand.ts";

export type BatteryOptions = {
  cases: readonly Case[];
  fronts?: readonly Front[];
  modes?: readonly Mode[];
  families?: readonly Family[];
  /** Called with each result as soon as it is known. */
  onResult?: (result: CaseResult, done: number, total: number) => void;
};

export type BatteryReport = {
  schema: "sallyport.battery/1";
  cases: CaseResult[];
  /** What an enforcer said of itself at the end, where all was not well: its record's chain, its data path. */
  problems: string[];
};

type Task = { each: Case; family: Family };

/**
 * Runs the battery, and what was not well once more by itself: a starved machine loses a client's patience, not a verdict. A
 * leak is one and is not tried again. What it took is in the evidence.
 */
export async function runBatteryTwice(options: BatteryOptions): Promise<BatteryReport> {
  const first = await runBattery(options);
  const isLost = ({ result }: CaseResult): boolean => !isGood(result) && result !== "leak";
  const lost = new Set(first.cases.filter(isLost).map(caseName));
  if (lost.size === 0) return first;
  const cases = options.cases.filter((each) => lost.has(caseName(each)));
  const second = await runBattery({ ...options, cases });
  const found = new Map(second.cases.map((each) => [each.id, each]));
  const results = first.cases.map((each) => {
    const again = found.get(each.id);
    if (again === undefined || (!isLost(each) && again.result !== "leak")) return each;
    return { ...again, evidence: { ...again.evidence, first: each.result } };
  });
  return { schema: first.schema, cases: results, problems: [...first.problems, ...second.problems] };
}

/** Runs the battery; ends every stand whatever happens. Needs root and the tools of `test/lab/packages.txt`. */
export async function runBattery(options: BatteryOptions): Promise<BatteryReport> {
  const { onResult } = options;
  const families = options.families ?? ([4, 6] as const);
  const tasks: Task[] = options.cases.flatMap((each) =>
    families.filter((v) => (each.families ?? [4, 6]).includes(v)).map((family) => ({ each, family })),
  );
  const places = (options.fronts ?? fronts).flatMap((front) =>
    (options.modes ?? modes).map((mode) => ({ front, mode })),
  );
  const isFor = (front: Front) => (task: Task) => (task.each.fronts ?? fronts).includes(front);
  const total = places.reduce((sum, { front }) => sum + tasks.filter(isFor(front)).length, 0);
  const results: CaseResult[] = [];
  const problems: string[] = [];

  /** What happened with nobody in the way, once it has. */
  const open = new Map(tasks.map((task) => [task, Promise.withResolvers<Happening>()]));
  for (const { promise } of open.values()) promise.catch(() => {});

  const control = async (): Promise<void> => {
    const stand = await openStand();
    try {
      await through(tasks, async (task) => open.get(task)!.resolve(await happen(task.each, stand, task.family)));
    } finally {
      await stand.close();
    }
  };
  const policed = async ({ front, mode }: { front: Front; mode: Mode }): Promise<void> => {
    const stand = await (front === "gateway" ? gatewayStand(mode) : runStand(mode));
    try {
      const scored: Promise<void>[] = [];
      await through(tasks.filter(isFor(front)), async (task) => {
        const here = await happen(task.each, stand, task.family);
        // The control may still be under way; the next case need not wait for it.
        const tell = async (): Promise<void> => {
          const there = await open.get(task)!.promise;
          const result = score(task.each, { front, mode, family: task.family }, here, there);
          results.push(result);
          onResult?.(result, results.length, total);
        };
        scored.push(tell());
      });
      await Promise.all(scored);
      problems.push(...(await stand.wellness()).map((text) => `${standName(stand)}: ${text}`));
    } finally {
      await stand.close();
    }
  };
  const ended = await Promise.allSettled([
    control().catch((error: unknown) => {
      for (const { reject } of open.values()) reject(error);
      throw error;
    }),
    ...places.map(policed),
  ]);
  const failed = ended.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  const order = new Map(options.cases.map((each, i) => [caseName(each), i]));
  const at = ({ row, variant }: CaseResult): number => order.get(caseName({ row, variant })) ?? 0;
  return { schema: "sallyport.battery/1", cases: results.toSorted((a, b) => at(a) - at(b)), problems };
}

/** The slow ones at once and beside, the others in order. */
async function through(tasks: readonly Task[], act: (task: Task) => Promise<void>): Promise<void> {
  const slow = Promise.all(tasks.filter(({ each }) => each.slow === true).map(act));
  slow.catch(() => {});
  for (const task of tasks) if (task.each.slow !== true) await act(task);
  await slow;
}
