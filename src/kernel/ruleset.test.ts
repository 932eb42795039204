/**
 * Promises of the ruleset, with real traffic between namespaces: nothing passes without a verdict, a verdict takes effect
 * for the packet and its flow, refusals are told at once, DNS goes nowhere but to us. Needs root.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { until } from "../../test/support/until.ts";
import { addressToBytes } from "../address/ip.ts";
import { run } from "./commands.ts";
import { Conntrack } from "./conntrack.ts";
import { ALLOW, BACK, DENY, DNS, INVALID, LOCAL, PENDING, stateOf, withState } from "./mark.ts";
import { Ruleset } from "./ruleset.ts";
import { addresses, address, datagram, type Lab, outcome, withLab } from "./testing/lab.ts";
import { checksum, icmpError, tcpPacket } from "./testing/packets.ts";
import { rulesetOptions as options } from "./testing/ruleset-options.ts";

/** What the test's user space sees of a queued packet, and the state it answers with. */
interface Seen {
  mark: number;
  port: number;
  protocol: number;
  payload: string;
}

/** Applies the ruleset and answers queued packets; returns the packets seen. */
function enforce(lab: Lab, decide: (packet: Seen) => number): Seen[] {
  lab.inGateway(() => new Ruleset(options).apply());
  const seen: Seen[] = [];
  lab.serveQueue(options.queueBase, (queue, i) => {
    const at = queue.payloadOffset(i);
    const packet = Buffer.from(queue.bytes.subarray(at, at + queue.payloadLength(i)));
    const v4 = packet[0]! >> 4 === 4;
    const header = v4 ? (packet[0]! & 15) * 4 : 40;
    const protocol = packet[v4 ? 9 : 6]!;
    const data = protocol === 6 ? header + (packet[header + 12]! >> 4) * 4 : header + 8;
    const record = {
      mark: queue.mark(i),
      port: packet.length >= header + 4 ? packet.readUInt16BE(header + 2) : 0,
      protocol,
      payload: packet.toString("latin1", data),
    };
    seen.push(record);
    queue.verdict(queue.packetId(i), "accept", withState(queue.mark(i), decide(record)));
  });
  return seen;
}

/** Waits for packets that must come, and then a moment for those that must not. */
async function settled(come: () => boolean): Promise<void> {
  await until(come, 5_000);
  await sleep(100);
}

function flows(lab: Lab) {
  const table = lab.inGateway(() => new Conntrack());
  try {
    return table.dump();
  } finally {
    table.close();
  }
}

suite("the ruleset", { timeout: 240_000 }, () => {
  for (const v of [4, 6] as const) {
    test(`fails closed: with nobody to ask, no TCP or UDP passes or reaches the gateway, IPv${v}`, () =>
      withLab(async (lab) => {
        await lab.tcpServer(lab.server, v, 443);
        await lab.tcpServer(lab.gateway, v, 22);
        const server = await lab.udp(lab.server, v, 7000);
        const client = await lab.udp(lab.client, v);
        lab.inGateway(() => new Ruleset(options).apply());
        client.send("secret", 7000, addresses[v].server);
        const outside = lab.tcpClient(lab.client, addresses[v].server, 443);
        const local = lab.tcpClient(lab.client, addresses[v].gateway, 22);
        outside.write("secret");
        local.write("secret");
        const results = await Promise.all([datagram(server, 300), outcome(outside, 300), outcome(local, 300)]);
        assert.deepEqual(results, ["timeout", "timeout", "timeout"]);
      }));

    test(`an allowed flow passes, masqueraded, and is not asked about again, IPv${v}`, () =>
      withLab(async (lab) => {
        const seen = enforce(lab, () => ALLOW);
        let peer = "";
        const server = await lab.tcpServer(lab.server, v, 443);
        server.on("connection", (socket) => (peer = socket.remoteAddress!));
        const client = lab.tcpClient(lab.client, addresses[v].server, 443);
        for (let i = 0; i < 20; i++) {
          client.write(`turn ${i}`);
          assert.equal(await outcome(client), `turn ${i}`);
        }
        assert.equal(peer, addresses[v].outside);
        assert.equal(seen.length, 1);
        const udp = await lab.udp(lab.server, v, 7000);
        const sender = await lab.udp(lab.client, v);
        for (let i = 0; i < 5; i++) {
          sender.send("x", 7000, addresses[v].server);
          assert.equal(await datagram(udp), "x");
        }
        assert.equal(seen.length, 2);
        assert.deepEqual(
          flows(lab).map((flow) => stateOf(flow.mark)),
          [ALLOW, ALLOW],
        );
      }));

    test(`a refused SYN is answered with a RST at once, IPv${v}`, () =>
      withLab(async (lab) => {
        enforce(lab, () => DENY);
        await lab.tcpServer(lab.server, v, 443);
        const start = performance.now();
        const outside = lab.tcpClient(lab.client, addresses[v].server, 443);
        const local = lab.tcpClient(lab.client, addresses[v].gateway, 22);
        assert.equal(await outcome(outside), "error ECONNREFUSED");
        assert.equal(await outcome(local), "error ECONNREFUSED");
        // A client that heard nothing asks again after a second, and is answered then.
        assert.ok(performance.now() - start < 900);
      }));

    test(`refused UDP is answered with ICMP administratively prohibited, IPv${v}`, () =>
      withLab(async (lab) => {
        enforce(lab, () => DENY);
        const client = await lab.udp(lab.client, v);
        const { promise, resolve } = Promise.withResolvers<string>();
        client.on("error", (error: NodeJS.ErrnoException) => resolve(error.code!));
        client.connect(443, addresses[v].server, () => client.send("quic"));
        // RFC 1122 and RFC 4443 errors as Linux reports them to a connected socket.
        const code = await Promise.race([promise, sleep(1000, "timeout")]);
        assert.equal(code, v === 4 ? "EHOSTUNREACH" : "EACCES");
      }));

    test(`a pending flow's first bytes decide it: refused ones never leave, and the client hears, IPv${v}`, () =>
      withLab(async (lab) => {
        const seen = enforce(lab, (packet) =>
          packet.payload.includes("bad") ? DENY : packet.payload.includes("good") ? ALLOW : PENDING,
        );
        let received = "";
        const server = await lab.tcpServer(lab.server, v, 443, (chunk) => {
          received += chunk.toString();
          return chunk;
        });
        const good = lab.tcpClient(lab.client, addresses[v].server, 443);
        good.write("good hello");
        assert.equal(await outcome(good), "good hello");
        const { promise, resolve } = Promise.withResolvers<void>();
        server.once("connection", () => resolve());
        const bad = lab.tcpClient(lab.client, addresses[v].server, 443);
        await promise;
        bad.write("bad hello");
        assert.equal(await outcome(bad), "error ECONNRESET");
        assert.equal(received, "good hello");
        assert.equal(seen.filter((packet) => stateOf(packet.mark) === PENDING).length > 0, true);
        assert.equal(
          seen.some((packet) => stateOf(packet.mark) === ALLOW),
          false,
        );
        assert.deepEqual(new Set(flows(lab).map((flow) => stateOf(flow.mark))), new Set([ALLOW, DENY]));
      }));

    test(`what the far end still sends on a refused flow is asked about as coming back, IPv${v}`, () =>
      withLab(async (lab) => {
        const seen = enforce(lab, (packet) =>
          (packet.mark & BACK) !== 0 || packet.payload.includes("bad") ? DENY : PENDING,
        );
        let ended = "";
        const server = await lab.tcpServer(lab.server, v, 443);
        const connected = new Promise<void>((resolve) => {
          server.on("connection", (socket) => {
            socket.on("error", (error: NodeJS.ErrnoException) => (ended = error.code!));
            setTimeout(() => socket.write("server speaks"), 200);
            resolve();
          });
        });
        const bad = lab.tcpClient(lab.client, addresses[v].server, 443);
        await connected;
        bad.write("bad hello");
        assert.equal(await outcome(bad), "error ECONNRESET");
        await settled(() => ended !== "");
        const back = seen.filter((packet) => (packet.mark & BACK) !== 0);
        assert.ok(back.length > 0);
        assert.equal(back[0]!.payload, "server speaks");
        assert.equal(ended, "ECONNRESET");
      }));

    test(`DNS to any server comes to us, and conntrack knows where it wanted to go, IPv${v}`, () =>
      withLab(async (lab) => {
        const seen = enforce(lab, () => DENY);
        const elsewhere = await lab.udp(lab.server, v, 53);
        const table = lab.inGateway(() => new Conntrack());
        lab.onClose(() => table.close());
        const gateway = address(addresses[v].gateway);
        const ours = await lab.udp(lab.gateway, v, options.dnsPort, gateway);
        ours.on("message", (_, from) => {
          const asked = { source: gateway, sourcePort: options.dnsPort, destination: address(from.address) };
          const flow = table.lookup({ ...asked, protocol: 17, destinationPort: from.port }, "reply");
          assert.equal(stateOf(flow!.mark), DNS);
          ours.send(`wanted ${flow!.original.destination === address(addresses[v].server)}`, from.port, from.address);
        });
        const client = await lab.udp(lab.client, v);
        client.send("question", 53, addresses[v].server);
        assert.equal(await datagram(client), "wanted true");
        assert.equal(await datagram(elsewhere, 100), "timeout");

        const server = await lab.tcpServer(lab.gateway, v, options.dnsPort, () => Buffer.from("tcp answer"));
        let wanted = false;
        server.on("connection", (socket) => {
          const flow = table.lookup(
            {
              protocol: 6,
              source: gateway,
              sourcePort: options.dnsPort,
              destination: address(socket.remoteAddress!),
              destinationPort: socket.remotePort!,
            },
            "reply",
          );
          wanted = flow!.original.destination === address(addresses[v].server) && flow!.original.destinationPort === 53;
        });
        const tcp = lab.tcpClient(lab.client, addresses[v].server, 53);
        tcp.write("question");
        assert.equal(await outcome(tcp), "tcp answer");
        assert.equal(wanted, true);
        assert.equal(seen.length, 0);
        // Sent straight to its port, not by way of 53: judged like any other.
        const direct = lab.tcpClient(lab.client, addresses[v].gateway, options.dnsPort);
        assert.equal(await outcome(direct), "error ECONNREFUSED");
        assert.equal(seen[0]!.mark & LOCAL, LOCAL);
      }));

    test(`without the redirection DNS is not forwarded either, IPv${v}`, () =>
      withLab(async (lab) => {
        enforce(lab, () => ALLOW);
        run(v === 4 ? "iptables" : "ip6tables", ["-t", "nat", "-F", "SALLYPORT-DNS"], { namespace: lab.gateway });
        const elsewhere = await lab.udp(lab.server, v, 53);
        const client = await lab.udp(lab.client, v);
        client.send("question", 53, addresses[v].server);
        assert.equal(await datagram(elsewhere, 200), "timeout");
      }));

    test(`nothing from the outside reaches the inside unasked, IPv${v}`, () =>
      withLab(async (lab) => {
        enforce(lab, () => ALLOW);
        await lab.tcpServer(lab.client, v, 8080);
        const intruder = lab.tcpClient(lab.server, addresses[v].client, 8080);
        intruder.write("hello");
        assert.equal(await outcome(intruder, 300), "timeout");
      }));

    test(`the gateway's own connections to the inside work without asking, IPv${v}`, () =>
      withLab(async (lab) => {
        const seen = enforce(lab, () => DENY);
        await lab.tcpServer(lab.client, v, 22);
        const socket = lab.tcpClient(lab.gateway, addresses[v].client, 22);
        socket.write("hello");
        assert.equal(await outcome(socket), "hello");
        assert.equal(seen.length, 0);
      }));

    test(`a mark set before us counts for nothing, and a SYN is asked about though its flow is allowed, IPv${v}`, () =>
      withLab(async (lab) => {
        const rules = ["*mangle", "-A PREROUTING -j MARK --set-mark 0x2f000001", "COMMIT", ""];
        const restore = v === 4 ? "iptables-restore" : "ip6tables-restore";
        run(restore, ["--noflush"], { namespace: lab.gateway, input: rules.join("\n").replace("mangle", "raw") });
        const seen = enforce(lab, () => ALLOW);
        await lab.tcpServer(lab.server, v, 443);
        const client = lab.tcpClient(lab.client, addresses[v].server, 443);
        client.write("hello");
        assert.equal(await outcome(client), "hello");
        assert.deepEqual(
          seen.map((packet) => packet.mark),
          [1],
        );
        const [flow] = flows(lab).filter((entry) => entry.original.destinationPort === 443);
        assert.equal(stateOf(flow!.mark), ALLOW);
        const raw = lab.raw(lab.client);
        raw.send(tcpPacket(v, flow!.original.sourcePort, 443, 0x02), address(addresses[v].server));
        await settled(() => seen.length >= 2);
        assert.equal(seen.length, 2);
        // A packet out of the window is INVALID to conntrack and does not ride on the flow's mark.
        raw.send(tcpPacket(v, flow!.original.sourcePort, 443, 0x04), address(addresses[v].server));
        await settled(() => seen.length >= 3);
        assert.equal(seen.length, 3);
        assert.equal(seen[2]!.mark & INVALID, INVALID);
      }));
  }

  test("neighbour discovery works unasked, but not as a way out with hop limit 255", () =>
    withLab(async (lab) => {
      const seen = enforce(lab, () => DENY);
      run("ip", ["-n", lab.client, "-6", "neigh", "flush", "dev", "in0"]);
      const client = lab.tcpClient(lab.client, addresses[6].server, 443);
      assert.equal(await outcome(client), "error ECONNREFUSED");
      assert.equal(
        seen.some((packet) => packet.protocol === 58),
        false,
      );
      const solicitation = Buffer.alloc(40 + 24);
      solicitation[0] = 0x60;
      solicitation.writeUInt16BE(24, 4);
      solicitation[6] = 58;
      solicitation[7] = 255;
      solicitation.set(addressToBytes(address(addresses[6].client)), 8);
      solicitation.set(addressToBytes(address(addresses[6].server)), 24);
      solicitation[40] = 135;
      solicitation.set(addressToBytes(address(addresses[6].server)), 48);
      solicitation.writeUInt16BE(checksum(solicitation, 8, 58 + 24), 42);
      lab.raw(lab.client).send(solicitation, address(addresses[6].server));
      await settled(() => seen.some((packet) => packet.protocol === 58));
      assert.equal(seen.filter((packet) => packet.protocol === 58).length, 1);
    }));

  test("an ICMP error about an allowed flow is asked about, unless it is small and for path MTU discovery", () =>
    withLab(async (lab) => {
      const seen = enforce(lab, (packet) => (packet.protocol === 1 ? DENY : ALLOW));
      const server = await lab.udp(lab.server, 4, 7000);
      const client = await lab.udp(lab.client, 4);
      client.send("x", 7000, addresses[4].server);
      await datagram(server);
      const { port } = client.address();
      const raw = lab.raw(lab.client);
      const before = seen.length;
      raw.send(icmpError(port, 3, 4, 0), address(addresses[4].server));
      await sleep(100);
      assert.equal(seen.length, before);
      raw.send(icmpError(port, 3, 4, 1300), address(addresses[4].server));
      raw.send(icmpError(port, 3, 1, 0), address(addresses[4].server));
      await settled(() => seen.length >= before + 2);
      assert.equal(seen.length, before + 2);
      raw.send(icmpError(port, 3, 3, 0), address(addresses[4].server));
      await settled(() => seen.length >= before + 3);
      assert.equal(seen.map(({ mark }) => stateOf(mark) === ALLOW).lastIndexOf(true), before + 2);
      // And the refusal of the error is not a refusal of the flow.
      assert.equal(stateOf(flows(lab).find((flow) => flow.original.destinationPort === 7000)!.mark), ALLOW);
    }));

  test("applying again under traffic loses nothing and lets nothing through", () =>
    withLab(async (lab) => {
      enforce(lab, (packet) => (packet.port === 7000 ? ALLOW : DENY));
      const server = await lab.udp(lab.server, 4, 7000);
      const forbidden = await lab.udp(lab.server, 4, 7001);
      let got = 0;
      let leaked = 0;
      server.on("message", () => got++);
      forbidden.on("message", () => leaked++);
      const client = await lab.udp(lab.client, 4);
      const worker = new Worker(new URL("testing/reapply.ts", import.meta.url), {
        workerData: { namespace: lab.gateway, options, times: 8 },
      });
      const applied: { states?: unknown } = {};
      worker.once("message", (message) => (applied.states = message));
      let sent = 0;
      while (applied.states === undefined) {
        for (let i = 0; i < 5; i++) {
          client.send("yes", 7000, addresses[4].server);
          client.send("no", 7001, addresses[4].server);
          sent++;
        }
        await sleep(1);
      }
      await settled(() => got >= sent);
      assert.deepEqual(applied.states, Array(8).fill("present"));
      assert.ok(sent > 100);
      assert.equal(got, sent);
      assert.equal(leaked, 0);
    }));
});
