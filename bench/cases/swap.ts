/**
 * A policy of 10 000 rules replaced by another while connections are made: how long from the request until it is in force, and how
 * much of that is not reading and compiling the text; what it cost in lost connections; and how soon a live flow ends whose rule was
 * withdrawn.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "../../src/enforcer/control.ts";
import { loadText } from "../../src/enforcer/policy-source.ts";
import type { Bulk } from "../load/bulk-client.ts";
import { peers } from "../peers/peers.ts";
import { policyText, stateOf, writePolicy } from "../peers/sallyport.ts";
import { median } from "../report/result.ts";
import type { Bench, Case } from "../stand/bench.ts";
import { quantile, type Stand } from "../stand/stand.ts";

const rules = 10_000;
const units = {
  in_force: "ms",
  compile: "ms",
  besides: "ms",
  lost: "connections",
  p99: "µs",
  longest: "ms",
  withdrawn_flow_ends: "ms",
} as const;
type Figures = Record<keyof typeof units, number[]>;

export const swap: Case = {
  name: "swap",
  title: "policy swap at 10 000 rules under load, and the end of a withdrawn rule's flows",
  wants: { quick: 6, whole: 40 },
  parts: () => 2,
  atStands: true,
  async run(bench) {
    const { able, cannot } = await bench.contenders(peers, "swap");
    const figures: Partial<Record<keyof typeof units, Map<string, number[]>>> = {};
    for (const { peer, stand } of able) {
      const measured = await measure(bench, stand).catch((error: Error) => error.message);
      if (typeof measured === "string") cannot.set(peer.name, `it failed: ${measured}`);
      else
        for (const [figure, values] of Object.entries(measured))
          (figures[figure as keyof typeof units] ??= new Map()).set(peer.name, values);
    }
    bench.recordAll("swap", units, peers, cannot, figures);
  },
};

async function measure(bench: Bench, stand: Stand): Promise<Figures> {
  const { classical, postQuantum, bulk } = bench.hellos;
  const ports = [classical.port, postQuantum.port, bulk.port];
  const others = (word: string) =>
    Array.from({ length: rules }, (_, i) => `  - { name: r${i}, to: ${word}${i}.example.com }`);
  const policies = [policyText(ports, others("a")), policyText(ports, others("b"))];
  const replace = async (text: string): Promise<number> => {
    writePolicy(stand, text);
    const begun = performance.now();
    await ask(stateOf(stand), "POST", "/reload");
    const took = performance.now() - begun;
    // The gateway sees by itself that the file is another one, and reads it again: the next one begins after that.
    await sleep(100);
    await ask(stateOf(stand), "GET", "/status");
    return took;
  };
  bench.progress("swap: under load");
  const until = bench.clock.part();
  const compile = policies.map((text) => {
    const begun = performance.now();
    loadText(text, "bench.yaml");
    return performance.now() - begun;
  });
  await replace(policies[1]!);
  // However long the swaps take here, the load goes on until the last one is over.
  const stop = join(bench.folder, "swaps-are-over");
  const order = { concurrency: 32, seconds: longestSwaps, warmSeconds: 0.2, stop };
  const loading = stand.load(order, classical);
  // Told of where it is awaited.
  loading.catch(() => {});
  await sleep(500);
  const inForce: number[] = [];
  const wanted = bench.quick ? 2 : 8;
  while (inForce.length < wanted && (inForce.length === 0 || bench.clock.now() < until)) {
    bench.progress(`swap: under load, ${inForce.length + 1}`);
    inForce.push(await replace(policies[inForce.length % 2]!));
    await sleep(200);
  }
  if (inForce.length < wanted) bench.clock.shorten(`swap: ${inForce.length} of ${wanted} swaps`);
  writeFileSync(stop, "");
  const load = await loading;
  const withdrawn: number[] = [];
  const end = bench.clock.part();
  while (withdrawn.length < (bench.quick ? 1 : 3) && (withdrawn.length === 0 || bench.clock.now() < end)) {
    bench.progress(`swap: withdrawing a rule, ${withdrawn.length + 1}`);
    withdrawn.push(await withdraw(stand, () => replace(policyText([classical.port])), bulk));
    await replace(policyText(ports));
  }
  return {
    in_force: inForce,
    compile,
    besides: inForce.map((each) => Math.max(0, each - median(compile))),
    lost: [load.failed + load.wrong],
    p99: [quantile(load, 0.99)],
    longest: [quantile(load, 1) / 1000],
    withdrawn_flow_ends: withdrawn,
  };
}

/** Seconds; the swaps are over long before. */
const longestSwaps = 300;

/** Milliseconds from the replaced file to the end of a download that it no longer allows. */
async function withdraw(stand: Stand, replace: () => Promise<number>, hello: Bench["hellos"]["bulk"]): Promise<number> {
  const download = await stand.downloading(1, 30, hello);
  await download.waitFor(/flowing/, 20_000);
  const begun = Date.now();
  await replace();
  const { stdout } = await download.exited;
  const { ended } = JSON.parse(stdout.trim().split("\n").at(-1)!) as Bulk;
  if (ended === null) throw new Error("a download went on for 30 s after its rule was withdrawn");
  return ended - begun;
}
