/** What a benchmark says, in the form that `--json` gives; and from samples to it. Pure. */
import { z } from "zod";

const number = z.number();

export const rowSchema = z.object({
  /** What was measured: dotted, from the kind to the figure (`connections.32.classical.per_second`). */
  case: z.string(),
  contender: z.string(),
  /** The median of the rounds; null where the contender cannot do it. Never 0 for that. */
  value: number.nullable(),
  unit: z.string(),
  /** The rounds' largest less their smallest, as a share of the median; null where there was one round. */
  spread: number.nullable(),
  /** The median of the rounds' ratios, each to plain forwarding in the same round; null where forwarding does no such thing. */
  ratio_to_forwarding: number.nullable(),
  /** Why it cannot. */
  cannot: z.string().optional(),
});

export const resultSchema = z.object({
  schema: z.literal("sallyport.bench/1"),
  /** RFC 3339. */
  at: z.string(),
  /** Seconds. */
  took: number,
  quick: z.boolean(),
  /** What was measured less than it should have been, so that the run ended in time; empty where nothing was. */
  shortened: z.array(z.string()),
  host: z.object({
    processor: z.string(),
    cpus: number,
    memory_gb: number,
    kernel: z.string(),
    node: z.string(),
    /** Processors that others used when the run began. */
    busy: number,
    quiet: z.boolean(),
    versions: z.record(z.string(), z.string()),
  }),
  cases: z.array(rowSchema),
  targets: z.array(
    z.object({
      target: z.string(),
      wanted: z.string(),
      /** Null where what it needs was not measured. */
      value: number.nullable(),
      met: z.boolean().nullable(),
    }),
  ),
});

export type Row = z.infer<typeof rowSchema>;
export type Result = z.infer<typeof resultSchema>;
export type Target = Result["targets"][number];

/** The contender that ratios are to. */
export const baseline = "forwarding";

/** One figure of every contender, a sample a round. A contender that cannot do it: why. */
export type Samples = Map<string, readonly number[] | string>;

/** One row for each contender, in order. */
export function rowsOf(name: string, unit: string, samples: Samples): Row[] {
  const base = samples.get(baseline);
  return [...samples].map(([contender, values]): Row => {
    const row = { case: name, contender, unit };
    if (typeof values === "string" || values.length === 0) {
      const cannot = typeof values === "string" ? values : "nothing was measured";
      return { ...row, value: null, spread: null, ratio_to_forwarding: null, cannot };
    }
    const middle = median(values);
    const spread = values.length < 2 || middle === 0 ? null : (Math.max(...values) - Math.min(...values)) / middle;
    return { ...row, value: rounded(middle), spread: rounded(spread), ratio_to_forwarding: ratio(values, base) };
  });
}

function ratio(values: readonly number[], base: readonly number[] | string | undefined): number | null {
  if (base === undefined || typeof base === "string") return null;
  const pairs = values.flatMap((value, round) => ((base[round] ?? 0) > 0 ? [value / base[round]!] : []));
  return pairs.length === 0 ? null : rounded(median(pairs));
}

/** The middle value, or the mean of the two; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Four significant digits: more would be noise. */
function rounded<T extends number | null>(value: T): T {
  return (value === null ? null : Number(value.toPrecision(4))) as T;
}
