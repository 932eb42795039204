/** Refusals: a hello for a name that no rule allows, at an address that is allowed for another. How many a second, how soon. */
import { peers } from "../peers/peers.ts";
import { type Case, type Contender, interleave } from "../stand/bench.ts";
import { quantile } from "../stand/stand.ts";

const units = { per_second: "/s", p50: "µs", p99: "µs", lost: "" } as const;
type Figure = keyof typeof units;

export const denied: Case = {
  name: "denied",
  title: "refused connections a second, and time to the refusal",
  async run(bench) {
    const { able, cannot } = await bench.contenders(peers, "deny");
    for (const concurrency of [1, 32]) {
      const figures = await interleave<Contender, Figure>(
        able,
        bench.quick ? 1 : 3,
        ({ peer }) => peer.name,
        async ({ peer, stand }, round) => {
          bench.progress(`refusals, ${concurrency} at a time: ${peer.name}, round ${round + 1}`);
          const extent = { seconds: bench.quick ? 0.3 : 1.5, warmSeconds: bench.quick ? 0.1 : 0.3 };
          const load = await stand.load({ concurrency, ...extent, expect: "refused" }, bench.hellos.denied);
          return {
            per_second: load.done / load.seconds,
            p50: quantile(load, 0.5),
            p99: quantile(load, 0.99),
            lost: load.failed + load.wrong,
          };
        },
      );
      for (const [figure, unit] of Object.entries(units) as [Figure, string][]) {
        const samples = new Map<string, readonly number[] | string>();
        for (const { name } of bench.chosen(peers))
          samples.set(name, cannot.get(name) ?? figures[figure]?.get(name) ?? []);
        bench.record(`denied.${concurrency}.${figure}`, unit, samples);
      }
    }
  },
};
