/** Promises about who asked: it is looked for once for a socket's questions, and a flood costs no more than its share. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress } from "../address/ip.ts";
import type { FindOwner, FlowEnds } from "../flow/owner.ts";
import { noFacts } from "../process/facts.ts";
import { Askers } from "./askers.ts";

function scene(costMs = 0) {
  const asked: FlowEnds[] = [];
  const clock = { now: 1_000 };
  const find: FindOwner = (flow) => {
    asked.push({ ...flow });
    clock.now += costMs;
    return { process: noFacts, detail: { pid: asked.length } };
  };
  return { asked, clock, askers: new Askers(find, () => clock.now) };
}

const client = { address: "203.0.113.9", port: 40_000 };
const server = { address: "203.0.113.53", port: 53 };

test("a question is looked for as it was addressed", () => {
  const { asked, askers } = scene();
  assert.equal(askers.of("udp", client, server)?.pid, 1);
  askers.of("tcp", { address: "fe80::1%eth0", port: 5 }, { address: "fe80::2%eth0", port: 53 });
  const [udp, tcp] = asked.map(({ source, destination, ...rest }) => ({
    ...rest,
    from: formatAddress(source),
    to: formatAddress(destination),
  }));
  assert.deepEqual(udp, {
    from: client.address,
    to: server.address,
    sourcePort: 40_000,
    destinationPort: 53,
    transport: "udp",
    protocol: 17,
  });
  assert.equal(`${tcp?.from} ${tcp?.to} ${tcp?.protocol}`, "fe80::1 fe80::2 6");
});

test("the questions of one socket are looked for once; a while later it may be another's", () => {
  const { asked, clock, askers } = scene();
  for (let i = 0; i < 3; i++) assert.equal(askers.of("udp", client, server)?.pid, 1);
  assert.equal(askers.of("tcp", client, server)?.pid, 2, "another socket");
  assert.equal(askers.of("udp", client, { ...server, address: "203.0.113.54" })?.pid, 3, "not the same server");
  clock.now += 1_000;
  assert.equal(askers.of("udp", client, server)?.pid, 4);
  assert.equal(asked.length, 4);
});

test("a flood of sockets costs a fifth of the time, and what is over it is nobody's", () => {
  const { asked, clock, askers } = scene(5);
  const began = clock.now;
  let unknown = 0;
  for (let i = 0; i < 10_000; i++) {
    clock.now += 1;
    if (askers.of("udp", { address: "203.0.113.9", port: i + 1 }, server) === null) unknown++;
  }
  const spent = asked.length * 5;
  assert.ok(spent <= 0.2 * (clock.now - began) + 110, `${spent} ms of ${clock.now - began}`);
  assert.ok(unknown > 5_000);
  clock.now += 1_000;
  assert.notEqual(askers.of("udp", { address: "203.0.113.9", port: 20_000 }, server), null, "it goes on afterwards");
});
