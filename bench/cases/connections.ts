/**
 * New TLS connections: how many a second, and how long from connect to the first answered byte, by how many are under way and by
 * the hello's size; with the processor that the whole machine spent on each, and that the contender's own processes did.
 */
import { processorOf } from "../load/processor.ts";
import { peers } from "../peers/peers.ts";
import type { Bench, Case, Contender } from "../stand/bench.ts";
import { interleave } from "../stand/clock.ts";
import { busySeconds } from "../stand/host.ts";
import type { Hello } from "../stand/hellos.ts";
import { quantile } from "../stand/stand.ts";

const units = { per_second: "/s", p50: "µs", p99: "µs", lost: "", cpu: "ms / 1 000", own_cpu: "ms / 1 000" } as const;
type Figure = keyof typeof units;

/** Above this many at a time a contender must say that it can. */
const many = 32;

/** How many are under way at a time, and whose hello they send. */
function groups(quick: boolean): [number, "classical" | "postQuantum"][] {
  const counts = quick ? [1, 32, 256] : [1, 32, 256, 2000];
  return counts.flatMap((count): [number, "classical" | "postQuantum"][] =>
    quick && count !== 32
      ? [[count, "classical"]]
      : [
          [count, "classical"],
          [count, "postQuantum"],
        ],
  );
}

export const connections: Case = {
  name: "connections",
  title: "new TLS connections",
  wants: { quick: 10, whole: 200 },
  parts: (quick) => groups(quick).length,
  atStands: true,
  async run(bench) {
    for (const [concurrency, hello] of groups(bench.quick)) await measure(bench, concurrency, bench.hellos[hello]);
  },
};

async function measure(bench: Bench, concurrency: number, hello: Hello): Promise<void> {
  const { able, cannot } = await bench.contenders(peers, concurrency > many ? "many" : "connect");
  const name = `connections.${concurrency}.${hello.label.replace("-", "_")}`;
  const figures = await interleave<Contender, Figure>(
    bench.clock,
    name,
    able,
    bench.quick ? { rounds: 1, seconds: 0.3 } : { rounds: 3, seconds: 1 },
    ({ peer }) => peer.name,
    async ({ peer, stand }, round, seconds) => {
      bench.progress(`${concurrency} at a time, ${hello.label} hello: ${peer.name}, round ${round + 1}`);
      // One at a time warms up in no time; many have to fill their queues first.
      const warmSeconds = seconds / 6;
      const own = ownSeconds(stand.processes());
      const busy = busySeconds();
      const load = await stand.load({ concurrency, seconds: seconds - warmSeconds, warmSeconds }, hello);
      const perThousand = 1e6 / Math.max(load.next - load.from, 1);
      return {
        per_second: load.rate,
        p50: quantile(load, 0.5),
        p99: quantile(load, 0.99),
        lost: load.failed + load.wrong,
        cpu: (busySeconds() - busy) * perThousand,
        own_cpu: (ownSeconds(stand.processes()) - own) * perThousand,
      };
    },
    ({ peer }, why) => cannot.set(peer.name, why),
  );
  bench.recordAll(name, units, peers, cannot, figures);
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
