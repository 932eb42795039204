/**
 * Invariant 4: the disk of the state directory is full. Enforcement goes on as before, `status` is degraded and says why, what
 * happens meanwhile is kept in memory or counted, and when there is room again the record says how much is missing, and
 * verifies.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "../gateway/start.ts";
import {
  armAttacker,
  eventually,
  figures,
  flood,
  forgedV4,
  forgetPeak,
  isFull,
  memoryBound,
  memoryOf,
  OtherJob,
  statusOf,
} from "./support.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example, only.example] }
`;

let lab: Lab;
let gateway: RunningGateway;
let disk: string;
const unmount = () => void spawnSync("umount", ["-n", "-l", disk]);

before(async () => {
  requireTools(["ip", "iptables", "curl", "dig", "mount"]);
  lab = await Lab.create({ runners: 2 });
  disk = join(lab.gateway.home, "full");
  mkdirSync(disk);
  const mounted = spawnSync("mount", ["-n", "-t", "tmpfs", "-o", "size=96m,mode=700", "none", disk], {
    encoding: "utf8",
  });
  assert.equal(mounted.status, 0, mounted.stderr);
  process.once("exit", unmount);
  gateway = await RunningGateway.start(lab, { policy, state: "full" });
  await armAttacker(lab);
});
after(async () => {
  unmount();
  await lab?.close();
});

const ballast = () => join(disk, "ballast");

/** Writes until nothing more can be written. */
function fill(): void {
  for (let i = 0; i < 200; i++) {
    try {
      writeFileSync(ballast(), Buffer.alloc(1 << 20), { flag: "a" });
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
      return;
    }
  }
  assert.fail("the disk does not fill");
}

test("a full disk: enforcement goes on, status says it, and what is missing afterwards is recorded", async (t) => {
  const other = new OtherJob(lab.runner(2));
  await other.ready();
  const { pid } = await statusOf(gateway);
  const curl = (...args: string[]) =>
    lab.runner(2).exec("curl", ["-sS", "--max-time", "20", "-o", "/dev/null", "-4", ...args]);
  fill();
  const { mark } = gateway;
  const marker = lab.marker();
  assert.equal((await curl("-k", "--connect-to", "::203.0.113.66:443", `https://${marker}.example/`)).code, 7);
  const why = /the record cannot be written: .*ENOSPC/;
  const degraded = await eventually(
    () => statusOf(gateway),
    ({ problems }) => why.test(problems.join("\n")),
  );
  assert.equal(degraded.state, "degraded");
  assert.match(degraded.problems.join("\n"), why);
  const told = await gateway.ask("status");
  assert.equal(told.code, 1);
  assert.match(told.stdout, /^degraded since [^]*problem: the record cannot be written/);

  // More events than memory keeps for the disk: other sources, other destinations.
  forgetPeak(pid);
  other.since();
  const to = Array.from({ length: 2_000 }, (_, i) => `203.0.${100 + Math.floor(i / 200)}.${(i % 200) + 1}`);
  const from = forgedV4.addresses;
  const done = await flood(lab, { kind: "syn", from, to, port: 443, rate: 12_000, seconds: isFull ? 30 : 4 });
  // Memory holds some seconds of a flood's events; the long form goes beyond.
  const lossy = await eventually(
    () => statusOf(gateway),
    ({ record }) => record.lost > 0 || !isFull,
  );
  assert.equal(lossy.record.lost > 0, isFull);
  assert.ok(Date.parse(lossy.record.since!) <= Date.now());
  const cost = lossy.record.losing === 0 ? /no event is lost yet/ : /; since 20\S+Z, \d+ events are lost so far/;
  assert.match(lossy.problems.join("\n"), cost);
  assert.ok(lossy.record.buffered <= 20 << 20, `${lossy.record.buffered} bytes wait for the disk`);
  // A name that nobody has asked for yet. The flood's last events may still be on their way to the record.
  const allowed = await eventually(
    () => curl("https://only.example/"),
    ({ code }) => code === 0,
    40_000,
  );
  assert.equal(allowed.code, 0, `an allowed connection: ${allowed.stderr}`);
  assert.equal((await curl("https://203.0.113.66/")).code, 7, "a refused one");
  const served = other.since();
  const { peak } = memoryOf(pid);
  assert.equal(served.failed, 0, other.complaints);
  assert.ok(peak <= memoryBound, `${peak} MB`);

  rmSync(ballast());
  const well = await eventually(
    () => statusOf(gateway),
    ({ state }) => state === "enforcing",
    30_000,
  );
  assert.deepEqual(well.problems, []);
  await other.stop();
  const gap = await gateway.expect({ kind: "lifecycle", message: /could not be written for a while/ }, mark, 60_000);
  const lost = gap.data!["lost"] as number;
  const ofFlood = () =>
    gateway
      .recorded({ kind: "connection", verdict: "deny" }, mark)
      .filter(({ source }) => source === undefined || from.includes(source.ip))
      .reduce((sum, event) => sum + (event.count ?? 1), 0);
  const recorded = await eventually(ofFlood, (sum) => sum + lost >= done.arrived, 20_000);
  figures(t, { arrived: done.arrived, recorded, lost, memory: `at most ${peak} MB`, other: served });
  // What was lost are the flood's and the other job's events.
  assert.ok(recorded + lost >= done.arrived, `${recorded} + ${lost} of ${done.arrived}`);
  assert.ok(recorded <= done.arrived);
  assert.equal(gap.data!["lost"], (await statusOf(gateway)).record.lost);
  const verified = await gateway.ask("logs verify");
  assert.equal(verified.code, 0, verified.stderr);
  assert.deepEqual(await lab.sink.find(marker), []);
});
