/** Bytes a second of downloads, by one stream and by eight, once the verdict is there. */
import { peers } from "../peers/peers.ts";
import { type Case, type Contender, interleave } from "../stand/bench.ts";

export const bulk: Case = {
  name: "bulk",
  title: "throughput of downloads: one stream, and eight",
  async run(bench) {
    const { able, cannot } = await bench.contenders(peers, "bulk");
    for (const streams of [1, 8]) {
      const figures = await interleave<Contender, "throughput">(
        able,
        bench.quick ? 1 : 3,
        ({ peer }) => peer.name,
        async ({ peer, stand }, round) => {
          bench.progress(`bulk, ${streams} streams: ${peer.name}, round ${round + 1}`);
          const { bytes, seconds } = await stand.download(streams, bench.quick ? 0.5 : 2, bench.hellos.bulk);
          return { throughput: (bytes * 8) / 1e9 / seconds };
        },
      );
      const samples = new Map<string, readonly number[] | string>();
      for (const { name } of bench.chosen(peers))
        samples.set(name, cannot.get(name) ?? figures.throughput?.get(name) ?? []);
      bench.record(`bulk.${streams}.throughput`, "Gbit/s", samples);
    }
  },
};
