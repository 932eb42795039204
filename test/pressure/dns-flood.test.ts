/**
 * T10, D1, D2, D7: a job asks for 20 000 other names a second, over UDP with forged ports and over TCP. Refused names never reach
 * a server; allowed ones only as many as the budget has; the other job's lookups are answered; memory is bounded, the
 * record aggregates, and each query is counted: answered, refused, or dropped unread.
 */
import assert from "node:assert/strict";
import { after, before, test, type TestContext } from "node:test";
import { defaultLimits } from "../../src/dns/types.ts";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "../gateway/start.ts";
import type { Flood } from "./flood.ts";
import {
  armAttacker,
  attempts,
  eventually,
  figures,
  flood,
  floodSeconds,
  forgetPeak,
  memoryBound,
  memoryOf,
} from "./support.ts";
import { OtherJob, program, statusOf } from "./support.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example] }
  - { name: wild, to: ["**.wild.example"] }
`;
const rate = 20_000;

let lab: Lab;
let gateway: RunningGateway;
let other: OtherJob;

before(async () => {
  requireTools(["ip", "iptables", "curl", "dig"]);
  lab = await Lab.create({ runners: 2, sink: false });
  gateway = await RunningGateway.start(lab, { policy });
  await armAttacker(lab);
  other = new OtherJob(lab.runner(2));
  await other.ready();
});
after(() => lab?.close());

/** Floods with names below one domain; how many arrived at the lab's DNS. */
async function namesThatGotOut(t: TestContext, below: string, from: string[]): Promise<number> {
  const { mark } = gateway;
  const before = await statusOf(gateway);
  forgetPeak(before.pid);
  const quiet = memoryOf(before.pid);
  other.since();
  const options: Flood = {
    kind: "dns",
    from,
    to: ["203.0.113.53"],
    port: 53,
    rate,
    seconds: floodSeconds,
    below,
    tag: "name",
  };
  const done = await flood(lab, options);
  const answered = async () =>
    gateway.recorded({ kind: "dns", verdict: "allow", destination: { name: new RegExp(`\\.${below}$`) } }, mark).length;
  const accounted = await eventually(
    async () => attempts(gateway.recorded({}, mark)) + (await answered()),
    (sum) => sum >= done.arrived,
  );
  const out = (await lab.internet.dns.queries()).filter(({ name }) => name.toLowerCase().endsWith(below)).length;
  const served = other.since();
  const status = await statusOf(gateway);
  const { peak } = memoryOf(before.pid);
  figures(t, {
    perSecond: Math.round(done.sent / done.seconds),
    arrived: done.arrived,
    accounted,
    events: gateway.recorded({}, mark).length,
    handled: status.dns.queries - before.dns.queries,
    overRate: status.data_path.over_rate - before.data_path.over_rate,
    socketFull: status.data_path.dns_drops - before.data_path.dns_drops,
    out,
    memory: `${quiet.now} MB, at most ${peak} MB`,
    other: served,
  });
  assert.equal(accounted, done.arrived, "queries that no event counts");
  assert.ok(peak <= memoryBound, `${peak} MB`);
  assert.equal(served.failed, 0, `the other job could not resolve or connect: ${other.complaints}`);
  assert.ok(served.requests > 0 && served.p50 < 2_000 && served.p95 < 8_000, JSON.stringify(served));
  assert.ok(done.sent / done.seconds > 4_000, "this was no flood");
  return out;
}

test("refused names: none reaches a server", async (t) => {
  assert.equal(await namesThatGotOut(t, "evil.example", [lab.inside(1).runner.v4]), 0);
});

test("names below an allowed wildcard: no more than the budget reaches a server", async (t) => {
  const out = await namesThatGotOut(t, "wild.example", [lab.inside(1).runner.v4]);
  assert.ok(out > 0 && out <= defaultLimits.namesPerDomain, `${out} names`);
});

test("over TCP, on as many connections as one job may have and more: the same", async (t) => {
  const { mark } = gateway;
  const before = await statusOf(gateway);
  forgetPeak(before.pid);
  other.since();
  const args = [
    "--no-warnings",
    program("dns-streams.ts"),
    "203.0.113.53",
    "evil.example",
    "200",
    // Connections are taken between questions: on a busy machine it takes some seconds until there are too many.
    String(3 * floodSeconds),
  ];
  const { code, stdout, stderr } = await lab.runner(1).exec(process.execPath, args, { timeoutMs: 60_000 });
  assert.equal(code, 0, stderr);
  const done = JSON.parse(stdout) as { asked: number; answered: number; open: number; refused: number };
  const counted = await eventually(
    () =>
      attempts(gateway.recorded({ kind: "dns", destination: { name: /evil\.example$/ } }, mark)) +
      attempts(gateway.recorded({ kind: "dns", reason: /^(default|over_limit)$/, message: /./ }, mark)),
    (sum) => sum >= done.answered,
  );
  const status = await statusOf(gateway);
  const { peak } = memoryOf(before.pid);
  const served = other.since();
  figures(t, {
    ...done,
    counted,
    over: status.dns.overLimit - before.dns.overLimit,
    memory: `at most ${peak} MB`,
    other: served,
  });
  assert.ok(done.answered > 500, "it was hardly asked");
  assert.ok(counted >= done.answered, `${counted} of ${done.answered} answered queries are in the record`);
  assert.ok(done.open <= defaultLimits.connectionsPerSource, `${done.open} connections`);
  assert.ok(done.refused > 0);
  assert.ok(peak <= memoryBound, `${peak} MB`);
  assert.equal(served.failed, 0, other.complaints);
  assert.ok(served.requests > 0 && served.p50 < 2_000, JSON.stringify(served));
  const leaked = (await lab.internet.dns.queries()).filter(({ name }) => name.toLowerCase().endsWith("evil.example"));
  assert.deepEqual(leaked, []);
});

test("the record of all of it verifies", async () => {
  assert.equal((await gateway.ask("logs verify")).code, 0);
});
