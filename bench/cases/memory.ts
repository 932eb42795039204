/**
 * Memory of a contender's processes for each live, allowed connection: what they hold with so many open less what they held
 * before. The kernel's own entries, which forwarding has as well, are not in it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { descriptors } from "../peers/peer.ts";
import { peers } from "../peers/peers.ts";
import type { Samples } from "../report/result.ts";
import type { Bench, Case, Contender } from "../stand/bench.ts";

export const memory: Case = {
  name: "memory",
  title: "memory per live connection at 10 000 and 100 000",
  async run(bench) {
    const { able, cannot } = await bench.contenders(peers, "hold");
    const last: Samples = new Map();
    for (const count of bench.quick ? [10_000] : [10_000, 100_000]) {
      const samples = { per_connection: new Map() as Samples, all: new Map() as Samples };
      for (const { name } of bench.chosen(peers)) {
        const contender = able.find(({ peer }) => peer.name === name);
        const held =
          contender === undefined ? (cannot.get(name) ?? "not started") : await hold(bench, contender, count);
        samples.per_connection.set(name, typeof held === "string" ? held : [held.each]);
        samples.all.set(name, typeof held === "string" ? held : [held.all]);
        // The smaller count's stays where the larger one cannot be had.
        if (typeof held !== "string" || !last.has(name)) last.set(name, samples.per_connection.get(name)!);
      }
      bench.record(`memory.${count}.per_connection`, "bytes", samples.per_connection);
      bench.record(`memory.${count}.all`, "MB", samples.all);
    }
    bench.record("memory.per_connection", "bytes", last);
  },
};

async function hold(
  bench: Bench,
  { peer, stand }: Contender,
  count: number,
): Promise<{ each: number; all: number } | string> {
  if (stand.processes().length === 0) return "it has no process; the kernel's entries are not measured";
  bench.progress(`memory at ${count} connections: ${peer.name}`);
  // Neither the code's nor the heap's growth in its first minute is the connections'.
  await stand.load({ concurrency: 32, seconds: bench.quick ? 0.3 : 2 }, bench.hellos.classical);
  const before = stand.memory();
  const { load, release } = await stand.hold(count, bench.hellos.classical);
  try {
    if (load.done < count * 0.99)
      return `${load.done} of ${count} were answered; a process may have ${descriptors()} descriptors here`;
    // Events are written and garbage is collected behind the connections.
    await sleep(bench.quick ? 300 : 2000);
    const all = stand.memory();
    if (all < before) return "its memory became smaller meanwhile: what so many take is less than what comes and goes";
    return { each: (all - before) / count, all: all / 1e6 };
  } finally {
    await release();
  }
}
