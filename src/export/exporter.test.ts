/**
 * Promises about the exporter's process: it exports while the record is written, a sink that hangs slows nothing, its death
 * costs nothing (it comes back and goes on), it ends with its parent, and its last word is the record's last.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
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
  let recorded = 0;
  const append = async (count: number) => {
    recorded += count;
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
  // Something else on the machine holds up a round or two, a sink that is waited for every one.
  let beside = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5 && beside >= alone * 4 + 500; i++) beside = await append(10_000);
  assert.ok(beside < alone * 4 + 500, `${beside} ms beside sinks that hang, ${alone} ms alone`);
  await until("the file has all", () => linesOf(path).length >= recorded);
  const told = () => exporter.status() as [SinkStatus, SinkStatus, SinkStatus];
  await until("the state is told", () => {
    const [file, hanging, absent] = told();
    return file.seq === recorded && file.state === "waiting" && hanging.lag === recorded && absent.state === "failing";
  });
  const [file, hanging, absent] = told();
  assert.deepEqual([file.seq, file.state, file.to], [recorded, "waiting", path]);
  assert.deepEqual([hanging.lag, hanging.state], [recorded, "sending"]);
  assert.deepEqual([absent.lag, absent.state], [recorded, "failing"]);
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
  assert.equal(new Set(lines.map((line) => (JSON.parse(line) as { seq: number }).seq)).size, recorded + 1);
  await peer.close();
});

test("a file system that hangs holds up neither the record nor another sink nor a stop, and has everything once it answers", async () => {
  const state = temporary(memory);
  const image = join(state, "image");
  const code = `
    const { execFileSync } = await import("node:child_process");
    const { existsSync, readFileSync } = await import("node:fs");
    const { setTimeout: sleep } = await import("node:timers/promises");
    const { Spool } = await import(room + "/spool.ts");
    const { denial } = await import(room + "/test-support.ts");
    const { Exporter } = await import(new URL("../export/exporter.ts", room + "/").href);
    const [state] = process.argv.slice(1);
    const spool = await Spool.open({ directory: state, syncMs: 50 });
    const file = (name, path) => ({ name, kinds: null, to: "file", path, format: "native" });
    const sinks = [file("hangs", state + "/mount/out"), file("well", state + "/out")];
    const count = (path) => (existsSync(path) ? readFileSync(path, "utf8").split("\\n").length - 1 : 0);
    const until = async (holds) => {
      for (let i = 0; i < 3_000 && !holds(); i++) await sleep(10);
      if (!holds()) console.log(JSON.stringify(exporter.status()));
      return holds();
    };
    const start = () => new Exporter({ state, sinks, incident: (message) => console.error(message) });
    let exporter = start();
    spool.append(denial(1));
    const told = { begun: await until(() => count(state + "/mount/out") === 1 && count(state + "/out") === 1) };
    execFileSync("fsfreeze", ["-f", state + "/mount"]);
    try {
      const before = performance.now();
      for (let i = 0; i < 2_000; i++) spool.append(denial(2));
      await spool.flush();
      told.flush = performance.now() - before;
      told.well = await until(() => count(state + "/out") === 2_001);
      const stopping = performance.now();
      await exporter.stop(500);
      told.stop = performance.now() - stopping;
    } finally {
      execFileSync("fsfreeze", ["-u", state + "/mount"]);
    }
    exporter = start();
    told.all = await until(() => count(state + "/mount/out") >= 2_001);
    await exporter.stop(500);
    await spool.close();
    console.log(JSON.stringify(told));`;
  writeFileSync(image, "");
  truncateSync(image, 16 * 1024 * 1024);
  execFileSync("mkfs.ext4", ["-q", image]);
  mkdirSync(join(state, "mount"));
  // Thawed in any case: a file system that stays frozen can never be unmounted.
  const thaw = `code=$?; fsfreeze -u ${state}/mount 2>/dev/null; exit $code`;
  const place = `mount -o loop ${image} ${state}/mount || exit; "$@"; ${thaw}`;
  const output = await outputOf(runModule(code, [state], ["unshare", "-m", "sh", "-c", place, "sh"]));
  assert.equal(output.code, 0, output.text);
  const told = JSON.parse(output.text) as { begun: boolean; well: boolean; all: boolean; flush: number; stop: number };
  assert.deepEqual([told.begun, told.well, told.all], [true, true, true]);
  // Who waits for the file system waits for its thaw, which comes after both.
  assert.ok(told.flush < 10_000 && told.stop < 10_000, output.text);
});

test("an authority that the system trusts, and Node alone would not, is trusted", async () => {
  const folder = temporary();
  const subject = ["-subj", "/CN=company", "-addext", "subjectAltName=IP:127.0.0.1"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const files = ["-keyout", join(folder, "key"), "-out", join(folder, "cert")];
  execFileSync("openssl", ["req", "-x509", ...kind, ...files, ...subject], { stdio: "pipe" });
  const [cert, key] = [join(folder, "cert"), join(folder, "key")].map((path) => readFileSync(path, "utf8"));
  const bodies: string[] = [];
  const server = https.createServer({ cert, key }, (request, response) => {
    request.setEncoding("utf8").on("data", (text: string) => bodies.push(text));
    request.on("end", () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const state = temporary(memory);
  const spool = await Spool.open({ directory: state, syncMs: 50 });
  spool.append(denial(1));
  await spool.close();
  // Where OpenSSL, and so the system's programs, look.
  process.env["SSL_CERT_FILE"] = join(folder, "cert");
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/in`;
  const exporter = new Exporter({ state, sinks: [webhook("company", url)], incident: () => {} });
  delete process.env["SSL_CERT_FILE"];
  try {
    await until("it arrives", () => bodies.join("").includes('"seq":1,'));
  } finally {
    await exporter.stop(100);
    server.closeAllConnections();
    server.close();
  }
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
  await until("it has ended", () => !existsSync(`/proc/${pid}`));
});
