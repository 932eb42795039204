/**
 * Promises about a gateway that exports: its sinks have what its record has, whatever one of them does; status, flows of
 * metrics and the record say how they are; a configuration that does not load starts nothing; the last word goes out too.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Event } from "../../src/audit/event.ts";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { launcher } from "../support/launcher.ts";
import { readMetrics, total } from "../support/prometheus.ts";
import { until } from "../support/until.ts";
import { gatewayArguments, RunningGateway } from "./start.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example] }
`;

let lab: Lab;
let gateway: RunningGateway;
let config: string;
let output: string;

before(async () => {
  requireTools(["ip", "curl", "dig"]);
  lab = await Lab.create();
  config = join(lab.gateway.home, "sallyport.config.yaml");
  output = join(lab.gateway.home, "out.ndjson");
  writeFileSync(
    config,
    `version: 1
metrics: 9464
export:
  - { name: local, to: file, path: ${output} }
  - { name: absent, to: webhook, url: "http://127.0.0.1:9/in", headers: { authorization: { env: HOOK } } }
`,
  );
  gateway = await RunningGateway.start(lab, { policy, args: ["--config", config], env: { HOOK: "Bearer t0psecret" } });
});
after(() => lab?.close());

const exported = (): Event[] =>
  existsSync(output)
    ? readFileSync(output, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Event)
    : [];

test("what is decided is exported, while another sink is not there, and status and metrics say so", async () => {
  assert.equal((await lab.runner(1).exec("curl", ["-4sS", "-o", "/dev/null", "https://allowed.example/"])).code, 0);
  await lab.runner(1).exec("dig", ["+tries=1", "secret.evil.example"]);
  const denied = await gateway.expect({ kind: "dns", verdict: "deny" });
  assert.ok(await until(() => exported().some((event) => event.hash === denied.hash), 10_000));
  assert.deepEqual(
    exported().map((event) => event.seq),
    exported().map((_, i) => i + 1),
  );
  const told = await gateway.statusWhen(({ exports: [, sink] }) => (sink?.failures ?? 0) > 0);
  const [local, absent] = told.exports;
  assert.deepEqual([local!.name, local!.lost, local!.failing, local!.to], ["local", 0, 0, output]);
  assert.ok(absent!.state === "failing" && absent!.lag > 0 && /ECONNREFUSED/.test(absent!.last_error!.message));
  assert.equal(told.state, "enforcing", "a sink that is not there is no reason to doubt enforcement");
  const text = await gateway.ask("status");
  assert.match(text.stdout, /^export {4}local to .*: has all \d+$/m);
  assert.match(
    text.stdout,
    /^export {4}absent to http:\/\/127\.0\.0\.1:9: \d+ behind .*; failing \(\d+\): .*ECONNREFUSED/m,
  );
  assert.doesNotMatch(JSON.stringify(told) + text.stdout, /t0psecret/);
  const page = readMetrics((await gateway.ask("metrics")).stdout);
  assert.equal(total(page, "sallyport_export_failing", { sink: "absent" }), 1);
  assert.equal(total(page, "sallyport_export_failing", { sink: "local" }), 0);
  assert.ok(total(page, "sallyport_export_delivered_events_total", { sink: "local" }) >= 4);
  const secret = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && commandLine(name).includes("t0psecret"));
  assert.deepEqual(secret, []);
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}

test("a configuration that changes: sinks at once, the record's settings by name, what does not load not at all", async () => {
  const before = readFileSync(config, "utf8");
  const other = join(lab.gateway.home, "other.ndjson");
  writeFileSync(config, `${before}  - { name: other, to: file, path: ${other} }\nrecord: { keep_for: 30d }\n`);
  const drifted = await gateway.statusWhen(({ exports }) =>
    exports.some(({ name, seq }) => name === "other" && seq > 0),
  );
  assert.deepEqual([drifted.state, drifted.config!.restart], ["degraded", ["record.keep_for"]]);
  assert.ok(drifted.problems.some((problem) => /not all of it is in force before a restart/.test(problem)));
  await gateway.expect({ kind: "lifecycle", message: /^configuration in force/ });
  writeFileSync(config, "version: 1\nexprt: []\n");
  const reload = await gateway.ask("reload");
  assert.deepEqual([reload.code, /unknown key “exprt”/.test(reload.stderr)], [2, true], reload.stderr);
  const rejected = await gateway.statusWhen((status) => status.config!.rejected !== null);
  assert.equal(rejected.exports.length, 3);
  assert.match((await gateway.ask("status")).stdout, /^config {4}.*\n {2}rejected .*\n {4}.*unknown key/m);
  writeFileSync(config, before);
  const restored = await gateway.ask("reload");
  assert.match(restored.stdout, /\nConfiguration: (?:in force|unchanged)\.\n$/);
  const told = await gateway.statusWhen(({ exports, config: view }) => exports.length === 2 && view!.rejected === null);
  assert.deepEqual([told.state, told.config!.restart], ["enforcing", []]);
});

test("the last word goes out, and a restart after the record was cut says what can never be sent", async () => {
  assert.ok(await until(() => exported().length > 0, 10_000));
  await gateway.stop();
  assert.match(JSON.stringify(exported().at(-1)), /"message":"stopped"/);
  const before = exported().length;
  // As retention would, with the sink behind: its cursor is at the beginning, and the first segment is gone.
  const events = join(gateway.state, "events");
  const [first] = readdirSync(events).filter((name) => name.endsWith(".ndjson"));
  const next = `events-${String(before).padStart(12, "0")}.ndjson`;
  const lines = readFileSync(join(events, first!), "utf8").split("\n").slice(0, -1);
  writeFileSync(join(events, next), `${lines.slice(before - 1).join("\n")}\n`);
  rmSync(join(events, first!));
  const atStart = { schema: "sallyport.cursor/1", seq: 0, hash: "", segment: 0, offset: 0 };
  writeFileSync(join(gateway.state, "export/local.json"), JSON.stringify(atStart));
  rmSync(output);
  gateway = await RunningGateway.start(lab, {
    policy,
    state: gateway.state.split("/").at(-1)!,
    args: ["--config", config],
    env: { HOOK: "x" },
  });
  const gap = await gateway.expect({ kind: "lifecycle", message: /^sink local never got/ }, "", 10_000);
  assert.deepEqual(gap.data, { sink: "local", first: 1, last: before - 1 });
  const told = await gateway.statusWhen(({ exports: [sink] }) => sink?.lost === before - 1);
  assert.equal(told.state, "degraded");
  assert.ok(told.problems.some((problem) => problem.startsWith(`sink local never got ${before - 1} records`)));
  assert.ok(await until(() => exported().some((event) => event.hash === gap.hash), 10_000), "the sink is told as well");
});

test("a configuration that does not load starts nothing", async () => {
  const broken = join(lab.gateway.home, "broken.yaml");
  writeFileSync(broken, "version: 1\nexport:\n  - { name: a, to: file, path: out }\n");
  const args = [...gatewayArguments(lab, gateway.policyFile, `${gateway.state}-broken`), "--config", broken];
  const { code, stderr } = await lab.gateway.exec(launcher, args);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /broken\.yaml:3:\d+: path of sink “a”: the path is not absolute\. Begin it with \/\.\n.*CONFIG_INVALID/s,
  );
  assert.ok(!existsSync(`${gateway.state}-broken`));
});
