/** Refusals: a hello for a name that no rule allows, at an address that is allowed for another. How many a second, how soon. */
import { peers } from "../peers/peers.ts";
import type { Case, Contender } from "../stand/bench.ts";
import { interleave } from "../stand/clock.ts";
import { quantile } from "../stand/stand.ts";

const units = { per_second: "/s", p50: "µs", p99: "µs", lost: "" } as const;
type Figure = keyof typeof units;

const counts = [1, 32];

export const denied: Case = {
  name: "denied",
  title: "refused connections a second, and time to the refusal",
  wants: { quick: 5, whole: 45 },
  parts: () => counts.length,
  atStands: true,
  async run(bench) {
    const { able, cannot } = await bench.contenders(peers, "deny");
    for (const concurrency of counts) {
      const name = `denied.${concurrency}`;
      const figures = await interleave<Contender, Figure>(
        bench.clock,
        name,
        able,
        bench.quick ? { rounds: 1, seconds: 0.3 } : { rounds: 3, seconds: 1 },
        ({ peer }) => peer.name,
        async ({ peer, stand }, round, seconds) => {
          bench.progress(`refusals, ${concurrency} at a time: ${peer.name}, round ${round + 1}`);
          const warmSeconds = seconds / 6;
          const order = { concurrency, seconds: seconds - warmSeconds, warmSeconds, expect: "refused" } as const;
          const load = await stand.load(order, bench.hellos.denied);
          return {
            per_second: load.rate,
            p50: quantile(load, 0.5),
            p99: quantile(load, 0.99),
            lost: load.failed + load.wrong,
          };
        },
        ({ peer }, why) => cannot.set(peer.name, why),
      );
      bench.recordAll(name, units, peers, cannot, figures);
    }
  },
};
