/**
 * New TLS connections: how many a second, and how long from connect to the first answered byte, by how many are under way and by
 * the hello's size; with the processor that the whole machine spent on each, and that the contender's own processes did.
 */
import { processorOf } from "../load/processor.ts";
import { peers } from "../peers/peers.ts";
import { type Bench, type Case, type Contender, interleave } from "../stand/bench.ts";
import { busySeconds } from "../stand/host.ts";
import type { Hello } from "../stand/hellos.ts";
import { quantile } from "../stand/stand.ts";

const units = { per_second: "/s", p50: "µs", p99: "µs", lost: "", cpu: "ms / 1 000", own_cpu: "ms / 1 000" } as const;
type Figure = keyof typeof units;

/** Above this many at a time a contender must say that it can. */
const many = 32;

export const connections: Case = {
  name: "connections",
  title: "new TLS connections",
  async run(bench) {
    const { classical, postQuantum } = bench.hellos;
    for (const concurrency of bench.quick ? [1, 32, 256] : [1, 32, 256, 2000]) {
      for (const hello of bench.quick && concurrency !== 32 ? [classical] : [classical, postQuantum]) {
        await measure(bench, concurrency, hello);
      }
    }
  },
};

async function measure(bench: Bench, concurrency: number, hello: Hello): Promise<void> {
  const { able, cannot } = await bench.contenders(peers, concurrency > many ? "many" : "connect");
  const seconds = bench.quick ? 0.4 : 1.5;
  const figures = await interleave<Contender, Figure>(
    able,
    bench.quick ? 1 : 3,
    ({ peer }) => peer.name,
    async ({ peer, stand }, round) => {
      bench.progress(`${concurrency} at a time, ${hello.label} hello: ${peer.name}, round ${round + 1}`);
      const own = ownSeconds(stand.processes());
      const busy = busySeconds();
      const load = await stand.load({ concurrency, seconds, warmSeconds: bench.quick ? 0.1 : 0.3 }, hello);
      const perThousand = 1e6 / Math.max(load.made, 1);
      return {
        per_second: load.done / load.seconds,
        p50: quantile(load, 0.5),
        p99: quantile(load, 0.99),
        lost: load.failed + load.wrong,
        cpu: (busySeconds() - busy) * perThousand,
        own_cpu: (ownSeconds(stand.processes()) - own) * perThousand,
      };
    },
  );
  for (const [figure, unit] of Object.entries(units) as [Figure, string][]) {
    const samples = new Map<string, readonly number[] | string>();
    for (const { name } of bench.chosen(peers)) samples.set(name, cannot.get(name) ?? figures[figure]?.get(name) ?? []);
    bench.record(`connections.${concurrency}.${hello.label.replace("-", "_")}.${figure}`, unit, samples);
  }
}

/** Seconds of processor that these have used so far. */
function ownSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      return sum + processorOf(pid).all;
    } catch {
      // It ended in the meantime.
      return sum;
    }
  }, 0);
}
