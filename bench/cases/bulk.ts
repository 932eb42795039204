/** Bytes a second of downloads, by one stream and by eight, once the verdict is there. */
import { peers } from "../peers/peers.ts";
import type { Case, Contender } from "../stand/bench.ts";
import { interleave } from "../stand/clock.ts";

const counts = (quick: boolean) => (quick ? [1] : [1, 8]);

export const bulk: Case = {
  name: "bulk",
  title: "throughput of downloads: one stream, and eight",
  wants: { quick: 6, whole: 90 },
  parts: (quick) => counts(quick).length,
  atStands: true,
  async run(bench) {
    const { able, cannot } = await bench.contenders(peers, "bulk");
    for (const streams of counts(bench.quick)) {
      const name = `bulk.${streams}`;
      const figures = await interleave<Contender, "throughput">(
        bench.clock,
        name,
        able,
        bench.quick ? { rounds: 1, seconds: 0.3 } : { rounds: 3, seconds: 1.5 },
        ({ peer }) => peer.name,
        async ({ peer, stand }, round, wanted) => {
          bench.progress(`bulk, ${streams} streams: ${peer.name}, round ${round + 1}`);
          const { bytes, seconds } = await stand.download(streams, wanted, bench.hellos.bulk);
          return { throughput: (bytes * 8) / 1e9 / seconds };
        },
        ({ peer }, why) => cannot.set(peer.name, why),
      );
      bench.recordAll(name, { throughput: "Gbit/s" }, peers, cannot, figures);
    }
  },
};
