/**
 * Promises about metrics: another program than ours reads them, they say what `status` and the record say after real
 * traffic, they name no destination, and only loopback reaches them unless somebody says otherwise.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Status } from "../../src/enforcer/status.ts";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { type Family, readMetrics, total } from "../support/prometheus.ts";
import { until } from "../support/until.ts";
import { launcher } from "../support/launcher.ts";
import { gatewayArguments, RunningGateway } from "./start.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example] }
  - { name: "watched \\"rule\\" \\\\ x", to: [only.example], mode: monitor }
`;

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "curl", "dig"]);
  lab = await Lab.create();
  gateway = await RunningGateway.start(lab, { policy, args: ["--metrics", "9464"] });
});
after(() => lab?.close());

async function metrics(): Promise<Family[]> {
  const { code, stdout, stderr } = await gateway.ask("metrics");
  assert.equal(code, 0, stderr);
  return readMetrics(stdout);
}

test("after real traffic they are what status and the record say", async () => {
  const curl = (url: string) => lab.runner(1).exec("curl", ["-4sS", "--max-time", "10", "-o", "/dev/null", url]);
  for (let i = 0; i < 3; i++) assert.equal((await curl("https://allowed.example/")).code, 0);
  for (let i = 0; i < 8; i++) assert.equal((await curl("https://203.0.113.66/")).code, 7);
  await lab.runner(1).exec("dig", ["+tries=1", "secret.evil.example"]);
  const counted = () =>
    gateway.recorded({ destination: { ip: "203.0.113.66" } }).reduce((n, e) => n + (e.count ?? 1), 0);
  assert.ok(await until(() => counted() === 8, 5_000), `recorded: ${counted()}`);

  const before = await gateway.status();
  const page = await metrics();
  const status = await gateway.status();
  /** What may have grown between two questions. */
  const between = (name: string, of: (each: Status) => number) => {
    const value = total(page, name);
    assert.ok(value >= of(before) && value <= of(status), `${name}: ${value}`);
  };
  const connections = (labels: Record<string, string>) => total(page, "sallyport_connections_total", labels);
  assert.equal(connections({ verdict: "allow", rule: "web", tier: "2" }), 3);
  assert.equal(connections({ verdict: "deny", rule: "", tier: "3" }), 8);
  assert.equal(connections({}), 11);
  assert.equal(total(page, "sallyport_refusals_total", { kind: "connection", reason: "no_name" }), 8);
  const denied = gateway.recorded({ kind: "dns", verdict: "deny" }).length;
  assert.equal(total(page, "sallyport_dns_decisions_total", { verdict: "deny" }), denied);
  between("sallyport_dns_queries_total", (each) => each.dns.queries);
  between("sallyport_packets_judged_total", (each) => each.decisions.packets);
  // Every packet that was judged has been timed.
  assert.equal(total(page, "sallyport_verdict_seconds_count"), total(page, "sallyport_packets_judged_total"));
  assert.ok(total(page, "sallyport_verdict_seconds_sum") > 0);
  between("sallyport_dns_answer_seconds_count", (each) => each.dns.queries);
  between("sallyport_record_seq", (each) => each.record.seq);
  assert.ok(total(page, "sallyport_record_durable_seq") <= status.record.seq);
  assert.equal(total(page, "sallyport_record_lost_events_total"), 0);
  assert.equal(total(page, "sallyport_policy_info", { hash: status.policy.hash, default_mode: "enforce" }), 1);
  assert.equal(total(page, "sallyport_build_info", { version: status.version }), 1);
  assert.equal(total(page, "sallyport_enforcing"), 1);
  const queues = page.find(({ name }) => name === "sallyport_queue_packets")!.samples;
  assert.equal(queues.length, status.threads.wanted);
  assert.ok(queues.every(({ value }) => value === 0));
  const rss = total(page, "process_resident_memory_bytes");
  assert.ok(rss > 20e6 && rss < 2e9, String(rss));
  assert.ok(Math.abs(total(page, "process_start_time_seconds") - Date.now() / 1000) < 120);
});

test("no label holds what a job chose", async () => {
  const labels = (await metrics()).flatMap(({ samples }) => samples.flatMap((sample) => Object.values(sample.labels)));
  assert.ok(labels.includes("web"));
  assert.deepEqual(
    labels.filter((label) => /example|203\.0\.113/.test(label)),
    [],
  );
});

test("a scraper gets the same page on loopback, nothing else, and nobody from inside", async () => {
  const get = (path: string) => lab.gateway.exec("curl", ["-sSi", "--max-time", "5", `http://127.0.0.1:9464${path}`]);
  const { stdout } = await get("/metrics");
  assert.match(stdout, /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/plain; version=0\.0\.4; charset=utf-8\r\n/i);
  const scraped = readMetrics(stdout.slice(stdout.indexOf("\r\n\r\n") + 4));
  assert.deepEqual(
    scraped.map(({ name }) => name),
    (await metrics()).map(({ name }) => name),
  );
  assert.match((await get("/status")).stdout, /^HTTP\/1\.1 404 /);
  const inside = await lab
    .runner(1)
    .exec("curl", ["-sS", "--max-time", "3", `http://${lab.inside(1).gateway.v4}:9464/metrics`]);
  assert.notEqual(inside.code, 0);
  assert.equal(inside.stdout, "");
});

test("a port that is taken, and a name in the place of an address, are said before anything is enforced", async () => {
  const second = (...args: string[]) =>
    lab.gateway.exec(launcher, [...gatewayArguments(lab, gateway.policyFile, `${gateway.state}-other`), ...args]);
  const named = await second("--metrics", "localhost:9464");
  assert.equal(named.code, 2);
  assert.match(named.stderr, /localhost:9464 is not \[ADDRESS:\]PORT/);
  const taken = await second("--metrics", "127.0.0.1:9464", "--queue", "6000", "--dns-port", "16053");
  assert.equal(taken.code, 4);
  assert.match(taken.stderr, /127\.0\.0\.1 port 9464.*\n.*PORT_IN_USE/);
  assert.equal((await gateway.status()).state, "enforcing");
});
