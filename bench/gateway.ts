/**
 * New connections through the gateway against plain forwarding, in one run, A B A B: how many a second, and how long from
 * connect to the first answered byte. Then packets that reached user space per connection, memory at 10 000 live
 * connections, and the gateway's start-up time. Ratios are what to compare; run it on a quiet machine as root.
 * `node bench/gateway.ts [rounds [concurrency,…]]`
 */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { Lab } from "../test/lab/lab.ts";
import { answerHellos, captureHello, median } from "./load/stand.ts";

const rounds = Number(process.argv[2] ?? 3);
const concurrencies = (process.argv[3] ?? "1,32").split(",").map(Number);
const seconds = 3;
const port = 18443;
const name = "only.example";
const ip = "203.0.113.11";
const node = process.execPath;
const here = (file: string) => new URL(file, import.meta.url).pathname;

const folder = mkdtempSync(join(tmpdir(), "sallyport-bench-"));
const hello = await captureHello(name);
const helloFile = join(folder, "hello.bin");
writeFileSync(helloFile, hello);
const policy = join(folder, "policy.yaml");
writeFileSync(
  policy,
  `version: 1\nrules:\n  - { name: bench, to: ["${name}:${port}"], protocol: tls }\ndefault: { mode: enforce }\n`,
);

console.log(
  `load average ${loadavg()
    .map((each) => each.toFixed(2))
    .join(" ")}; hello of ${hello.length} bytes`,
);
const servers: ChildProcess[] = [];
const plain = await Lab.create({ sink: false, forwarding: true });
const guarded = await Lab.create({ sink: false });
try {
  await plain.gateway.exec("iptables", [
    "-t",
    "nat",
    "-A",
    "POSTROUTING",
    "-o",
    plain.gateway.outside,
    "-j",
    "MASQUERADE",
  ]);
  const state = join(folder, "state");
  const begun = performance.now();
  const gateway = guarded.gateway.spawn(here("../sallyport"), [
    "gateway",
    "--policy",
    policy,
    "--inside",
    ...guarded.gateway.inside,
    "--outside",
    guarded.gateway.outside,
    "--state",
    state,
    "--dns",
    "203.0.113.53",
    ...(process.env["BENCH_THREADS"] === undefined ? [] : ["--threads", process.env["BENCH_THREADS"]]),
  ]);
  await gateway.waitFor(/ready/, 20_000);
  console.log(`start-up to ready: ${Math.round(performance.now() - begun)} ms`);
  for (const lab of [plain, guarded]) {
    servers.push(await answerHellos(lab, port, hello.length));
  }
  await guarded.runner(1).exec("dig", ["+short", name]);
  const results: Record<string, Record<string, Figures[]>> = {};
  for (let round = 0; round < rounds; round++) {
    for (const concurrency of concurrencies) {
      for (const [contender, lab] of [
        ["plain", plain],
        ["gateway", guarded],
      ] as const) {
        const before = contender === "gateway" ? await packets(state) : 0;
        const figures = await load(lab, concurrency);
        if (contender === "gateway") figures.packets = ((await packets(state)) - before) / figures.made;
        ((results[contender] ??= {})[concurrency] ??= []).push(figures);
      }
    }
  }
  for (const concurrency of concurrencies) {
    const a = results["plain"]![concurrency]!;
    const b = results["gateway"]![concurrency]!;
    const line = (key: "perSecond" | "p50" | "p99") =>
      `${key} ${median(a.map((x) => x[key]))} / ${median(b.map((x) => x[key]))} (ratio ${(median(b.map((x) => x[key])) / median(a.map((x) => x[key]))).toFixed(2)})`;
    console.log(
      `${concurrency} at a time, plain / gateway: ${line("perSecond")}; ${line("p50")} µs; ${line("p99")} µs; failed ${sum(a)} / ${sum(b)}; packets to user space per connection ${median(b.map((x) => x.packets ?? 0)).toFixed(2)}`,
    );
  }
  await memory(state);
  await gateway.kill("SIGTERM");
} finally {
  for (const server of servers) server.kill("SIGKILL");
  await plain.close();
  await guarded.close();
  rmSync(folder, { recursive: true, force: true });
}

interface Figures {
  perSecond: number;
  p50: number;
  p99: number;
  count: number;
  failed: number;
  /** Connections in all, the warm-up's too. */
  made: number;
  packets?: number;
}

async function load(lab: Lab, concurrency: number): Promise<Figures> {
  const done = await lab
    .runner(1)
    .exec(node, [here("load/client.ts"), ip, String(port), String(concurrency), String(seconds), helloFile], {
      timeoutMs: 60_000,
    });
  if (done.code !== 0) throw new Error(done.stderr);
  return JSON.parse(done.stdout) as Figures;
}

/** Memory is the whole gateway process's, whose heap was grown by the load before: the sum says more than the difference. */
async function memory(state: string): Promise<void> {
  const before = await status(state);
  const count = 10_000;
  const args = [here("load/hold.ts"), ip, String(port), String(count), helloFile];
  const holder = guarded.runner(1).spawn(node, args);
  await holder.waitFor(/open/, 60_000);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const after = await status(state);
  console.log(
    `${after.flows.live} live connections: ${Math.round((after.memory.rss - before.memory.rss) / count)} bytes each of resident memory, ${Math.round(after.memory.rss / 1e6)} MB in all (${Math.round(before.memory.rss / 1e6)} MB before)`,
  );
  await holder.kill("SIGKILL");
}

async function status(
  state: string,
): Promise<{ decisions: { packets: number }; flows: { live: number }; memory: { rss: number } }> {
  const done = await guarded.gateway.exec(here("../sallyport"), ["status", "--json", "--state", state]);
  return JSON.parse(done.stdout) as Awaited<ReturnType<typeof status>>;
}

async function packets(state: string): Promise<number> {
  return (await status(state)).decisions.packets;
}

function sum(figures: Figures[]): number {
  return figures.reduce((total, each) => total + each.failed, 0);
}
