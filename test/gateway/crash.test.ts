/**
 * Promises about the gateway's end (invariant 6). Killed outright: connections go on, nothing new gets through, and a
 * restart on the same state takes over without a gap. Stopped with `--on-exit closed`: the same. With `--on-exit clean`: the
 * host is as it was before.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab } from "../lab/lab.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { hostState } from "./host-state.ts";
import { RunningGateway } from "./start.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example, only.example, cdn.example] }
  - { name: plain web, to: [plain.example], ports: [80] }
  - { name: streams, to: ["tcp.example:9000"], protocol: tcp }
`;
const onlyAddress = { "4": "203.0.113.11", "6": "[2001:db8:200::11]" } as const;

let lab: Lab;

before(async () => {
  requireTools(["ip", "iptables", "curl", "dig", "ncat"]);
  lab = await Lab.create();
});
afterEach(() => RunningGateway.killAll());
after(() => lab?.close());

const curl = (...args: string[]): Promise<Outcome> =>
  lab.runner(1).exec("curl", ["-sS", "--max-time", "10", "-o", "/dev/null", ...args]);

/** Resolves when the program has written this much more than it has now. */
async function goesOn(program: LabProcess, more: number): Promise<void> {
  const goal = program.stdout.length + more;
  const end = performance.now() + 10_000;
  while (program.stdout.length < goal) {
    if (performance.now() > end || program.child.exitCode !== null) {
      throw new Error(`it stopped at ${program.stdout.length} of ${goal} bytes: ${program.stderr}`);
    }
    await sleep(10);
  }
}

/** Whatever a job tries while nobody judges, nothing arrives. */
async function nothingNewGetsThrough(): Promise<void> {
  const tries = [
    (marker: string) =>
      curl("--max-time", "1", "-k", "--connect-to", "::203.0.113.11:443", `https://${marker}.example/`),
    (marker: string) =>
      curl("--max-time", "1", "--connect-to", "::[2001:db8:200::11]:443", `https://${marker}.example/`),
    (marker: string) => curl("--max-time", "1", "-H", `X: ${marker}`, "http://203.0.113.80/"),
    (marker: string) => lab.runner(1).exec("dig", ["+tries=1", "+time=1", `${marker}.only.example`]),
    (marker: string) => lab.runner(1).exec("dig", ["+tries=1", "+time=1", "+tcp", `${marker}.only.example`]),
    (marker: string) =>
      lab.runner(1).exec("ncat", ["-u", "--send-only", "-w", "1", "203.0.113.91", "9100"], { input: marker }),
    (marker: string) =>
      lab.runner(1).exec("ping", ["-c1", "-W1", "-p", Buffer.from(marker).toString("hex"), "203.0.113.11"]),
  ];
  const markers = tries.map(() => lab.marker());
  await Promise.all(tries.map((attempt, i) => attempt(markers[i]!)));
  for (const [i, marker] of markers.entries()) {
    assert.deepEqual(await lab.sink.find(marker), [], `attempt ${i} got through`);
  }
}

/** Downloads over both families and an idle connection, all under way. */
async function connections(): Promise<{ downloads: LabProcess[]; idle: LabProcess }> {
  const downloads = ["-4", "-6"].map((family) =>
    lab.runner(1).spawn("curl", ["-sSN", family, "https://allowed.example/slow?seconds=90"]),
  );
  const idle = lab.runner(1).spawn("ncat", ["tcp.example", "9000"]);
  idle.write("one\n");
  await Promise.all([...downloads.map((each) => each.waitFor(/^\.\./)), idle.waitFor(/one/)]);
  return { downloads, idle };
}

/** Every connection still carries every byte both ways; ends them. */
async function areWell({ downloads, idle }: { downloads: LabProcess[]; idle: LabProcess }): Promise<void> {
  idle.write("two\n");
  await idle.waitFor(/two/);
  await Promise.all(downloads.map((download) => goesOn(download, 5)));
  for (const download of downloads) assert.match(download.stdout, /^\.+$/);
  await Promise.all([idle, ...downloads].map((each) => each.kill("SIGKILL")));
}

test("kill -9: connections go on, nothing new gets through, and a restart takes over", async () => {
  const first = await RunningGateway.start(lab, { policy, state: "crash" });
  const live = await connections();
  for (const family of ["-4", "-6"]) assert.equal((await curl(family, "https://only.example/")).code, 0);
  for (const address of ["203.0.113.11", "2001:db8:200::11"]) await first.keeps("bindings.json", address);
  for (const name of ["allowed.example", "tcp.example"]) await first.keeps("flows.json", name);
  // Events are being written at the moment of death.
  const noise = lab.runner(1).spawn("sh", ["-c", "while :; do dig +tries=1 +time=1 x$RANDOM.evil.example; done"]);
  await first.expect({ kind: "dns", verdict: "deny" });

  await first.crash();
  await Promise.all(live.downloads.map((download) => goesOn(download, 5)));
  await nothingNewGetsThrough();
  await noise.kill("SIGKILL");
  await Promise.all(live.downloads.map((download) => goesOn(download, 1)));

  await lab.sink.clear();
  const second = await RunningGateway.start(lab, { policy, state: "crash" });
  for (const [v, address] of Object.entries(onlyAddress)) {
    const known = await curl(`-${v}`, "--connect-to", `::${address}:443`, "https://only.example/");
    assert.equal(known.code, 0, `a name that was resolved before is forgotten: ${known.stderr}`);
  }
  assert.deepEqual(await lab.internet.dns.queries(), [], "it was asked again");
  assert.equal((await curl("https://cdn.example/")).code, 0);
  const flows = await second.flows();
  for (const source of [lab.inside(1).runner.v4, lab.inside(1).runner.v6]) {
    const flow = flows.find((each) => each.source === source && each.name === "allowed.example");
    assert.ok(flow !== undefined, JSON.stringify(flows));
    assert.deepEqual([flow.rule, flow.protocol, flow.destination_port], ["web", "tls", 443]);
    assert.ok(flow.bytes_down > 1000);
  }
  assert.ok(flows.some((each) => each.name === "tcp.example" && each.rule === "streams"));
  await second.expect({ kind: "lifecycle", message: "took over" });
  await areWell(live);
  const verified = await second.ask("logs verify");
  assert.equal(verified.code, 0, verified.stderr);
  await second.crash();
});

test("a restart keeps what was let through, also when its names have run out meanwhile", async () => {
  const first = await RunningGateway.start(lab, { policy, state: "forgotten" });
  const live = await connections();
  for (const name of ["allowed.example", "tcp.example"]) await first.keeps("flows.json", name);
  await first.crash();
  rmSync(join(first.state, "bindings.json"));
  const second = await RunningGateway.start(lab, { policy, state: "forgotten" });
  const flows = await second.flows();
  assert.equal(flows.filter((flow) => flow.name === "allowed.example" && flow.rule === "web").length, 2);
  await areWell(live);
  await second.crash();
});

test("a restart with another policy ends what that refuses, and only that", async () => {
  const first = await RunningGateway.start(lab, { policy, state: "stricter" });
  const live = await connections();
  for (const name of ["allowed.example", "tcp.example"]) await first.keeps("flows.json", name);
  await first.crash();
  const second = await RunningGateway.start(lab, {
    policy: policy.replace("allowed.example, ", ""),
    state: "stricter",
  });
  const ended = await Promise.all(live.downloads.map((download) => download.exited));
  for (const { code, stderr } of ended) assert.equal(code, 56, stderr);
  const event = { verdict: "deny", reason: "policy_changed", destination: { name: "allowed.example" } };
  await second.expect(event);
  live.idle.write("two\n");
  await live.idle.waitFor(/two/);
  await live.idle.kill();
  await second.crash();
});

test("stopped with --on-exit closed: the rules stay, connections go on, nothing new gets through, a restart takes over", async () => {
  const first = await RunningGateway.start(lab, { policy, state: "closed" });
  const live = await connections();
  const enforcing = await hostState(lab);
  const { code, stderr } = await first.stop();
  assert.equal(code, 0, stderr);
  assert.deepEqual(await hostState(lab), enforcing);
  await Promise.all(live.downloads.map((download) => goesOn(download, 3)));
  await nothingNewGetsThrough();
  const second = await RunningGateway.start(lab, { policy, state: "closed", args: ["--on-exit", "clean"] });
  assert.equal((await curl("https://only.example/")).code, 0);
  await areWell(live);
  assert.equal((await second.ask("logs verify")).code, 0);
  assert.equal((await second.stop()).code, 0);
});

test("stopped with --on-exit clean: rules of others, tables and settings are as before, byte for byte", async () => {
  const { gateway } = lab;
  const rules = ["-A FORWARD -s 10.99.0.0/16 -j ACCEPT", "-A INPUT -p tcp --dport 22 -j ACCEPT", "-P FORWARD DROP"];
  for (const tool of ["iptables", "ip6tables"]) {
    for (const rule of tool === "iptables" ? rules : rules.slice(1)) await gateway.exec(tool, rule.split(" "));
    await gateway.exec(tool, ["-t", "nat", "-A", "POSTROUTING", "-o", "lo", "-j", "MASQUERADE"]);
  }
  await gateway.exec("sh", ["-c", "echo 1 > /proc/sys/net/ipv6/conf/default/forwarding"]);
  const before = await hostState(lab);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const running = await RunningGateway.start(lab, { policy, args: ["--on-exit", "clean"] });
    assert.notDeepEqual(await hostState(lab), before);
    assert.equal((await curl("https://only.example/")).code, 0);
    const { code, stderr } = await running.process.kill(signal);
    assert.equal(code, 0, stderr);
    assert.deepEqual(await hostState(lab), before);
  }
});

test("clean after a crash puts back what the first start found", async () => {
  const before = await hostState(lab);
  const first = await RunningGateway.start(lab, { policy, state: "clean" });
  await first.crash();
  const second = await RunningGateway.start(lab, { policy, state: "clean", args: ["--on-exit", "clean"] });
  assert.equal((await curl("https://only.example/")).code, 0);
  await second.stop();
  assert.deepEqual(await hostState(lab), before);
});

test("a torn record is mended by a restart, which says so", async () => {
  const first = await RunningGateway.start(lab, { policy, state: "torn" });
  await first.expect({ kind: "lifecycle", message: "started" });
  await first.crash();
  const newest = (await lab.gateway.exec("sh", ["-c", `ls ${first.state}/events/*.ndjson | tail -1`])).stdout.trim();
  const torn = await lab.gateway.exec("sh", ["-c", `printf '{"schema":"sallyport.event/1","time":"20' >> ${newest}`]);
  assert.equal(torn.code, 0, torn.stderr);
  assert.ok(!readFileSync(newest, "utf8").endsWith("\n"));
  const second = await RunningGateway.start(lab, { policy, state: "torn", args: ["--on-exit", "clean"] });
  assert.equal((await second.ask("logs verify")).code, 0);
  await second.expect({ kind: "lifecycle", message: /cut|torn/ });
  await second.stop();
});
