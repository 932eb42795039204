/**
 * T10, N6: one job opens connections to an allowed name by the ten thousand, sends the first half of a ClientHello on each, and
 * falls silent. What waits is bounded; over the bound the record says `over_limit`; none of the halves ever leaves; the other
 * job's hellos are read and allowed meanwhile; after the time for a hello nothing is left.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { limits } from "../../src/flow/limits.ts";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "../gateway/start.ts";
import {
  eventually,
  figures,
  forgetPeak,
  isFull,
  memoryBound,
  memoryOf,
  OtherJob,
  program,
  shell,
  statusOf,
} from "./support.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example] }
`;
const count = isFull ? 100_000 : 16_000;
const seconds = isFull ? 130 : 15;

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "curl", "dig"]);
  lab = await Lab.create({ runners: 2 });
  gateway = await RunningGateway.start(lab, { policy });
});
after(() => lab?.close());

test(`up to ${count} half hellos: what waits is bounded, none leaves, the other job is served`, async (t) => {
  const [attacker, marker] = [lab.runner(1), lab.marker()];
  await shell(attacker, "echo 1024 65000 > /proc/sys/net/ipv4/ip_local_port_range");
  await attacker.exec("dig", ["allowed.example"]);
  const other = new OtherJob(lab.runner(2));
  await other.ready();
  const { pid } = await statusOf(gateway);
  forgetPeak(pid);
  const quiet = memoryOf(pid);
  const { mark } = gateway;
  other.since();
  // A handshake record of 512 bytes that says it holds a ClientHello, and then only the marker.
  const half = Buffer.concat([Buffer.from("1603010200010001fc0303", "hex"), Buffer.from(marker)]);
  const hellos = attacker.spawn(process.execPath, [
    ...["--no-warnings", program("half-hellos.ts")],
    ...["203.0.113.10", "443", String(count), isFull ? "4000" : "500", String(seconds), half.toString("hex")],
  ]);
  await hellos.waitFor(/started/);
  let [undecided, bytes, waiting] = [0, 0, 0];
  while (hellos.child.exitCode === null) {
    const status = await statusOf(gateway);
    undecided = Math.max(undecided, status.flows.undecided);
    bytes = Math.max(bytes, status.data_path.pendingBytes);
    const queues = await shell(lab.gateway, "cat /proc/net/netfilter/nfnetlink_queue");
    const held = queues
      .trim()
      .split("\n")
      .reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2]), 0);
    waiting = Math.max(waiting, held);
  }
  const { stdout, stderr } = await hellos.exited;
  const done = JSON.parse(stdout.trim().split("\n").at(-1)!) as {
    begun: number;
    sent: number;
    ended: number;
    open: number;
  };
  const served = other.since();
  const { peak } = memoryOf(pid);
  const refused = gateway
    .recorded({ verdict: "deny", reason: "over_limit" }, mark)
    .reduce((sum, event) => sum + (event.count ?? 1), 0);
  figures(t, {
    ...done,
    undecided,
    waiting,
    bytes,
    refused,
    memory: `${quiet.now} MB, at most ${peak} MB`,
    other: served,
  });
  assert.ok(done.begun > 2_000, `only ${done.begun} were begun: ${stderr}`);
  assert.ok(done.sent > 1_000, "too few got as far as their hello");
  // Held ones and those that nobody has looked at yet.
  assert.ok(waiting <= limits.held, `${waiting} packets wait`);
  assert.ok(bytes <= limits.bytes / 5 + 100_000, `${bytes} bytes are kept`);
  assert.ok(undecided <= limits.flows / 3 + 100, `${undecided} flows are undecided`);
  assert.ok(refused > 0, "nothing was refused for being too much");
  assert.ok(peak <= memoryBound, `${peak} MB`);
  assert.equal(served.failed, 0, `the other job could not connect: ${other.complaints}`);
  assert.ok(served.requests > 0 && served.p50 < 2_000, JSON.stringify(served));
  await other.stop();
  // Those whose SYN was repeated are given longest.
  const left = await eventually(
    async () => (await statusOf(gateway)).flows.undecided,
    (flows) => flows < 10,
    limits.handshakeMs + 15_000,
  );
  assert.ok(left < 10, `${left} flows are left undecided`);
  assert.deepEqual(await lab.sink.find(marker), [], "half a hello got through");
  await gateway.expect({ verdict: "deny", reason: "timeout" }, mark);
});
