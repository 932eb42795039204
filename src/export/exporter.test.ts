/**
 * Promises about the exporter's process: it exports while the record is written, a sink that hangs slows nothing, its death
 * costs nothing (it comes back and goes on), it ends with its parent, and its last word is the record's last.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { denial, memory, outputOf, runModule, temporary, until } from "../audit/test-support.ts";
import { Spool } from "../audit/spool.ts";
import type { SinkConfig } from "../config/sink.ts";
import { Exporter } from "./exporter.ts";
import type { SinkStatus } from "./record.ts";
import { hang, Peer } from "./testing/peer.ts";

const fileSink = (path: string): SinkConfig => ({ name: "file", kinds: null, to: "file", path, format: "native" });
const webhook = (name: string, url: string): SinkConfig => {
  return { name, kinds: null, to: "webhook", url, headers: {}, tls: {}, format: "native" };
};

const linesOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []);

/** Processes below this one that run the exporter. */
function children(parent = process.pid): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const [command, stat] = [`cmdline`, `stat`].map((file) => readFileSync(`/proc/${pid}/${file}`, "latin1"));
        const ppid = Number(stat!.slice(stat!.lastIndexOf(")") + 2).split(" ")[1]);
        return ppid === parent && command!.includes("export/process.ts");
      } catch {
        return false;
      }
    });
}

test("while one sink hangs and one is not there, the third has everything, and recording is as fast as without", async () => {
  const state = temporary(memory);
  const spool = await Spool.open({ directory: state, syncMs: 50 });
  const peer = await Peer.start(hang);
  const path = join(state, "out.ndjson");
  const incidents: string[] = [];
  const append = async (count: number) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) spool.append(denial(1 + (i % 60_000)));
    await spool.flush();
    return performance.now() - start;
  };
  await append(2_000);
  const alone = await append(10_000);
  const exporter = new Exporter({
    state,
    sinks: [fileSink(path), webhook("hangs", peer.url), webhook("absent", "http://127.0.0.1:9/in")],
    incident: (message) => incidents.push(message),
  });
  await until("the file grows", () => linesOf(path).length > 0);
  const beside = await append(10_000);
  assert.ok(beside < alone * 4 + 500, `${beside} ms beside sinks that hang, ${alone} ms alone`);
  await until("the file has all", () => linesOf(path).length >= 22_000);
  const told = () => exporter.status() as [SinkStatus, SinkStatus, SinkStatus];
  await until("the state is told", () => {
    const [file, hanging, absent] = told();
    return file.seq === 22_000 && file.state === "waiting" && hanging.lag === 22_000 && absent.state === "failing";
  });
  const [file, hanging, absent] = told();
  assert.deepEqual([file.seq, file.state, file.to], [22_000, "waiting", path]);
  assert.deepEqual([hanging.lag, hanging.state], [22_000, "sending"]);
  assert.deepEqual([absent.lag, absent.state], [22_000, "failing"]);
  assert.deepEqual([incidents, exporter.problems()], [[], []]);

  const [pid] = children();
  const resident = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1];
  assert.ok(Number(resident) < 250_000, `${resident} kB`);
  assert.equal(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8").trim(), "800");

  spool.append({ kind: "lifecycle", message: "stopped" });
  await spool.close();
  await exporter.stop(3_000);
  assert.deepEqual(children(), []);
  const lines = linesOf(path);
  assert.match(lines.at(-1)!, /"stopped"/);
  assert.equal(new Set(lines.map((line) => (JSON.parse(line) as { seq: number }).seq)).size, 22_001);
  await peer.close();
});

test("killed, it comes back by itself, says so, and goes on where it was", async () => {
  const state = temporary(memory);
  const spool = await Spool.open({ directory: state, syncMs: 50 });
  const path = join(state, "out.ndjson");
  const incidents: string[] = [];
  const exporter = new Exporter({ state, sinks: [fileSink(path)], incident: (message) => incidents.push(message) });
  for (let i = 1; i <= 100; i++) spool.append(denial(i));
  await until("the first hundred", () => linesOf(path).length >= 100);
  await until("the cursor is written", () => existsSync(join(state, "export/file.json")));
  process.kill(children()[0]!, "SIGKILL");
  await until("it is said", () => incidents.length > 0);
  assert.match(incidents[0]!, /the exporter died \(SIGKILL\)/);
  assert.match(exporter.problems()[0]!, /the exporter is not running/);
  for (let i = 101; i <= 150; i++) spool.append(denial(i));
  await until("the rest", () => linesOf(path).length >= 150);
  await until("it is well again", () => exporter.problems().length === 0);
  const seqs = linesOf(path).map((line) => (JSON.parse(line) as { seq: number }).seq);
  assert.deepEqual(
    [...new Set(seqs)],
    Array.from({ length: 150 }, (_, i) => i + 1),
  );
  await spool.close();
  await exporter.stop(2_000);
});

test("it ends with the process it belongs to, however that ends", async () => {
  const state = temporary(memory);
  const code = `
    const { Exporter } = await import(new URL("../export/exporter.ts", room + "/").href);
    new Exporter({ state: process.argv[1], sinks: [${JSON.stringify(fileSink(join(state, "out")))}], incident() {} });
    setInterval(() => {}, 1000);
    console.log("up");`;
  const parent = runModule(code, [state]);
  const output = outputOf(parent);
  await until("the exporter runs", () => children(parent.pid).length === 1);
  const [pid] = children(parent.pid);
  parent.kill("SIGKILL");
  await output;
  for (let i = 0; i < 100 && existsSync(`/proc/${pid}`); i++) await sleep(50);
  assert.ok(!existsSync(`/proc/${pid}`));
});
