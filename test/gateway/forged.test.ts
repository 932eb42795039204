/**
 * Promise: a machine is not judged by the rules of another whose address it claims. What comes by an interface that no route
 * leads back to its source by is refused and recorded, DNS too, in both families. Scored at the far end.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { addWords, finish, pseudoHeader } from "../../src/wire/ip/checksum.ts";
import { address, flags, ip, protocols, send, tcp } from "../battery/tcp/raw.ts";
import { RunningGateway } from "./start.ts";

const policy = (mode: string) => `version: 1
sources:
  second: { subnets: [10.20.2.0/24, "fd20:2::/64"] }
rules:
  - { name: only the second, from: second, to: [203.0.113.91/32, "2001:db8:200::91/128"], ports: [9100], protocol: udp }
  - { name: its names, from: second, to: ["*.wild.example"] }
  - { name: its own web, from: second, to: [203.0.113.66/32], ports: [443], protocol: tcp }
${mode}
`;
let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "dig"]);
  lab = await Lab.create({ runners: 2 });
  // Some distributions turn on the kernel's own filter, which has no IPv6 and says nothing.
  for (const name of ["all", "default", lab.gateway.inside[0]!, lab.gateway.inside[1]!]) {
    await lab.gateway.exec("sysctl", ["-qw", `net.ipv4.conf.${name}.rp_filter=0`]);
  }
  gateway = await RunningGateway.start(lab, { policy: policy("default: { mode: enforce }") });
  await gateway.expect({ kind: "lifecycle", message: "started" }, "", 60_000);
});
after(() => lab?.close());

/** A UDP datagram with a right checksum, as the payload of `ip`. */
function udp(source: string, destination: string, port: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(40_000, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  const bytes = Buffer.concat([header, payload]);
  const sum = pseudoHeader(address(source), address(destination), protocols.udp, bytes.length);
  bytes.writeUInt16BE(finish(addWords(sum, bytes, 0, bytes.length)) || 0xffff, 6);
  return bytes;
}

function question(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  return Buffer.concat([Buffer.of(1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0), ...labels, Buffer.of(0, 0, 1, 0, 1)]);
}

const families = [
  { v: "IPv4", claimed: "10.20.2.77", server: "203.0.113.91", resolver: "203.0.113.53" },
  { v: "IPv6", claimed: "fd20:2::77", server: "2001:db8:200::91", resolver: "2001:db8:200::53" },
];

for (const { v, claimed, server, resolver } of families) {
  const datagram = (marker: string) =>
    ip(claimed, server, protocols.udp, udp(claimed, server, 9100, Buffer.from(marker)));
  const asks = (name: string) => ip(claimed, resolver, protocols.udp, udp(claimed, resolver, 53, question(name)));

  test(`${v}: a datagram in a neighbour's name is refused and recorded; the neighbour's own passes`, async () => {
    const since = gateway.mark;
    const [own, forged] = [lab.marker(), lab.marker()];
    send(lab.runner(2), server, datagram(own));
    assert.equal(await lab.sink.saw(own), true, "or the forged one would prove nothing");
    send(lab.runner(1), server, datagram(forged));
    const event = await gateway.expect({ reason: "forged_source", destination: { ip: server } }, since);
    assert.deepEqual([event.verdict, event.source?.ip], ["deny", claimed]);
    assert.equal(await lab.sink.saw(forged), false);
  });

  test(`${v}: a question in a neighbour's name is not asked upstream`, async () => {
    const since = gateway.mark;
    const [own, forged] = [`own${v.at(-1)}.wild.example`, `forged${v.at(-1)}.wild.example`];
    await lab.sink.clear();
    send(lab.runner(1), resolver, asks(forged));
    await gateway.expect({ reason: "forged_source", destination: { ip: resolver, port: 53 } }, since);
    send(lab.runner(2), resolver, asks(own));
    await gateway.expect({ kind: "dns", destination: { name: own } }, since);
    const asked = (await lab.internet.dns.queries()).map(({ name }) => name);
    assert.deepEqual([asked.includes(own), asked.includes(forged)], [true, false]);
  });
}

test("a SYN in a neighbour's name is refused without an answer to the neighbour", async () => {
  const since = gateway.mark;
  const [source, destination] = ["10.20.2.77", "203.0.113.66"];
  const segment = { source, destination, sourcePort: 40_001, destinationPort: 443, flags: flags.syn };
  send(lab.runner(1), destination, ip(source, destination, protocols.tcp, tcp(segment)));
  await gateway.expect({ reason: "forged_source", destination: { ip: destination, port: 443 } }, since);
});

test("addresses of the gateway and of the outside are nobody's inside", async () => {
  const since = gateway.mark;
  for (const source of ["10.20.1.1", "203.0.113.99", "192.0.2.1"]) {
    const payload = udp(source, "203.0.113.91", 9100, Buffer.from("x"));
    send(lab.runner(1), "203.0.113.91", ip(source, "203.0.113.91", protocols.udp, payload));
    await gateway.expect({ reason: "forged_source", source: { ip: source } }, since);
  }
});

test("where only one source is enforced, claiming a watched one does not help; where none is, it passes as it would", async () => {
  const [server, claimed] = ["203.0.113.91", "10.20.1.77"];
  const datagram = (marker: string) =>
    ip(claimed, server, protocols.udp, udp(claimed, server, 9100, Buffer.from(marker)));
  await gateway.replacePolicy(policy("default: { mode: monitor, enforce_for: [second] }"));
  const refused = lab.marker();
  send(lab.runner(2), server, datagram(refused));
  await gateway.expect({ reason: "forged_source", verdict: "deny", source: { ip: claimed } });
  assert.equal(await lab.sink.saw(refused), false);
  await gateway.replacePolicy(policy("default: { mode: monitor }"));
  const passed = lab.marker();
  send(lab.runner(2), server, datagram(passed));
  await gateway.expect({ reason: "forged_source", verdict: "would_deny", source: { ip: claimed } });
  assert.equal(await lab.sink.saw(passed), true);
});
