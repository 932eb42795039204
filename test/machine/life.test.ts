/**
 * Promises over the life of an enforcer around a machine: connections from before are settled and told, one by one; a policy that
 * changes ends what it refuses, at both ends; a killed enforcer leaves the machine closed and a restart takes over; a stop
 * leaves nothing; what somebody alters is told.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hostState } from "../gateway/host-state.ts";
import type { Machine } from "../lab/machine.ts";
import type { LabProcess } from "../lab/process.ts";
import { requireTools, runTool } from "../lab/tools.ts";
import { labNames } from "../lab/topology.ts";
import { until } from "../support/until.ts";
import { Agent, Host, network } from "./setup.ts";

const policyFor = (names: string[], mode = "enforce") => `version: 1
rules:
  - { name: streams, to: [${["nobody.example", ...names].map((name) => `"${name}:9000"`).join(", ")}], protocol: tcp }
  - { name: web, to: [allowed.example] }
default: { mode: ${mode} }
`;

let host: Host;
let agent: Agent | null = null;

before(async () => {
  requireTools(["ip", "curl", "ncat", "socat"]);
  host = await Host.create();
  await host.lab.internet.listen({ kind: "echo", port: 9005 });
  // Both names have a service that echoes.
  await host.lab.internet.dns.set("tcp4.example", { records: [{ type: "A", data: "203.0.113.90" }] });
  await host.lab.internet.dns.set("tcp6.example", { records: [{ type: "AAAA", data: "2001:db8:200::90" }] });
});
afterEach(async () => {
  await agent?.stop();
  agent = null;
});
after(() => host?.close());

/** The echo service comes to have so many connections. */
async function serversHave(count: number): Promise<void> {
  const end = performance.now() + 5_000;
  let found = await atServers();
  for (; found !== count && performance.now() < end; found = await atServers()) await sleep(50);
  assert.equal(found, count);
}

async function atServers(port = 9000): Promise<number> {
  const args = ["netns", "exec", labNames(host.lab.id).internet, "ss", "-Htn", "state", "established"];
  return (await runTool("ip", [...args, `( sport = :${port} )`])).split("\n").filter((line) => line !== "").length;
}

/** A connection that is up, to say things on. */
async function connected(at: Machine, name: string): Promise<LabProcess> {
  const program = at.spawn("ncat", [name, "9000"]);
  assert.equal(await echoes(program), true, `${name}: ${program.stderr}`);
  return program;
}

let said = 0;

async function echoes(program: LabProcess): Promise<boolean> {
  const word = `word${++said}\n`;
  program.write(word);
  return (await until(() => program.stdout.includes(word), 2_500)) === true;
}

test("connections from before: vouched ones and those from outside go on, the others end, each with an event", async () => {
  const server = host.host.spawn("socat", ["TCP-LISTEN:2222,fork,reuseaddr", "EXEC:cat"]);
  await sleep(300);
  const inward = host.lab.world.spawn("ncat", [host.lab.outside.gateway.v4, "2222"]);
  assert.equal(await echoes(inward), true);
  // The machine tracks connections already (it translates addresses), but not these, as if it did not.
  const mine4 = await connected(host.host, "203.0.113.90");
  const mine6 = await connected(host.host, "2001:db8:200::90");
  const theirs = await connected(host.container(1, 1), "203.0.113.90");
  const within = host.host.spawn("ncat", ["127.0.0.1", "2222"]);
  assert.equal(await echoes(within), true);
  const vouched = host.host.spawn("ncat", ["203.0.113.80", "9005"]);
  assert.equal(await echoes(vouched), true);
  agent = await Agent.start(host, policyFor([]), { keepPorts: [9005] });

  await Promise.all([mine4.exited, mine6.exited]);
  assert.equal(await echoes(theirs), false);
  await serversHave(0);
  for (const program of [inward, within, vouched]) assert.equal(await echoes(program), true);
  const told = agent.events.filter(({ reason }) => reason === "earlier");
  assert.deepEqual(
    told
      .map(({ verdict, source, destination }) => `${verdict} ${source?.ip} ${destination?.ip} ${destination?.port}`)
      .toSorted(),
    [
      "allow 198.51.100.2 203.0.113.80 9005",
      "deny 172.30.1.2 203.0.113.90 9000",
      "deny 198.51.100.2 203.0.113.90 9000",
      "deny 2001:db8:100::2 2001:db8:200::90 9000",
    ],
  );
  // No policy ends what somebody vouches for.
  await agent.setPolicy(policyFor(["tcp4.example"]));
  assert.equal(await echoes(vouched), true);
  for (const program of [server, inward, theirs, within, vouched]) await program.kill();
});

test("the same on a machine where nobody tracked connections before", async () => {
  const [usual, bare] = [host, await Host.create({ translate: false })];
  host = bare;
  try {
    await bare.lab.internet.listen({ kind: "echo", port: 9005 });
    const server = bare.host.spawn("socat", ["TCP6-LISTEN:2222,fork,reuseaddr", "EXEC:cat"]);
    await sleep(300);
    const inward = bare.lab.world.spawn("ncat", [bare.lab.outside.gateway.v4, "2222"]);
    const inward6 = bare.lab.world.spawn("ncat", [bare.lab.outside.gateway.v6, "2222"]);
    const vouched = bare.host.spawn("ncat", ["203.0.113.80", "9005"]);
    const vouched6 = bare.host.spawn("ncat", ["2001:db8:200::80", "9005"]);
    const mine = bare.host.spawn("ncat", ["203.0.113.90", "9000"]);
    const all = [inward, inward6, vouched, vouched6, mine];
    for (const program of all) assert.equal(await echoes(program), true, program.stderr);
    assert.equal((await bare.host.exec("conntrack", ["-L"])).stdout, "");
    agent = await Agent.start(bare, policyFor([]), { keepPorts: [9005] });
    await mine.exited;
    for (const program of [inward, inward6, vouched, vouched6])
      assert.equal(await echoes(program), true, program.stderr);
    const told = agent.events.filter(({ reason }) => reason === "earlier");
    assert.deepEqual(told.map(({ verdict, destination }) => `${verdict} ${destination?.ip}`).toSorted(), [
      "allow 2001:db8:200::80",
      "allow 203.0.113.80",
      "deny 203.0.113.90",
    ]);
    await agent.stop();
    for (const program of [server, ...all]) await program.kill();
  } finally {
    agent = null;
    host = usual;
    await bare.close();
  }
});

test("in monitor mode every connection from before goes on, with an event that tells what would end", async () => {
  const mine = await connected(host.host, "203.0.113.90");
  const theirs = await connected(host.container(1, 1), "2001:db8:200::90");
  agent = await Agent.start(host, policyFor([], "monitor"));
  for (const program of [mine, theirs]) assert.equal(await echoes(program), true);
  const told = agent.events.filter(({ reason }) => reason === "earlier");
  assert.deepEqual(told.map(({ verdict, destination }) => `${verdict} ${destination?.ip}`).toSorted(), [
    "would_deny 2001:db8:200::90",
    "would_deny 203.0.113.90",
  ]);
  // And ends when enforcement comes.
  await agent.setPolicy(policyFor([]));
  await mine.exited;
  assert.equal(await echoes(theirs), false);
  await theirs.kill();
});

test("a new policy ends live connections of the machine and of containers, at both ends, and leaves the others", async () => {
  agent = await Agent.start(host, policyFor(["tcp4.example", "tcp6.example"]));
  const mine4 = await connected(host.host, "tcp4.example");
  const mine6 = await connected(host.host, "tcp6.example");
  const theirs4 = await connected(host.container(1, 1), "tcp4.example");
  const theirs6 = await connected(host.container(1, 1), "tcp6.example");
  for (let i = 0; i < 40 && (await agent.flows()).length < 4; i++) await sleep(100);
  assert.equal((await agent.flows()).length, 4);
  assert.deepEqual(await agent.setPolicy(policyFor(["tcp6.example"])), { ended: 2 });
  const start = performance.now();
  await Promise.all([mine4.exited, theirs4.exited]);
  assert.ok(performance.now() - start < 3_000);
  await serversHave(2);
  for (const program of [mine6, theirs6]) assert.equal(await echoes(program), true);
  assert.equal(agent.events.filter(({ reason }) => reason === "policy_changed").length, 2);
  for (const program of [mine6, theirs6]) await program.kill();
});

test("a killed enforcer leaves the machine closed, what was allowed goes on, and a restart takes over", async () => {
  const first = await Agent.start(host, policyFor(["tcp4.example"]));
  const live = await connected(host.host, "tcp4.example");
  await until(() => existsSync(`${first.state}/flows.json`), 5_000);
  await sleep(1_500);
  await first.crash();
  for (const at of [host.host, host.container(1, 1)]) {
    assert.notEqual((await at.exec("curl", ["-sS", "--max-time", "2", "https://allowed.example/"])).code, 0);
    assert.notEqual((await at.exec("ncat", ["-w", "1", "203.0.113.90", "9000"], { input: "x" })).code, 0);
  }
  assert.equal(await echoes(live), true);
  agent = await Agent.start(host, policyFor(["tcp4.example"]), { state: first.state, cgroup: first.cgroup });
  assert.equal(await echoes(live), true);
  assert.equal((await host.host.exec("curl", ["-sS", "--max-time", "5", "https://allowed.example/"])).code, 0);
  await agent.setPolicy(policyFor([]));
  await live.exited;
});

test("a clean stop leaves nothing, and a stop that leaves it closed leaves it closed", async () => {
  // A first one, for settings that a kernel has only once it tracks connections.
  await (await Agent.start(host, policyFor([]))).stop();
  const before = await hostState(host.lab);
  const clean = await Agent.start(host, policyFor([]));
  await clean.stop();
  assert.deepEqual(await hostState(host.lab), before);
  assert.equal((await host.host.exec("nft", ["list", "tables"])).stdout.includes("sallyport"), false);
  const closed = await Agent.start(host, policyFor([]));
  await closed.stop("closed");
  assert.notEqual((await host.host.exec("curl", ["-sS", "--max-time", "2", "http://203.0.113.80/"])).code, 0);
  agent = await Agent.start(host, policyFor([]), { state: closed.state, cgroup: closed.cgroup });
});

test("what somebody alters is told: rules, chains of our own, and an egress chain", async () => {
  agent = await Agent.start(host, policyFor([]));
  const state = async () => (await agent!.status()).ruleset;
  assert.equal(await state(), "present");
  for (const [spoil, mend] of [
    [
      ["iptables", "-I", "OUTPUT", "1", "-j", "ACCEPT"],
      ["iptables", "-D", "OUTPUT", "1"],
    ],
    [["nft", "insert", "rule", "inet", "sallyport", "leaving", "accept"], null],
    [["nft", "insert", "rule", "netdev", "sallyport", host.uplink, "accept"], null],
    [["nft", "flush", "chain", "inet", "sallyport", "end"], null],
    [["nft", "delete", "table", "netdev", "sallyport"], null],
  ] as [string[], string[] | null][]) {
    await host.tool(spoil[0]!, spoil.slice(1));
    assert.equal(await state(), "altered", spoil.join(" "));
    if (mend !== null) await host.tool(mend[0]!, mend.slice(1));
    else {
      await agent.stop();
      agent = await Agent.start(host, policyFor([]));
    }
    assert.equal(await state(), "present");
  }
});

test("a device that comes later and is of no kind that stays inside is policed, and guarded", async () => {
  agent = await Agent.start(host, policyFor([]));
  await host.tool("ip", ["link", "add", "later0", "link", "br1", "type", "macvlan"]);
  await host.tool("ip", ["addr", "add", "10.77.0.1/24", "dev", "later0"]);
  await host.tool("ip", ["link", "set", "later0", "up"]);
  try {
    const refused = await host.host.exec("ncat", ["-w", "2", "10.77.0.9", "443"]);
    assert.match(refused.stderr, /refused|unreachable|prohibited/i);
    const event = await agent.expect(({ destination }) => destination?.ip === "10.77.0.9");
    assert.equal(event.verdict, "deny");
    const guarded = async () => (await host.tool("nft", ["list", "table", "netdev", "sallyport"])).includes("later0");
    let seen = false;
    for (let i = 0; i < 40 && !(seen = await guarded()); i++) await sleep(100);
    assert.equal(seen, true);
    assert.equal((await agent.status()).ruleset, "present");
  } finally {
    await host.tool("ip", ["link", "del", "later0"]);
  }
  await sleep(1_500);
  assert.equal((await agent.status()).ruleset, "present");
  assert.equal(network(1).bridge.v4, "172.30.1.1");
});
