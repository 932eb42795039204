/**
 * Connections through a gateway whose record takes 100 000 events a second, against the same gateway left alone, and against the
 * same processor time burned beside it: in turn, in one run. Load, gateway and answering end are processes of their own, in the
 * lab's namespaces. How the events get in is said in `load/flood.ts`. Printed: connections a second, connect to first answered
 * byte, DNS question to answer, events appended and made durable, events lost and what the record says of them, `status` and
 * memory. `node bench/ingest.ts [--rate 100000] [--seconds 8] [--rounds 3] [--concurrency 1,16] [--directory DIR] [--profile DIR]`
 * as root; `--profile`: a CPU profile of each of the gateway's threads.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import { cpus, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ask } from "../src/enforcer/control.ts";
import type { Status } from "../src/enforcer/status.ts";
import { gatewayArguments, upstream } from "../test/gateway/start.ts";
import { Lab } from "../test/lab/lab.ts";
import type { LabProcess } from "../test/lab/process.ts";
import { lookAt, type Looked } from "./ingest-record.ts";
import { print, type ClientFigures, type Figures, type Kind, type NameFigures } from "./ingest-report.ts";
import { processorOf } from "./load/processor.ts";
import { passingFolder, requireRoom } from "./load/room.ts";
import { answerHellos, captureHello, median } from "./load/stand.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "100000" },
    seconds: { type: "string", default: "8" },
    rounds: { type: "string", default: "3" },
    concurrency: { type: "string", default: "1,16" },
    directory: { type: "string", default: tmpdir() },
    profile: { type: "string" },
  },
});
const [rate, seconds, rounds] = [Number(values.rate), Number(values.seconds), Number(values.rounds)];
const concurrencies = values.concurrency.split(",").map(Number);
/** The client's warm-up, and what starting it takes. */
const overheadSeconds = 1.5;
const settleMs = 1_000;
/** Seldom: each question makes the gateway look at the kernel's rules. */
const lookEveryMs = 2_000;
const bytesAnEvent = 850;
const port = 18443;
const name = "only.example";
const ip = "203.0.113.11";
const node = process.execPath;
const here = (file: string) => new URL(file, import.meta.url).pathname;

// The command asks once in its life. Here a connection kept open would be closed by a server that was busy for some seconds.
http.globalAgent = new http.Agent({ keepAlive: false });

interface Counts {
  offered: number;
  heldBack: number;
  handled: number;
}

const phaseSeconds = concurrencies.length * (seconds + overheadSeconds);
requireRoom(values.directory, rate * bytesAnEvent * rounds * (phaseSeconds + settleMs / 1000));
const folder = passingFolder(values.directory);
const hello = await captureHello(name);
const helloFile = join(folder, "hello.bin");
writeFileSync(helloFile, hello);
const policyFile = join(folder, "policy.yaml");
writeFileSync(
  policyFile,
  `version: 1
sources:
  runners: { subnets: [10.99.0.0/16] }
rules:
  - { name: bench, to: ["${name}:${port}"], protocol: tls }
  - { name: python packages, from: runners, to: ["*.packages.example"], protocol: tls }
default: { mode: enforce }
`,
);
const loads = loadavg().map((each) => each.toFixed(2));
console.log(
  `load average ${loads.join(" ")}, ${cpus().length} processors; ${rounds} rounds, ${seconds} s a measurement`,
);

const lab = await Lab.create({ sink: false });
let server: ChildProcess | undefined;
let gateway: LabProcess | undefined;
const burners: ChildProcess[] = [];
const state = join(folder, "state");
try {
  server = await answerHellos(lab, port, hello.length);
  gateway = await startGateway();
  await lab.runner(1).exec("dig", ["+short", name]);
  // One connection, so that the flood has a thread to send as.
  await client(1, 0.1);
  const { pid } = await status();
  const results: Record<Kind, Figures[]> = { alone: [], flooded: [], burned: [] };
  for (let round = 0; round < rounds; round++) {
    results.alone.push(await measure(pid, "alone", 0));
    results.flooded.push(await measure(pid, "flooded", 0));
    const used = (list: Figures[]) => median(list.map(({ processor }) => processor));
    results.burned.push(await measure(pid, "burned", used(results.flooded) - used(results.alone)));
  }
  const counts = await setRate(0);
  const before = await settled();
  const ended = await gateway.kill("SIGTERM");
  if (ended.code !== 0) throw new Error(`the gateway ended with ${ended.code}: ${ended.stderr}`);
  const looked: Looked = await lookAt(state);
  print(results, concurrencies, rate);
  printRecord(counts, before, looked);
} catch (error) {
  console.error(`the gateway ${gateway?.child.exitCode ?? gateway?.child.signalCode ?? "runs"}: ${gateway?.stderr}`);
  throw error;
} finally {
  for (const each of [...burners, ...(server === undefined ? [] : [server])]) each.kill("SIGKILL");
  await gateway?.kill("SIGKILL");
  await lab.close();
}

/** The launcher's command, with the flood loaded before it. */
async function startGateway(): Promise<LabProcess> {
  const profile = values.profile === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", resolve(values.profile)];
  if (values.profile !== undefined) mkdirSync(values.profile, { recursive: true });
  mkdirSync(state);
  const started = lab.gateway.spawn(node, [
    ...["--disable-warning=ExperimentalWarning", ...profile, "--import", here("load/flood.ts")],
    ...[here("../src/cli/main.ts"), ...gatewayArguments(lab, policyFile, state)],
  ]);
  await started.waitFor(/^sallyport: ready: /m, 30_000);
  return started;
}

async function measure(pid: number, kind: Kind, burn: number): Promise<Figures> {
  const begun = kind === "flooded" ? await setRate(rate) : null;
  if (kind === "burned") startBurners(burn);
  await sleep(settleMs);
  const looks: { status: Status; tookMs: number }[] = [];
  const looking = new AbortController();
  const first = await status();
  const [from, processor] = [performance.now(), processorOf(pid)];
  const watching = look(looks, looking.signal);
  const args = [here("load/names.ts"), upstream, name, String(phaseSeconds), "20"];
  const asking = lab.runner(1).spawn(node, args);
  const clients: ClientFigures[] = [];
  for (const concurrency of concurrencies) clients.push(await client(concurrency, seconds));
  const names = JSON.parse(await output(asking)) as NameFigures;
  const last = await status();
  const [elapsed, after] = [(performance.now() - from) / 1000, processorOf(pid)];
  looking.abort();
  await watching;
  for (const each of burners.splice(0)) each.kill("SIGKILL");
  const ended = begun === null ? null : await setRate(0);
  await settled();
  return {
    ...{ clients, names, kind, looks },
    appended: (last.record.seq - first.record.seq) / elapsed,
    durable: (last.record.synced - first.record.synced) / elapsed,
    heldBack: ended === null || begun === null ? 0 : ended.heldBack - begun.heldBack,
    processor: (after.all - processor.all) / elapsed,
    mainThread: (after.main - processor.main) / elapsed,
    threads: new Map(
      [...after.threads].map(([each, used]) => [each, (used - (processor.threads.get(each) ?? 0)) / elapsed]),
    ),
  };
}

async function look(looks: { status: Status; tookMs: number }[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const start = performance.now();
    const found = await status();
    looks.push({ status: found, tookMs: performance.now() - start });
    await sleep(lookEveryMs, undefined, { signal }).catch(() => {});
  }
}

/** So many cores' worth of processor time, in processes that have nothing to do with the gateway. */
function startBurners(cores: number): void {
  const count = Math.ceil(Math.max(0, cores));
  for (let i = 0; i < count; i++) {
    burners.push(spawn(node, [here("load/burn.ts"), String(cores / count)], { stdio: "ignore" }));
  }
}

async function client(concurrency: number, duration: number): Promise<ClientFigures> {
  const args = [here("load/client.ts"), ip, String(port), String(concurrency), String(duration), helloFile];
  return JSON.parse(await output(lab.runner(1).spawn(node, args))) as ClientFigures;
}

async function output(running: LabProcess): Promise<string> {
  running.limit((phaseSeconds + 60) * 1000);
  const done = await running.exited;
  if (done.code !== 0) throw new Error(done.stderr);
  return done.stdout;
}

/** From here, not by the command: a process for each question would be load of its own. */
async function status(): Promise<Status> {
  return await ask<Status>(state, "GET", "/status");
}

/** Resolves when everything offered so far is on the disk. */
async function settled(): Promise<Status> {
  for (let handled = -1; ; await sleep(500)) {
    const now = await setRate(0);
    if (now.handled === handled) break;
    handled = now.handled;
  }
  const { record } = await status();
  for (;;) {
    const found = await status();
    if (found.record.synced >= record.seq) return found;
    await sleep(100);
  }
}

/** How many events a second are added from now on; what was offered until now. */
async function setRate(events: number): Promise<Counts> {
  const said = gateway!.stdout.length;
  gateway!.write(`rate ${events}\n`);
  for (;;) {
    const [line, rest] = gateway!.stdout.slice(said).split("\n");
    if (rest !== undefined) return JSON.parse(line!) as Counts;
    if (gateway!.child.exitCode !== null) throw new Error(`the gateway ended: ${gateway!.stderr}`);
    await sleep(2);
  }
}

/** What was offered, against what is in the record: a missing event must be told by the record itself. */
function printRecord(counts: Counts, before: Status, { flood, told, records, verified, bytes }: Looked): void {
  const missing = counts.offered - flood;
  const whole = (value: number) => value.toLocaleString("en");
  console.log(
    `record: ${whole(records)} records, ${(bytes / 1e9).toFixed(2)} GB, ${verified ? "verified" : "DOES NOT VERIFY"}; of ${whole(counts.offered)} events offered ${whole(flood)} are in it, ${whole(missing)} are not; its gap records tell of ${whole(told)} lost, status told of ${whole(before.record.lost)}`,
  );
  if (missing > told || told !== before.record.lost)
    console.log("UNTOLD LOSS: the record does not say what is missing");
}
