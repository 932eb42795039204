/**
 * T9: an allowed connection used as a tunnel. A rule's `upload_limit` bounds what one source gets out under it, scored at the
 * far end: by one connection or by many, over TLS, plain HTTP and datagrams, across a new policy and a crash of the gateway.
 * Downloads, other rules and other sources are not harmed, and monitor mode only tells.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab } from "../lab/lab.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "./start.ts";
import { brief } from "../support/record.ts";

const policyFor = (mode: string, more = ""): string => `version: 1
rules:
  - { name: bulk, to: [allowed.example], upload_limit: 1 MB }
  - { name: pieces, to: [only.example], upload_limit: 1 MB }
  - { name: downloads, to: [cdn.example], upload_limit: 100 kB }
  - { name: plain, to: [plain.example], ports: [80], upload_limit: 1 MB }
  - { name: datagrams, to: ["udp.example:9100"], protocol: udp, upload_limit: 100 kB }
  - { name: watched, to: [v4only.example], mode: monitor, upload_limit: 1 MB }
  - { name: crashed, to: [big.example], upload_limit: 2 MB }
${more}  - { name: wider, to: ["**.example"], reason: "no rule behind one that is used up opens it again" }
default: { mode: ${mode} }
`;

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "curl", "ncat"]);
  lab = await Lab.create({ runners: 2 });
  gateway = await RunningGateway.start(lab, { policy: policyFor("enforce") });
});
after(() => lab?.close());

/** Sends so many bytes to a URL, so many a second. */
function upload(url: string, bytes: number, rate: string, ...args: string[]): LabProcess {
  const curl = `curl -sS --max-time 60 --limit-rate ${rate} ${args.join(" ")} -T - ${url}`;
  return lab.runner(1).spawn("sh", ["-c", `head -c ${bytes} /dev/zero | ${curl}`]);
}

const fetch = (runner: number, url: string, ...args: string[]): Promise<Outcome> =>
  lab.runner(runner).exec("curl", ["-sS", "--max-time", "20", ...args, url]);

/** Bytes of request bodies that servers have read of a name. */
async function received(name: string): Promise<number> {
  const requests = await lab.internet.requests();
  return requests.filter(({ server }) => server === name).reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`not in 20 s: ${what}`);
    await sleep(20);
  }
}

test("an upload over the limit is cut at both ends, and what left is the limit and little more", async () => {
  const { mark } = gateway;
  const client = upload("https://allowed.example/up", 8_000_000, "1M");
  const { code, stderr } = await client.exited;
  assert.notEqual(code, 0);
  assert.match(stderr, /reset by peer|Connection reset|SSL|send failure/i);
  const left = await received("allowed.example");
  assert.ok(left > 900_000 && left < 3_000_000, `${left} bytes arrived`);

  const rule = { name: "bulk", tier: 2, mode: "enforce" };
  const source = { ip: (await gateway.expect({ reason: "upload_limit" }, mark)).source!.ip };
  const about = { enforced: true, rule, source, destination: { name: "allowed.example", protocol: "tls" } };
  await gateway.expect({ kind: "connection", verdict: "deny", reason: "upload_limit", ...about }, mark);
  const detection = await gateway.expect({ kind: "detection", verdict: "deny", ...about }, mark);
  const { type, limit, sent, window_s, ended } = detection.detection as Record<string, unknown>;
  assert.deepEqual({ type, limit, window_s, ended }, { type: "upload_limit", limit: 1e6, window_s: 3600, ended: 1 });
  assert.ok(typeof sent === "number" && sent >= 1e6 && detection.bytes!.up >= 1e6);
});

test("new connections under a used-up rule are refused, others are not: other rules, other sources", async () => {
  const { mark } = gateway;
  assert.notEqual((await fetch(1, "https://allowed.example/")).code, 0);
  await gateway.expect({ kind: "connection", verdict: "deny", reason: "upload_limit", rule: { name: "bulk" } }, mark);
  assert.equal((await fetch(1, "https://only.example/")).code, 0);
  assert.equal((await fetch(2, "https://allowed.example/", "-d", "x".repeat(50_000))).code, 0);
  assert.equal(gateway.recorded({ kind: "detection" }).length, 1, "one detection for one budget");
});

test("a new policy neither forgets what was sent nor keeps to a limit that is gone", async () => {
  await gateway.replacePolicy(policyFor("enforce", "  - { name: new, to: [new.example] }\n"));
  assert.notEqual((await fetch(1, "https://allowed.example/")).code, 0);
  await gateway.replacePolicy(
    policyFor("enforce").replace("[allowed.example], upload_limit: 1 MB", "[allowed.example]"),
  );
  assert.equal((await fetch(1, "https://allowed.example/")).code, 0);
});

test("a limit on a connection that lives counts from then on", async () => {
  const without = policyFor("enforce", "  - { name: later, to: [https.example] }\n");
  await gateway.replacePolicy(without);
  const client = upload("https://https.example/up", 6_000_000, "1M");
  await until("a megabyte and a half arrived", async () => (await received("https.example")) > 1_500_000);
  await gateway.replacePolicy(without.replace("[https.example]", "[https.example], upload_limit: 1 MB"));
  const before = await received("https.example");
  assert.notEqual((await client.exited).code, 0);
  const more = (await received("https.example")) - before;
  assert.ok(more > 700_000 && more < 3_000_000, `${more} more bytes arrived`);
});

test("many small connections come to the same sum", async () => {
  const before = await received("only.example");
  let failed = 0;
  for (let i = 0; i < 40 && failed < 3; i++) {
    const { code } = await fetch(1, "https://only.example/", "-o", "/dev/null", "-d", "x".repeat(60_000));
    if (code !== 0) failed++;
  }
  assert.equal(failed, 3);
  const left = (await received("only.example")) - before;
  assert.ok(left > 700_000 && left < 1_500_000, `${left} bytes arrived`);
});

test("a download of many times the limit is not an upload", async () => {
  const { code, stdout } = await fetch(
    1,
    "https://cdn.example/bytes/50000000",
    ...["-o", "/dev/null", "-w", "%{size_download}"],
  );
  assert.deepEqual([code, stdout], [0, "50000000"]);
  assert.equal((await fetch(1, "https://cdn.example/")).code, 0);
  assert.deepEqual(gateway.recorded({ kind: "detection", rule: { name: "downloads" } }).map(brief), []);
});

test("plain HTTP, whose packets pass through user space, is held to it as well", async () => {
  const before = await received("plain.example");
  assert.notEqual((await upload("http://plain.example/up", 6_000_000, "1M").exited).code, 0);
  const left = (await received("plain.example")) - before;
  assert.ok(left > 700_000 && left < 3_000_000, `${left} bytes arrived`);
  assert.notEqual((await fetch(1, "http://plain.example/")).code, 0);
});

test("datagrams are, too: none arrives after", async () => {
  const { mark } = gateway;
  const client = lab.runner(1).spawn("ncat", ["-u", "-4", "udp.example", "9100"]);
  for (let i = 0; i < 150; i++) {
    client.write(`${"x".repeat(1000)}\n`);
    await sleep(5);
  }
  await gateway.expect({ kind: "detection", rule: { name: "datagrams" }, destination: { protocol: "udp" } }, mark);
  const marker = lab.marker();
  client.write(`${marker}\n`);
  await sleep(200);
  assert.equal(await lab.sink.saw(marker), false);
  await client.kill("SIGKILL");
});

test("a rule in monitor mode only tells", async () => {
  const { mark } = gateway;
  const { code } = await upload("https://v4only.example/up", 3_000_000, "3M").exited;
  assert.equal(code, 0);
  assert.equal(await received("v4only.example"), 3_000_000);
  const rule = { name: "watched", mode: "monitor" };
  await gateway.expect({ kind: "connection", verdict: "would_deny", reason: "upload_limit", rule }, mark);
  await gateway.expect({ kind: "detection", verdict: "would_deny", enforced: false, rule }, mark);
  assert.equal((await fetch(1, "https://v4only.example/")).code, 0);
});

test("what a connection sent before a crash of the gateway counts after it", async () => {
  await lab.sink.clear();
  const client = upload("https://big.example/up", 50_000_000, "1M");
  await until("a megabyte arrived", async () => (await received("big.example")) > 1_000_000);
  await gateway.keeps("flows.json", "big.example");
  await gateway.crash();
  // Nobody looks while no gateway runs: what leaves meanwhile may be over the limit, and then ends the connection at once.
  gateway = await RunningGateway.start(lab, { policy: policyFor("enforce"), state: "state-1" });
  const before = await received("big.example");
  assert.notEqual((await client.exited).code, 0);
  const left = await received("big.example");
  assert.ok(left > 1_800_000 && left - before < 2_500_000, `${before}, then ${left} bytes arrived`);
  const detection = await gateway.expect({ kind: "detection", rule: { name: "crashed" } });
  assert.ok(detection.bytes!.up > 2_000_000);
});

test("where the default only monitors nothing is ended, and what follows is foretold", async () => {
  await gateway.replacePolicy(policyFor("monitor", "  - { name: fresh, to: [v6only.example], upload_limit: 1 MB }\n"));
  const { mark } = gateway;
  const { code } = await upload("https://v6only.example/up", 3_000_000, "3M").exited;
  assert.equal(code, 0);
  assert.equal(await received("v6only.example"), 3_000_000);
  await gateway.expect({ kind: "detection", verdict: "would_deny", rule: { name: "fresh" } }, mark);
  const later = gateway.mark;
  assert.equal((await fetch(1, "https://v6only.example/")).code, 0);
  await gateway.expect(
    { kind: "connection", verdict: "would_deny", reason: "upload_limit", rule: { name: "fresh" } },
    later,
  );
});
