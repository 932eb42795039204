/**
 * Memory of a contender's processes for each live, allowed connection: what they hold with so many open less what they held
 * before. The kernel's own entries, which forwarding has as well, are not in it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { descriptors } from "../peers/peer.ts";
import { peers } from "../peers/peers.ts";
import type { Samples } from "../report/result.ts";
import { type Bench, type Case, type Contender, noTime } from "../stand/bench.ts";

/** How many are opened, and of how many parts of the case's time. */
const counts = (quick: boolean): [count: number, parts: number][] =>
  quick
    ? [[10_000, 1]]
    : [
        [10_000, 1],
        [100_000, 3],
      ];

export const memory: Case = {
  name: "memory",
  title: "memory per live connection at 10 000 and 100 000",
  wants: { quick: 8, whole: 190 },
  parts: (quick) => counts(quick).reduce((sum, [, parts]) => sum + parts, 0),
  atStands: true,
  async run(bench) {
    const { able, cannot } = await bench.contenders(peers, "hold");
    const last: Samples = new Map();
    const rates = new Map<string, number>();
    for (const [count, parts] of counts(bench.quick)) {
      const until = bench.clock.part(parts);
      const samples = { per_connection: new Map() as Samples, all: new Map() as Samples };
      const names = bench.chosen(peers).map(({ name }) => name);
      for (const [index, name] of names.entries()) {
        const contender = able.find(({ peer }) => peer.name === name);
        const held =
          contender === undefined
            ? (cannot.get(name) ?? "not started")
            : await hold(bench, contender, count, rates, until - bench.clock.now(), names.length - index).catch(
                (error: Error) => `it failed: ${error.message}`,
              );
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

/**
 * Bytes for each of so many connections, and megabytes of all; or why there is no such figure. So many contenders have these seconds;
 * one whose rate is known has what it needs of them, or none.
 */
async function hold(
  bench: Bench,
  { peer, stand }: Contender,
  count: number,
  rates: Map<string, number>,
  left: number,
  contenders: number,
): Promise<{ each: number; all: number } | string> {
  if (stand.processes().length === 0) return "it has no process; the kernel's entries are not measured";
  const rate = rates.get(peer.name);
  const needed = count / (rate ?? Infinity);
  if (needed > left * 0.8) return `at ${rate!.toFixed(0)} connections a second it would take ${needed.toFixed(0)} s`;
  const seconds = rate === undefined ? left / contenders : left;
  if (seconds < 0.5) return noTime;
  bench.progress(`memory at ${count} connections: ${peer.name}`);
  // Neither the code's nor the heap's growth in its first minute is the connections'.
  await stand.load({ concurrency: 32, seconds: Math.min(2, seconds / 10) }, bench.hellos.classical);
  const before = stand.memory();
  const { load, release } = await stand.hold(count, seconds * 0.7, bench.hellos.classical);
  rates.set(peer.name, load.done / load.seconds);
  try {
    // Where a limit of descriptors is in the way of the last few, as many as there are tell what each takes.
    if (load.failed + load.wrong > count * 0.01 && load.done < count * 0.9)
      return `${load.done} of ${count} were answered; a process may have ${descriptors()} descriptors here`;
    if (load.done < count * 0.9) return `only ${load.done} of ${count} could be opened in ${load.seconds.toFixed(1)} s`;
    // Events are written and garbage is collected behind the connections.
    await sleep(bench.quick ? 300 : 2000);
    const all = stand.memory();
    if (all < before) return "its memory became smaller meanwhile: what so many take is less than what comes and goes";
    return { each: (all - before) / load.done, all: all / 1e6 };
  } finally {
    await release();
  }
}
