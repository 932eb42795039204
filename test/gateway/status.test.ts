/**
 * Promises about what the gateway says of itself: `status`, `flows`, `logs` and `logs verify` tell the truth, as text and as
 * JSON, while it runs and (the record) afterwards.
 */
import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Event } from "../../src/audit/event.ts";
import { Lab } from "../lab/lab.ts";
import type { Outcome } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "./start.ts";
import { launcher } from "../support/launcher.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example, only.example] }
  - { name: plain web, to: [plain.example], ports: [80] }
  - { name: datagrams, to: ["udp.example:9100"], protocol: udp }
`;

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "curl", "dig", "ncat"]);
  lab = await Lab.create();
  gateway = await RunningGateway.start(lab, { policy });
  // The kernel keeps a closed connection for two minutes before it tells of its end.
  const settings = ["tcp_timeout_time_wait", "tcp_timeout_close", "udp_timeout", "udp_timeout_stream"];
  const script = settings.map((name) => `echo 1 > /proc/sys/net/netfilter/nf_conntrack_${name}`).join("; ");
  assert.equal((await lab.gateway.exec("sh", ["-ec", script])).code, 0);
});
after(() => lab?.close());

const curl = (...args: string[]): Promise<Outcome> =>
  lab.runner(1).exec("curl", ["-sS", "--max-time", "10", "-o", "/dev/null", ...args]);

/** Asks for live flows, which is also when the kernel notices those that have run out, until the events hold what is wanted. */
async function untilEnded(destination: object, after: string): Promise<Event> {
  for (let i = 0; ; i++) {
    const [found] = gateway.recorded({ kind: "flow_end", destination }, after);
    if (found !== undefined) return found;
    if (i === 40) throw new Error(`no end of ${JSON.stringify(destination)}`);
    await gateway.flows();
  }
}

test("status counts what was decided, and says what is enforced since when", async () => {
  const before = await gateway.status();
  assert.equal(before.state, "enforcing");
  assert.deepEqual(before.problems, []);
  assert.equal(before.ruleset, "present");
  assert.equal(before.threads.running, before.threads.wanted);
  assert.equal(before.policy.file, gateway.policyFile);
  assert.equal(before.policy.default_mode, "enforce");
  assert.deepEqual([before.inside, before.outside], [[...lab.gateway.inside], lab.gateway.outside]);
  assert.ok(Date.parse(before.since) <= Date.now() && Date.now() - Date.parse(before.since) < 60_000);
  const mark = gateway.mark;
  for (let i = 0; i < 3; i++) assert.equal((await curl("-4", "https://allowed.example/")).code, 0);
  for (let i = 0; i < 2; i++) assert.equal((await curl("https://203.0.113.66/")).code, 7);
  const denied = await gateway.expect({ verdict: "deny", destination: { ip: "203.0.113.66" } }, mark);
  const status = await gateway.status();
  assert.equal(status.decisions.allowed - before.decisions.allowed, 3);
  assert.equal(status.decisions.denied - before.decisions.denied, 2);
  assert.ok(status.decisions.packets > before.decisions.packets + 5);
  assert.ok(status.dns.queries > before.dns.queries);
  assert.ok(status.bindings >= 1);
  assert.ok(status.record.seq >= denied.seq);
  assert.deepEqual(
    [status.data_path.failures, status.data_path.lateVerdicts, status.data_path.kernel_drops],
    [0, 0, 0],
  );
  const text = await gateway.ask("status");
  assert.equal(text.code, 0);
  assert.match(text.stdout, /^enforcing since .*\npolicy +[0-9a-f]{12} from /);
});

test("flows shows a connection while it lives, with its rule and bytes that grow, and not afterwards", async () => {
  const client = lab.runner(1).spawn("curl", ["-sSN", "--limit-rate", "200k", "https://only.example/bytes/100000000"]);
  const seen: number[] = [];
  while (seen.length < 2 || seen.at(-1)! <= seen[0]!) {
    const flow = (await gateway.flows()).find((each) => each.name === "only.example");
    if (flow === undefined) continue;
    assert.deepEqual(
      [flow.source, flow.rule, flow.tier, flow.verdict, flow.protocol, flow.destination_port],
      [flow.source.includes(":") ? lab.inside(1).runner.v6 : lab.inside(1).runner.v4, "web", 2, "allow", "tls", 443],
    );
    seen.push(flow.bytes_down);
    assert.ok(seen.length < 50, `bytes did not grow: ${seen.join(", ")}`);
  }
  assert.equal((await gateway.status()).flows.live, (await gateway.flows()).length);
  assert.match((await gateway.ask("flows")).stdout, /→ only\.example:443 tls {2}web {2}.* up, .* down/);
  await client.kill("SIGKILL");
  await untilEnded({ name: "only.example" }, "");
  assert.ok(!(await gateway.flows()).some((flow) => flow.name === "only.example"));
  assert.match((await gateway.ask("flows")).stdout, /No live connections|→/);
});

test("the end of a connection has the bytes and the time that it took", async () => {
  const { mark } = gateway;
  const size = 3_000_000;
  assert.equal((await curl("-4", `https://only.example/bytes/${size}`)).code, 0);
  const upload = await lab.runner(1).exec("curl", ["-sS", "-T", "-", "http://plain.example/up"], {
    input: Buffer.alloc(size, "x"),
  });
  assert.equal(upload.code, 0, upload.stderr);
  const datagram = lab.runner(1).spawn("ncat", ["-4", "-u", "udp.example", "9100"]);
  datagram.write("x".repeat(1000));
  await datagram.waitFor(/x{1000}/);
  await datagram.kill();

  const down = await untilEnded({ name: "only.example", protocol: "tls" }, mark);
  assert.equal(down.rule?.name, "web");
  // Headers of packets and of TLS are bytes too; large packets have few of them.
  assert.ok(down.bytes!.down > size && down.bytes!.down < size * 1.15, JSON.stringify(down.bytes));
  assert.ok(down.bytes!.up > 500 && down.bytes!.up < size / 10, JSON.stringify(down.bytes));
  assert.ok(down.packets!.down > 10 && down.packets!.up > 5);
  assert.ok(down.duration_ms! >= 0 && down.duration_ms! < 60_000);
  const begun = gateway.recorded({ kind: "connection", source: { port: down.source?.port } }, mark);
  assert.equal(begun.length, 1);

  const up = await untilEnded({ name: "plain.example", protocol: "http" }, mark);
  assert.ok(up.bytes!.up > size && up.bytes!.up < size * 1.15, JSON.stringify(up.bytes));
  const echo = await untilEnded({ name: "udp.example", protocol: "udp" }, mark);
  assert.deepEqual(
    [echo.bytes, echo.packets],
    [
      { up: 1028, down: 1028 },
      { up: 1, down: 1 },
    ],
  );
});

test("logs filters by verdict, kind, name and time, and follows", async () => {
  const logs = async (...args: string[]): Promise<Event[]> => {
    const { code, stdout, stderr } = await gateway.ask("logs", ...args);
    assert.equal(code, 0, stderr);
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Event);
  };
  const all = await logs();
  assert.deepEqual(
    all.map((event) => event.seq),
    all.map((_, i) => i + 1),
  );
  const denied = await logs("--verdict", "deny");
  assert.ok(denied.length > 0 && denied.every((event) => event.verdict === "deny"));
  assert.equal(denied.length, all.filter((event) => event.verdict === "deny").length);
  const ends = await logs("--kind", "flow_end");
  assert.ok(ends.length > 0 && ends.every((event) => event.kind === "flow_end"));
  const named = await logs("--name", "only.example");
  assert.ok(named.length > 0 && named.every((event) => event.destination?.name === "only.example"));
  assert.deepEqual(await logs("--since", new Date(Date.now() + 60_000).toISOString()), []);
  assert.equal((await logs("--since", "1h")).length >= all.length, true);

  const follow = lab.gateway.spawn(launcher, ["logs", "--follow", "--verdict", "deny", "--state", gateway.state]);
  await follow.waitFor(/"deny"/);
  await lab.runner(1).exec("dig", ["+tries=1", "later.evil.example"]);
  await follow.waitFor(/later\.evil\.example/);
  const { signal, code } = await follow.kill("SIGTERM");
  assert.ok(signal === "SIGTERM" || code === 0);
  const piped = await lab.gateway.exec("bash", [
    "-c",
    `set -o pipefail; ${launcher} logs --state ${gateway.state} | head -1`,
  ]);
  assert.equal(JSON.parse(piped.stdout).seq, 1);
  assert.equal(piped.stderr, "");
});

test("logs verify holds for the record as it is, and names the record that was touched", async () => {
  const good = await gateway.ask("logs verify", "--json");
  assert.equal(good.code, 0, good.stderr);
  assert.equal((JSON.parse(good.stdout) as { ok: boolean }).ok, true);
  const copy = join(lab.gateway.home, "touched");
  cpSync(gateway.state, copy, { recursive: true, filter: (path) => !path.endsWith(".sock") });
  const [segment] = readdirSync(join(copy, "events")).filter((name) => name.endsWith(".ndjson"));
  const path = join(copy, "events", segment!);
  const lines = readFileSync(path, "utf8").split("\n");
  const victim = lines.findIndex((line) => line.includes('"verdict":"deny"'));
  lines[victim] = lines[victim]!.replace('"verdict":"deny"', '"verdict":"allow"');
  writeFileSync(path, lines.join("\n"));
  const bad = await lab.gateway.exec(launcher, ["logs", "verify", "--state", copy]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, new RegExp(`${segment}:${victim + 1}: record ${victim + 1} `));
});

test("without a gateway: status, flows and reload say that none answers; the record is still there", async () => {
  await gateway.stop();
  for (const command of ["status", "flows", "reload"]) {
    const { code, stderr } = await gateway.ask(command);
    assert.equal(code, 1);
    assert.match(stderr, /NOT_RUNNING/);
  }
  assert.equal((await gateway.ask("logs verify")).code, 0);
  const { stdout } = await gateway.ask("logs", "--kind", "lifecycle");
  assert.match(stdout.trim().split("\n").at(-1)!, /"message":"stopped"/);
  const nowhere = await lab.gateway.exec(launcher, ["logs", "--state", "/run/nowhere"]);
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.stderr, /RECORD_UNREADABLE/);
});
