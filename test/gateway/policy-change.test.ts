/**
 * Promises about a policy that changes while traffic flows: a replaced file is picked up by itself; connections that the new
 * policy refuses end within a second, at both ends; those it allows lose no byte; a policy that does not load changes
 * nothing and says why (invariant 2, threat T8).
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { runTool, requireTools } from "../lab/tools.ts";
import { labNames } from "../lab/topology.ts";
import { ask } from "../../src/enforcer/control.ts";
import { RunningGateway, writePolicy } from "./start.ts";
import { brief } from "../support/record.ts";

const base = ["only.example", "allowed.example"];
const policyFor = (names: string[], extra = ""): string => `version: 1
rules:
  - { name: web, to: [${names.join(", ")}] }
  - { name: plain web, to: [plain.example], ports: [80] }
${extra}`;
const streams = '  - { name: streams, to: ["tcp.example:9000"], protocol: tcp }\n';
const datagrams = '  - { name: datagrams, to: ["udp.example:9100"], protocol: udp }\n';

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "curl", "ncat"]);
  lab = await Lab.create();
  gateway = await RunningGateway.start(lab, { policy: policyFor(base) });
});
after(() => lab?.close());

const fetch = (...args: string[]): Promise<Outcome> =>
  lab.runner(1).exec("curl", ["-sS", "--max-time", "20", "-o", "/dev/null", ...args]);

/** The internet's established connections with the gateway's outside, by the port of the service. */
async function atServers(port: number): Promise<number> {
  const args = [
    "netns",
    "exec",
    labNames(lab.id).internet,
    "ss",
    "-Htn",
    "state",
    "established",
    `( sport = :${port} )`,
  ];
  return (await runTool("ip", args)).split("\n").filter((line) => line !== "").length;
}

/** Resolves with the milliseconds until the servers have no connection left on this port. */
async function gone(port: number): Promise<number> {
  const start = performance.now();
  while ((await atServers(port)) > 0) {
    if (performance.now() - start > 10_000) throw new Error(`connections to port ${port} are still there`);
  }
  return performance.now() - start;
}

/** When the program ended, in milliseconds from now. */
async function ends(program: LabProcess): Promise<number> {
  const start = performance.now();
  await program.exited;
  return performance.now() - start;
}

test("rules that ask for a process are said to mean nothing here: none allows, each denies", async () => {
  await gateway.replacePolicy(`version: 1
rules:
  - { name: not the tests, from: { process: { step: test } }, to: v4only.example, action: deny }
  - { name: setup, from: { process: { step: setup } }, to: only.example }
  - { name: web, to: [allowed.example, v4only.example] }
`);
  await gateway.process.waitFor(/^sallyport: warning: .*:4:5: rule “setup”: .* on a gateway it never matches/m, 5_000);
  await gateway.process.waitFor(
    /^sallyport: warning: .*:3:5: rule “not the tests”: .* it denies to every process/m,
    5_000,
  );
  assert.equal((await fetch("https://allowed.example/")).code, 0);
  // The names are answered: some process could use them.
  for (const name of ["only.example", "v4only.example"]) assert.equal((await fetch(`https://${name}/`)).code, 7, name);
  await gateway.replacePolicy(policyFor(base));
  assert.equal((await fetch("https://only.example/")).code, 0);
});

test("a replaced file is in force by itself, and the change is in the record", async () => {
  await gateway.replacePolicy(policyFor(base));
  assert.equal((await fetch("https://v4only.example/")).code, 6);
  const text = policyFor([...base, "v4only.example"]);
  await gateway.replacePolicy(text);
  assert.equal((await fetch("https://v4only.example/")).code, 0);
  const hash = createHash("sha256").update(text).digest("hex");
  await gateway.expect({ kind: "policy", message: "in force", data: { policy: hash } });
  assert.equal((await gateway.status()).policy.hash, hash);
});

test("live connections that the new policy refuses end within a second, at both ends, and no others", async () => {
  const runner = lab.runner(1);
  await gateway.replacePolicy(policyFor([...base, "v4only.example", "v6only.example"], streams + datagrams));
  const downloads = ["v4only.example", "v6only.example"].map((name) =>
    runner.spawn("curl", ["-sSN", `https://${name}/slow?seconds=60`]),
  );
  const kept = runner.spawn("curl", ["-sSN", "https://only.example/slow?seconds=5"]);
  const idle = ["-4", "-6"].map((family) => runner.spawn("ncat", [family, "tcp.example", "9000"]));
  for (const client of idle) client.write("hello\n");
  await Promise.all([...downloads, kept].map((client) => client.waitFor(/^\.\./)));
  await Promise.all(idle.map((client) => client.waitFor(/hello/)));
  assert.equal(await atServers(9000), 2);
  const { mark } = gateway;

  await gateway.replacePolicy(policyFor(base));
  const times = await Promise.all([...downloads, ...idle].map(ends).concat(gone(9000)));
  for (const ms of times) assert.ok(ms < 1000, `ended after ${times.join(", ")} ms`);
  for (const client of downloads) assert.match((await client.exited).stderr, /reset by peer/);
  // The client's program may have ended before its server's turn came.
  const told = performance.now() + 1_000;
  while ((await atServers(443)) !== 1)
    assert.ok(performance.now() < told, "the server of a refused download was not told");
  for (const ip of ["203.0.113.44", "2001:db8:200::46", "203.0.113.90", "2001:db8:200::90"]) {
    await gateway.expect({ kind: "connection", verdict: "deny", reason: "policy_changed", destination: { ip } }, mark);
  }
  const once = gateway.recorded({ reason: "policy_changed" }, mark).map(brief);
  assert.equal(once.length, 4, once.join("\n"));
  assert.equal((await kept.exited).stdout, `${".".repeat(50)}\n`);
});

test("a connection that both sides have closed is none that the new policy ended", async () => {
  await gateway.replacePolicy(policyFor(base, streams));
  const runner = lab.runner(1);
  const client = runner.spawn("ncat", ["-4", "tcp.example", "9000"]);
  client.write("hello\n");
  await client.waitFor(/hello/);
  // The client's last acknowledgement is lost: the kernel waits for it.
  const lost = ["OUTPUT", "-p", "tcp", "--dport", "9000", "--tcp-flags", "FIN,RST,ACK", "ACK", "-j", "DROP"];
  const reset = ["OUTPUT", "-p", "tcp", "--dport", "9000", "--tcp-flags", "RST", "RST", "-j", "DROP"];
  for (const rule of [lost, reset]) assert.equal((await runner.exec("iptables-nft", ["-A", ...rule])).code, 0);
  try {
    client.signal("SIGTERM");
    await client.exited;
    const flows = async (): Promise<string> =>
      (await lab.gateway.exec("conntrack", ["-L", "-p", "tcp", "--dport", "9000"])).stdout;
    const start = performance.now();
    while (!(await flows()).includes("LAST_ACK")) assert.ok(performance.now() - start < 5_000, await flows());
    const { mark } = gateway;
    await gateway.replacePolicy(policyFor(base));
    assert.equal((await fetch("https://only.example/")).code, 0);
    await gateway.expect({ kind: "connection", verdict: "allow", destination: { name: "only.example" } }, mark);
    assert.deepEqual(gateway.recorded({ reason: "policy_changed" }, mark).map(brief), []);
  } finally {
    for (const rule of [lost, reset]) await runner.exec("iptables-nft", ["-D", ...rule]);
  }
});

test("a kept-alive plain HTTP connection ends the same way, with one event", async () => {
  const client = lab.runner(1).spawn("ncat", ["plain.example", "80"]);
  client.write("GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n");
  await client.waitFor(/"server":"plain\.example"/);
  const { mark } = gateway;
  await gateway.replacePolicy(policyFor(base).replace("to: [plain.example]", "to: [other.example]"));
  const times = await Promise.all([ends(client), gone(80)]);
  for (const ms of times) assert.ok(ms < 1000, `ended after ${times.join(", ")} ms`);
  await gateway.expect(
    { verdict: "deny", reason: "policy_changed", destination: { name: "plain.example", port: 80 } },
    mark,
  );
  const { code } = await fetch("https://only.example/");
  assert.equal(code, 0);
  const once = gateway.recorded({ reason: "policy_changed" }, mark).map(brief);
  assert.equal(once.length, 1, once.join("\n"));
});

test("datagrams of a flow that the new policy refuses go nowhere", async () => {
  await gateway.replacePolicy(policyFor(base, datagrams));
  const client = lab.runner(1).spawn("ncat", ["-u", "udp.example", "9100"]);
  client.write("before\n");
  await client.waitFor(/before/);
  await gateway.replacePolicy(policyFor(base));
  const marker = lab.marker();
  client.write(marker);
  await client.exited;
  assert.deepEqual(await lab.sink.find(marker), []);
});

test("a rule that expires ends its connections by itself", async () => {
  const expires = new Date(Date.now() + 2500).toISOString();
  await gateway.replacePolicy(
    policyFor(base, `  - { name: until then, to: [v4only.example], expires: "${expires}" }\n`),
  );
  const client = lab.runner(1).spawn("curl", ["-sSN", "https://v4only.example/slow?seconds=60"]);
  await client.waitFor(/^\.\./);
  await client.exited;
  const late = Date.now() - Date.parse(expires);
  assert.ok(late > -100 && late < 1000, `ended ${late} ms after the rule expired`);
  await gateway.expect({ verdict: "deny", reason: "policy_changed", destination: { name: "v4only.example" } });
});

test("allowed transfers lose no byte across twenty policy changes", async () => {
  await gateway.replacePolicy(policyFor(base));
  await lab.sink.clear();
  const size = 40_000_000;
  const zeros = createHash("sha256").update(Buffer.alloc(size)).digest("hex");
  // About five seconds each: TLS, which the kernel forwards by itself, and plain HTTP, which is followed request by request.
  const transfers = ["-4 https://only.example", "-6 https://only.example", "-4 http://plain.example"].map((where) => {
    const script = `set -o pipefail; curl -sS --limit-rate 8M ${where}/bytes/${size} | sha256sum`;
    return lab.runner(1).spawn("bash", ["-c", script]);
  });
  for (let i = 0; i < 20; i++) await gateway.replacePolicy(policyFor([...base, `swap${i}.example`]));
  assert.ok(
    transfers.some(({ child }) => child.exitCode === null),
    "the transfers ended before the policy changes did",
  );
  for (const transfer of transfers) {
    const { code, stdout, stderr } = await transfer.exited;
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `${zeros}  -\n`);
  }
  await lab.sink.clear();
});

test("a policy that does not load changes nothing: reload exits 2 and says where, the last good one stays", async () => {
  await gateway.replacePolicy(policyFor(base));
  const before = await gateway.status();
  const { mark } = gateway;
  await gateway.replacePolicy("version: 1\nrules:\n  - { name: web, to: [only.example], portz: [443] }\n");
  const event = await gateway.expect({ kind: "policy", message: "rejected" }, mark);
  assert.match(String(event.data?.["error"]), /portz/);
  const reload = await gateway.ask("reload");
  assert.equal(reload.code, 2);
  assert.match(reload.stderr, /:3:\d+: .*portz/);
  assert.equal((await fetch("https://allowed.example/")).code, 0);
  const status = await gateway.status();
  assert.equal(status.policy.hash, before.policy.hash);
  assert.equal(status.state, "enforcing");
  assert.match(status.policy.rejected?.message ?? "", /portz/);
});

test("reload of a file that is gone exits 2; with it back, reload says what is in force", async () => {
  await gateway.replacePolicy(policyFor(base));
  await lab.gateway.exec("rm", [gateway.policyFile]);
  const missing = await gateway.ask("reload");
  assert.equal(missing.code, 2, missing.stderr);
  assert.match(missing.stderr, /POLICY_UNREADABLE/);
  assert.equal((await fetch("https://only.example/")).code, 0);
  writePolicy(gateway.policyFile, policyFor(["only.example"]));
  const reload = await gateway.ask("reload", "--json");
  assert.equal(reload.code, 0, reload.stderr);
  const { policy } = JSON.parse(reload.stdout) as { policy: string };
  assert.equal((await gateway.status()).policy.hash, policy);
  assert.equal((await fetch("https://allowed.example/")).code, 6);
});

test("a file that reload has read is not read again when its replacement is noticed", async () => {
  await gateway.replacePolicy(policyFor(base));
  let text = "";
  const readTwice = async (name: string): Promise<boolean> => {
    text = policyFor(["only.example", name]);
    const { mark } = gateway;
    writePolicy(gateway.policyFile, text);
    // Not by a command, which takes longer to start than the gateway to notice.
    await ask(gateway.state, "POST", "/reload");
    const hash = createHash("sha256").update(text).digest("hex");
    const said = new RegExp(`policy ${hash.slice(0, 12)} in force, (unchanged|\\d+)`);
    await gateway.process.waitFor(said, 10_000);
    const change = { kind: "policy", message: "in force", data: { policy: hash } } as const;
    await gateway.expect(change, mark);
    const isFirst = said.exec(gateway.process.stderr)![1] === "unchanged";
    assert.equal(gateway.recorded(change, mark).length, isFirst ? 1 : 2);
    return !isFirst;
  };
  // On a busy machine the gateway may notice before it is asked, now and then.
  const names = ["one.example", "two.example", "three.example", "four.example"];
  while (await readTwice(names.shift() ?? assert.fail("what was reloaded is read again each time")));
  // What was refused in between is read again, also where it was replaced by what is in force.
  writePolicy(gateway.policyFile, "version: 1\nrulez: []\n");
  const refused = await gateway.statusWhen(({ policy }) => policy.rejected !== null);
  assert.match(refused.policy.rejected?.message ?? "", /rulez/);
  await gateway.replacePolicy(text);
  assert.equal((await gateway.status()).policy.rejected, null);
});
