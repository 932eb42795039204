/** What Sallyport's figures should be, as functions of a run's rows; met or missed, and by how much. Pure. */
import type { Row, Target } from "./result.ts";

const us = "sallyport";

interface Wish {
  target: string;
  at: "least" | "most";
  bound: number;
  unit: string;
  value: (figure: Figure) => number | null;
}

/** The value of a case for a contender, or its ratio to forwarding; null where there is none. */
type Figure = (name: string, contender?: string, of?: "value" | "ratio_to_forwarding") => number | null;

const over = (a: number | null, b: number | null) => (a === null || b === null || b === 0 ? null : a / b);
const less = (a: number | null, b: number | null) => (a === null || b === null ? null : a - b);

const perSecond = (concurrency: number) => `connections.${concurrency}.classical.per_second`;
const latency = (share: string) => `connections.1.classical.${share}`;

const ratioTo = (target: string, name: string, contender: string, bound: number): Wish => ({
  target,
  at: "least",
  bound,
  unit: "×",
  // That to forwarding is the median of the rounds' own.
  value: (figure) =>
    contender === "forwarding" ? figure(name, us, "ratio_to_forwarding") : over(figure(name), figure(name, contender)),
});

const atMost = (target: string, bound: number, unit: string, value: Wish["value"]): Wish => ({
  target,
  at: "most",
  bound,
  unit,
  value,
});

const wishes: readonly Wish[] = [
  ...[32, 256].flatMap((each) => [
    ratioTo(`new connections, ${each} at a time, to forwarding`, perSecond(each), "forwarding", 0.9),
    ratioTo(`new connections, ${each} at a time, to HAProxy`, perSecond(each), "haproxy", 1.8),
    ratioTo(`new connections, ${each} at a time, to Squid`, perSecond(each), "squid", 8),
  ]),
  ...(["p50", "p99"] as const).map((share) =>
    atMost(`added ${share} from connect to first byte, one at a time`, share === "p50" ? 30 : 150, "µs", (figure) =>
      less(figure(latency(share)), figure(latency(share), "forwarding")),
    ),
  ),
  ratioTo("bulk throughput, one stream, to forwarding", "bulk.1.throughput", "forwarding", 0.98),
  ratioTo("bulk throughput, many streams, to forwarding", "bulk.8.throughput", "forwarding", 0.98),
  atMost("memory per live allowed connection", 200, "bytes", (figure) => figure("memory.per_connection")),
  atMost("refusal, p50, one at a time", 200, "µs", (figure) => figure("denied.1.p50")),
  ratioTo("DNS cache hits, to unbound", "dns.hit.per_second", "unbound", 1),
  ratioTo("DNS cache misses, to unbound", "dns.miss.per_second", "unbound", 0.8),
  atMost("decision, p50, at the most rules measured", 1, "µs", (figure) => most(figure, us)),
  {
    target: "decisions, to Open Policy Agent at 1 000 rules",
    at: "least",
    bound: 50,
    unit: "×",
    value: (figure) => over(figure("decisions.1000.p50", "opa"), figure("decisions.1000.p50")),
  },
  atMost("policy swap at 10 000 rules under load, reading and compiling included", 50, "ms", (figure) =>
    figure("swap.in_force"),
  ),
  atMost("policy swap at 10 000 rules under load, besides reading and compiling", 50, "ms", (figure) =>
    figure("swap.besides"),
  ),
  atMost("connections lost in policy swaps", 0, "lost", (figure) => figure("swap.lost")),
  ...["npm_ci", "git_clone"].flatMap((job) =>
    ["run", "gateway"].map((way) =>
      atMost(`${job.replace("_", " ")} through ${way}, more than without`, 1, "%", (figure) => {
        const share = figure(`jobs.${job}`, way, "ratio_to_forwarding");
        return share === null ? null : (share - 1) * 100;
      }),
    ),
  ),
];

/** The figure at the largest number of rules there is one for. */
function most(figure: Figure, contender: string): number | null {
  for (const rules of [1_000_000, 100_000, 10_000, 1_000, 10]) {
    const value = figure(`decisions.${rules}.p50`, contender);
    if (value !== null) return value;
  }
  return null;
}

/** Every target, met, missed or not measured. */
export function targetsOf(rows: readonly Row[]): Target[] {
  const figure: Figure = (name, contender = us, of = "value") =>
    rows.find((row) => row.case === name && row.contender === contender)?.[of] ?? null;
  return wishes.map(({ target, at, bound, unit, value }) => {
    const found = value(figure);
    const met = found === null ? null : at === "least" ? found >= bound : found <= bound;
    const wanted = `${at === "least" ? "≥" : "≤"} ${bound} ${unit}`;
    return { target, wanted, value: found === null ? null : Number(found.toPrecision(4)), met };
  });
}

/** How far from the bound a figure is, in words: `by 12 %`, `by 3`. */
export function margin({ wanted, value }: Target): string {
  const bound = Number(wanted.split(" ")[1]);
  if (value === null) return "";
  const difference = Math.abs(value - bound);
  return bound === 0 ? `by ${difference.toPrecision(3)}` : `by ${((difference / bound) * 100).toFixed(0)} %`;
}
