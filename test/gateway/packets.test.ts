/**
 * A budget: how many packets of a TLS connection come to user space. The design stands on it (ADR 0001): the SYN, the hello's
 * segments, and the first packet that acknowledges an answer; everything after is the kernel's, whatever the connection carries.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { RunningGateway } from "./start.ts";

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  lab = await Lab.create({ sink: false });
  gateway = await RunningGateway.start(lab, {
    policy: "version: 1\nrules:\n  - { name: web, to: [only.example] }\ndefault: { mode: enforce }\n",
  });
});
after(async () => {
  await gateway?.stop();
  await lab?.close();
});

/** Packets that came to user space for so many connections, one after the other, each of which downloads so much. */
async function packetsOf(connections: number, bytes: number): Promise<number> {
  const { packets } = (await gateway.status()).decisions;
  const urls = Array.from({ length: connections }, () => `https://only.example/bytes/${bytes}`);
  const quiet = urls.flatMap(() => ["-o", "/dev/null"]);
  // Over IPv4 and without kept connections: each URL is a connection of its own.
  const { code, stderr } = await lab
    .runner(1)
    .exec("curl", ["-4sS", "--http1.1", "-H", "Connection: close", ...quiet, ...urls], { timeoutMs: 120_000 });
  assert.equal(code, 0, stderr);
  return (await gateway.status()).decisions.packets - packets;
}

test("a TLS connection costs user space some packets, and not more when it carries more", async () => {
  const connections = 20;
  const short = (await packetsOf(connections, 10)) / connections;
  // Twice what they are: a machine that is busy sees some of them repeated.
  assert.ok(short >= 2, `${short} packets a connection: the hello was not judged`);
  assert.ok(short <= 12, `${short} packets a connection`);
  const long = (await packetsOf(connections, 2_000_000)) / connections;
  assert.ok(long <= 12, `${long} packets a connection of 2 MB, ${short} of a short one`);
});
