/** The figures of bench/ingest.ts as text: medians over the rounds, with their spread, and ratios. */
import type { Status } from "../src/enforcer/status.ts";
import type { Distribution } from "./load/distribution.ts";
import { median } from "./load/stand.ts";

/** The gateway with nothing else to do; with added events; with as much processor time burned beside it. */
export type Kind = "alone" | "flooded" | "burned";

/** Times in microseconds. */
export type ClientFigures = Distribution & { perSecond: number; failed: number };
export type NameFigures = Distribution & { lost: number };

export interface Figures {
  kind: Kind;
  /** For each concurrency. */
  clients: ClientFigures[];
  names: NameFigures;
  looks: { status: Status; tookMs: number }[];
  /** Events a second. */
  appended: number;
  durable: number;
  /** Events that were due and not offered, because the main thread was a second behind. */
  heldBack: number;
  /** Cores that the gateway's process used, and of them its main thread. */
  processor: number;
  mainThread: number;
  /** Cores by thread name. */
  threads: ReadonlyMap<string, number>;
}

type Results = Readonly<Record<Kind, readonly Figures[]>>;

const whole = (value: number) => Math.round(value).toLocaleString("en");

export function print(results: Results, concurrencies: readonly number[], rate: number): void {
  console.log(
    `medians (least to most); A: alone, B: with ${whole(rate)} events/s, C: with B's processor time burned beside it`,
  );
  for (const [i, concurrency] of concurrencies.entries()) {
    const of = (key: "perSecond" | "p50" | "p99") => (figures: Figures) => figures.clients[i]![key];
    row(`${concurrency} at a time: connections/s`, results, of("perSecond"));
    row(`${concurrency} at a time: first byte, p50 µs`, results, of("p50"));
    row(`${concurrency} at a time: first byte, p99 µs`, results, of("p99"));
    const failed = Object.values(results).map((list) => sum(list.map(({ clients }) => clients[i]!.failed)));
    if (sum(failed) > 0) console.log(`  failed: ${failed.join(" / ")}`);
  }
  for (const key of ["p50", "p99", "max"] as const) row(`DNS answer, ${key} µs`, results, ({ names }) => names[key]);
  row("DNS questions without an answer", results, ({ names }) => names.lost);
  row("status answered within, µs", results, ({ looks }) => 1000 * Math.max(...looks.map(({ tookMs }) => tookMs)));
  row("events/s appended", results, ({ appended }) => appended);
  row("events/s made durable", results, ({ durable }) => durable);
  row("events due and not offered", results, ({ heldBack }) => heldBack);
  row("processor, % of a core", results, ({ processor }) => processor * 100);
  row("  of it the main thread", results, ({ mainThread }) => mainThread * 100);
  printThreads(results);
  const most = (value: (status: Status) => number) => (figures: Figures) =>
    Math.max(...figures.looks.map(({ status }) => value(status)));
  row(
    "resident memory, at most, MB",
    results,
    most(({ memory }) => memory.rss / 1e6),
  );
  row(
    "record in memory, at most, kB",
    results,
    most(({ record }) => record.buffered / 1e3),
  );
  for (const [kind, list] of Object.entries(results)) {
    const looks = list.flatMap((each) => each.looks);
    const red = looks.filter(({ status }) => status.state !== "enforcing");
    const problems = new Set(red.flatMap(({ status }) => status.problems));
    const green = red.length === 0 ? "green each time" : `RED ${red.length} times: ${[...problems].join("; ")}`;
    console.log(`status, ${kind}: asked ${looks.length} times, ${green}`);
  }
}

/** What an added event costs each thread more than the gateway alone: the arithmetic of the cores. */
function printThreads({ alone, flooded }: Results): void {
  const of = (list: readonly Figures[], value: (figures: Figures) => number) => median(list.map(value));
  const events = of(flooded, ({ appended }) => appended) - of(alone, ({ appended }) => appended);
  const names = new Set(flooded.flatMap(({ threads }) => [...threads.keys()]));
  const costs = [...names].map((name): [string, number] => {
    const used = (list: readonly Figures[]) => of(list, ({ threads }) => threads.get(name) ?? 0);
    return [name, ((used(flooded) - used(alone)) / events) * 1e6];
  });
  const shown = costs.filter(([, cost]) => cost >= 0.05).toSorted(([, a], [, b]) => b - a);
  console.log(`processor, µs an added event: ${shown.map(([name, cost]) => `${name} ${cost.toFixed(2)}`).join(", ")}`);
}

function row(title: string, { alone, flooded, burned }: Results, value: (figures: Figures) => number): void {
  const [a, b, c] = [alone, flooded, burned].map((list) => list.map(value)) as [number[], number[], number[]];
  const cell = (list: number[]) =>
    `${whole(median(list))} (${whole(Math.min(...list))} to ${whole(Math.max(...list))})`;
  const ratio = (over: number[]) => (median(over) === 0 ? "-" : (median(b) / median(over)).toFixed(2));
  console.log(
    `${title.padEnd(36)} A ${cell(a).padEnd(26)} B ${cell(b).padEnd(28)} C ${cell(c).padEnd(26)} B/A ${ratio(a).padEnd(6)} B/C ${ratio(c)}`,
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0);
}
