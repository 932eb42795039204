/** How long a decision takes by the number of rules, ours beside general policy engines, on one thread and without a network. */
import { cedar } from "../decide/cedar.ts";
import { type Decider, hostOf } from "../decide/engine.ts";
import { sallyport } from "../decide/sallyport.ts";
import type { Samples } from "../report/result.ts";
import type { Bench, Case } from "../stand/bench.ts";

const deciders: readonly Decider[] = [sallyport, cedar];
const noOpa =
  "its WebAssembly has to be compiled from Rego, and neither npm nor Debian has the compiler (opa build -t wasm)";
/** Hosts asked about: spread over the rules, and every fourth one that no rule allows. */
const hosts = 1000;

export const decisions: Case = {
  name: "decisions",
  title: "time of a decision by the number of rules, beside Cedar and OPA",
  async run(bench) {
    for (const rules of bench.quick ? [10, 1_000, 10_000] : [10, 1_000, 10_000, 100_000, 1_000_000])
      await measure(bench, rules);
  },
};

async function measure(bench: Bench, rules: number): Promise<void> {
  const samples = { p50: new Map() as Samples, p99: new Map() as Samples, load: new Map() as Samples };
  const engines: { name: string; batch: number; decide: (host: string) => boolean; times: number[] }[] = [];
  for (const { name, most, batch, load } of deciders) {
    if (rules > most) {
      for (const each of Object.values(samples)) each.set(name, `more than ${most} rules take it too long`);
      continue;
    }
    bench.progress(`decisions: ${name} loads ${rules} rules`);
    const begun = performance.now();
    const decide = await load(rules);
    samples.load.set(name, [performance.now() - begun]);
    engines.push({ name, batch, decide, times: [] });
  }
  const asked = Array.from({ length: hosts }, (_, k) =>
    k % 4 === 3 ? `other${k}.example.com` : hostOf((k * 7919) % rules),
  );
  const rounds = bench.quick ? 2 : 5;
  for (let round = 0; round < rounds; round++) {
    for (const { name, batch, decide, times } of engines) {
      bench.progress(`decisions at ${rules} rules: ${name}, round ${round + 1}`);
      readings(decide, batch, asked, bench.quick ? 150 : 400, round === 0 ? null : times);
    }
  }
  for (const { name, times } of engines) {
    times.sort((a, b) => a - b);
    samples.p50.set(name, [times[times.length >> 1]!]);
    samples.p99.set(name, [times[Math.floor(times.length * 0.99)]!]);
  }
  for (const each of Object.values(samples)) each.set("opa", noOpa);
  bench.record(`decisions.${rules}.p50`, "µs", samples.p50);
  bench.record(`decisions.${rules}.p99`, "µs", samples.p99);
  bench.record(`decisions.${rules}.load`, "ms", samples.load);
}

/** Decides for so many milliseconds; adds microseconds a decision, one reading a batch. Null: to warm up. */
function readings(
  decide: (host: string) => boolean,
  batch: number,
  asked: readonly string[],
  milliseconds: number,
  into: number[] | null,
): void {
  const until = performance.now() + milliseconds;
  let at = 0;
  let allowed = 0;
  let all = 0;
  for (let now = performance.now(); now < until;) {
    for (let i = 0; i < batch; i++) if (decide(asked[at++ % asked.length]!)) allowed++;
    all += batch;
    const then = performance.now();
    into?.push(((then - now) * 1000) / batch);
    now = then;
  }
  // Three of four, once all were asked: an engine that answers anything else is not being measured but broken.
  if (all >= asked.length && Math.abs(allowed / all - 0.75) > 0.05) throw new Error(`${allowed} of ${all} allowed`);
}
