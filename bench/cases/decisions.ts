/** How long a decision takes by the number of rules, ours beside general policy engines, on one thread and without a network. */
import { cedar } from "../decide/cedar.ts";
import { type Decider, hostOf } from "../decide/engine.ts";
import { sallyport } from "../decide/sallyport.ts";
import type { Bench, Case } from "../stand/bench.ts";
import { interleave } from "../stand/clock.ts";

const deciders: readonly Decider[] = [sallyport, cedar];
const noOpa =
  "its WebAssembly has to be compiled from Rego, and neither npm nor Debian has the compiler (opa build -t wasm)";
/** Hosts asked about: spread over the rules, and every fourth one that no rule allows. */
const hosts = 1000;
const units = { p50: "µs", p99: "µs", load: "ms" } as const;
type Figure = keyof typeof units;

interface Engine extends Decider {
  decide: (host: string) => boolean;
  /** Milliseconds. */
  loaded: number;
}

const counts = (quick: boolean) => (quick ? [10, 1_000, 10_000] : [10, 1_000, 10_000, 100_000, 1_000_000]);

export const decisions: Case = {
  name: "decisions",
  title: "time of a decision by the number of rules, beside Cedar and OPA",
  wants: { quick: 5, whole: 90 },
  parts: (quick) => counts(quick).length,
  atStands: false,
  async run(bench) {
    const loads = new Map<string, number>();
    for (const rules of counts(bench.quick)) await measure(bench, rules, loads);
  },
};

/** `loads`: milliseconds that each engine took for a rule, of those that it loaded last. */
async function measure(bench: Bench, rules: number, loads: Map<string, number>): Promise<void> {
  const name = `decisions.${rules}`;
  const cannot = new Map([["opa", noOpa]]);
  const asked = Array.from({ length: hosts }, (_, k) =>
    k % 4 === 3 ? `other${k}.example.com` : hostOf((k * 7919) % rules),
  );
  const engines: Engine[] = [];
  for (const decider of deciders) {
    const most = bench.quick ? decider.mostQuick : decider.most;
    if (rules > most) {
      cannot.set(decider.name, `more than ${most} rules take it too long${bench.quick ? " for a quick run" : ""}`);
      continue;
    }
    // Nothing ends a load that has begun.
    const expected = (rules * (loads.get(decider.name) ?? 0)) / 1000;
    if (expected > Math.max(0, bench.clock.left())) {
      cannot.set(decider.name, `loading so many would take some ${expected.toFixed(0)} s, which are not left`);
      continue;
    }
    bench.progress(`decisions: ${decider.name} loads ${rules} rules`);
    const begun = performance.now();
    const decide = await decider.load(rules);
    loads.set(decider.name, (performance.now() - begun) / rules);
    engines.push({ ...decider, decide, loaded: performance.now() - begun });
    // An engine that answers anything else is not being measured but broken; and it warms up.
    for (const [k, host] of asked.slice(0, 8).entries())
      if (decide(host) !== (k % 4 !== 3)) throw new Error(`${decider.name} decides wrongly about ${host}`);
  }
  const figures = await interleave<Engine, Figure>(
    bench.clock,
    name,
    engines,
    bench.quick ? { rounds: 2, seconds: 0.15 } : { rounds: 5, seconds: 0.4 },
    (engine) => engine.name,
    (engine, round, seconds) => {
      bench.progress(`decisions at ${rules} rules: ${engine.name}, round ${round + 1}`);
      // The first is to warm up.
      if (round === 0) readings(engine, asked, seconds / 2);
      const times = readings(engine, asked, seconds).toSorted((a, b) => a - b);
      const at = (share: number) => times[Math.floor(times.length * share)]!;
      return Promise.resolve({ p50: at(0.5), p99: at(0.99), load: engine.loaded });
    },
    (engine, why) => cannot.set(engine.name, why),
  );
  bench.recordAll(name, units, [...deciders, { name: "opa" }], cannot, figures);
}

/** Decides for so long; microseconds a decision, one reading a batch. */
function readings({ decide, batch }: Engine, asked: readonly string[], seconds: number): number[] {
  const times: number[] = [];
  const until = performance.now() + seconds * 1000;
  let at = 0;
  let allowed = 0;
  let all = 0;
  for (let now = performance.now(); now < until;) {
    for (let i = 0; i < batch; i++) if (decide(asked[at++ % asked.length]!)) allowed++;
    all += batch;
    const then = performance.now();
    times.push(((then - now) * 1000) / batch);
    now = then;
  }
  // Three of four, once all were asked.
  if (all >= asked.length && Math.abs(allowed / all - 0.75) > 0.05) throw new Error(`${allowed} of ${all} allowed`);
  return times;
}
