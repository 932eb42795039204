/**
 * A policy of 10 000 rules replaced by another while connections are made: how long from the request until it is in force, reading
 * and compiling included, what it cost in lost connections, and how soon a live flow ends whose rule was withdrawn.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "../../src/enforcer/control.ts";
import type { Bulk } from "../load/bulk-client.ts";
import type { Load } from "../load/outcome.ts";
import { peers } from "../peers/peers.ts";
import { policyText, stateOf, writePolicy } from "../peers/sallyport.ts";
import type { Samples } from "../report/result.ts";
import type { Bench, Case } from "../stand/bench.ts";
import { quantile, type Stand } from "../stand/stand.ts";

const rules = 10_000;

export const swap: Case = {
  name: "swap",
  title: "policy swap at 10 000 rules under load, and the end of a withdrawn rule's flows",
  async run(bench) {
    const { able, cannot } = await bench.contenders(peers, "swap");
    const samples = { in_force: new Map(), lost: new Map(), p99: new Map(), withdrawn: new Map() } as Record<
      "in_force" | "lost" | "p99" | "withdrawn",
      Samples
    >;
    for (const { peer, stand } of able) {
      for (const [figure, values] of Object.entries(await measure(bench, stand)))
        samples[figure as keyof typeof samples].set(peer.name, values);
    }
    for (const [name, why] of cannot) for (const each of Object.values(samples)) each.set(name, why);
    bench.record("swap.in_force", "ms", samples.in_force);
    bench.record("swap.lost", "connections", samples.lost);
    bench.record("swap.p99", "µs", samples.p99);
    bench.record("swap.withdrawn_flow_ends", "ms", samples.withdrawn);
  },
};

async function measure(
  bench: Bench,
  stand: Stand,
): Promise<Record<"in_force" | "lost" | "p99" | "withdrawn", number[]>> {
  const { classical, postQuantum, bulk } = bench.hellos;
  const ports = [classical.port, postQuantum.port, bulk.port];
  const others = (word: string) =>
    Array.from({ length: rules }, (_, i) => `  - { name: r${i}, to: ${word}${i}.example.com }`);
  const policies = [policyText(ports, others("a")), policyText(ports, others("b"))];
  const swaps = bench.quick ? 2 : 6;
  const replace = async (text: string): Promise<number> => {
    writePolicy(stand, text);
    const begun = performance.now();
    await ask(stateOf(stand), "POST", "/reload");
    return performance.now() - begun;
  };
  bench.progress("swap: under load");
  await replace(policies[1]!);
  // However long the swaps take here, the load goes on until the last one is over.
  const stop = join(bench.folder, "swaps-are-over");
  const generator = await stand.generator({ concurrency: 32, seconds: 600, warmSeconds: 0.2, stop }, classical);
  await sleep(500);
  const inForce: number[] = [];
  for (let i = 0; i < swaps; i++) {
    inForce.push(await replace(policies[i % 2]!));
    await sleep(300);
  }
  writeFileSync(stop, "");
  const { stdout, stderr, code } = await generator.exited;
  if (code !== 0) throw new Error(`the load ended with ${code}: ${stderr.slice(-500)}`);
  const load = JSON.parse(stdout) as Load;
  stand.resume(load);
  const withdrawn: number[] = [];
  for (let i = 0; i < (bench.quick ? 1 : 3); i++) {
    bench.progress(`swap: withdrawing a rule, ${i + 1}`);
    withdrawn.push(await withdraw(stand, () => replace(policyText([classical.port])), bulk));
    await replace(policyText(ports));
  }
  return { in_force: inForce, lost: [load.failed + load.wrong], p99: [quantile(load, 0.99)], withdrawn };
}

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
