/**
 * D7, T10: the resolver that the gateway asks falls silent. Who asks gets SERVFAIL in bounded time, refused names are refused as
 * fast as ever, names that are known go on working and so do live connections; a flood of questions that nobody answers
 * takes neither memory nor the other job's turn; and when the resolver is back, so are its answers.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { defaultLimits } from "../../src/dns/types.ts";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "../gateway/start.ts";
import {
  armAttacker,
  eventually,
  figures,
  flood,
  forgetPeak,
  memoryBound,
  memoryOf,
  OtherJob,
  statusOf,
} from "./support.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example, only.example, cdn.example] }
  - { name: wild, to: ["**.wild.example"] }
`;

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "iptables", "curl", "dig"]);
  lab = await Lab.create({ runners: 2 });
  gateway = await RunningGateway.start(lab, { policy });
  await armAttacker(lab);
});
after(() => lab?.close());

/** The resolver hears nothing any more, or again. */
function silence(isSilent: boolean): void {
  for (const protocol of ["udp", "tcp"]) {
    const rule = ["INPUT", "-p", protocol, "--dport", "53", "-j", "DROP"];
    const words = ["netns", "exec", `${lab.id}-internet`, "iptables", isSilent ? "-I" : "-D", ...rule];
    const { status, stderr } = spawnSync("ip", words, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }
}

test("a silent resolver costs those who need it an answer, and nobody anything else", async (t) => {
  const other = new OtherJob(lab.runner(2));
  await other.ready();
  const stream = lab.runner(2).spawn("curl", ["-sSN", "https://allowed.example/slow?seconds=120"]);
  await stream.waitFor(/^\.\./);
  const dig = async (name: string): Promise<{ ms: number; rcode: string }> => {
    const { stdout, ms } = await lab.runner(2).exec("dig", ["+tries=1", "+time=15", name]);
    return { ms: Math.round(ms), rcode: /status: (\w+)/.exec(stdout)?.[1] ?? "none" };
  };
  const { pid } = await statusOf(gateway);
  silence(true);
  const lonely = await dig("only.example");
  assert.equal(lonely.rcode, "SERVFAIL");
  // Three attempts.
  assert.ok(lonely.ms < 3 * defaultLimits.upstreamTimeout + 5_000, `${lonely.ms} ms`);

  forgetPeak(pid);
  other.since();
  const before = stream.stdout.length;
  let most = 0;
  const seen = await flood(
    lab,
    {
      kind: "dns",
      from: [lab.inside(1).runner.v4],
      to: ["203.0.113.53"],
      port: 53,
      rate: 2_000,
      seconds: 4,
      below: "wild.example",
      tag: "wait",
    },
    async () => {
      for (let i = 0; i < 10; i++) most = Math.max(most, (await statusOf(gateway)).dns.outstanding);
      const refused = await dig("evil.example");
      assert.equal(refused.rcode, "NXDOMAIN");
      assert.ok(refused.ms < 5_000, `a refused name took ${refused.ms} ms`);
    },
  );
  const served = other.since();
  const { peak } = memoryOf(pid);
  figures(t, { lonely, asked: seen.arrived, outstanding: most, memory: `at most ${peak} MB`, other: served });
  assert.ok(most > 10 && most <= defaultLimits.outstandingPerSource + 10, `${most} questions under way`);
  assert.ok(peak <= memoryBound, `${peak} MB`);
  assert.equal(served.failed, 0, other.complaints);
  assert.ok(served.requests > 0 && served.p50 < 2_000, JSON.stringify(served));
  assert.ok(stream.stdout.length > before, "the live connection stopped");

  silence(false);
  const idle = await eventually(
    async () => (await statusOf(gateway)).dns.outstanding,
    (count) => count < 5,
    20_000,
  );
  assert.ok(idle < 5, `${idle} questions are still under way`);
  const again = await eventually(
    () => dig("cdn.example"),
    ({ rcode }) => rcode === "NOERROR",
    20_000,
  );
  assert.equal(again.rcode, "NOERROR");
  assert.equal(
    (await lab.runner(2).exec("curl", ["-sS", "-o", "/dev/null", "--max-time", "20", "https://cdn.example/"])).code,
    0,
  );
  await gateway.expect({ kind: "dns", reason: "upstream_failed" });
  await other.stop();
  await stream.kill("SIGKILL");
});
