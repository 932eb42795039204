/**
 * Promises about the kernel's flow table: a flow is found by either direction, marked within a mask, ended as that very
 * flow, and its end is told with its bytes. Real flows in network namespaces; needs root.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { until } from "../../test/support/until.ts";
import { run } from "./commands.ts";
import { Conntrack, ConntrackEvents, type Flow, type FlowEvent } from "./conntrack.ts";
import { addresses, address, datagram, type Lab, outcome, withLab } from "./testing/lab.ts";

/** Makes the gateway masquerade, so that the two directions of a flow differ. */
function masquerade(lab: Lab): Conntrack {
  for (const tool of ["iptables", "ip6tables"]) {
    run(tool, ["-t", "nat", "-A", "POSTROUTING", "-o", "out0", "-j", "MASQUERADE"], { namespace: lab.gateway });
  }
  const table = lab.inGateway(() => new Conntrack());
  lab.onClose(() => table.close());
  return table;
}

suite("conntrack", { timeout: 120_000 }, () => {
  for (const v of [4, 6] as const) {
    test(`a flow is listed with all it has, and found by either direction, IPv${v}`, () =>
      withLab(async (lab) => {
        const table = masquerade(lab);
        await lab.tcpServer(lab.server, v, 443);
        const client = lab.tcpClient(lab.client, addresses[v].server, 443);
        client.write("hello");
        assert.equal(await outcome(client), "hello");
        const flows = table.dump({ family: v });
        assert.equal(flows.length, 1);
        const flow = flows[0]!;
        assert.equal(flow.family, v);
        assert.equal(flow.protocol, 6);
        assert.equal(flow.tcpState, "ESTABLISHED");
        assert.equal(flow.original.source, address(addresses[v].client));
        assert.equal(flow.original.destination, address(addresses[v].server));
        assert.equal(flow.original.destinationPort, 443);
        assert.equal(flow.original.sourcePort, client.localPort);
        assert.equal(flow.reply.source, address(addresses[v].server));
        assert.equal(flow.reply.destination, address(addresses[v].outside));
        assert.ok(flow.timeout > 1000);
        // Seen reply, assured, confirmed, source NAT.
        assert.equal(flow.status & 0x1e, 0x1e);
        const overhead = v === 4 ? 52 : 72;
        assert.ok(flow.counters.original.packets >= 3);
        assert.ok(flow.counters.original.bytes >= 3 * overhead + 5);
        assert.ok(flow.counters.reply.bytes >= 2 * overhead + 5);
        assert.deepEqual(table.dump({ family: v === 4 ? 6 : 4 }), []);
        assert.equal(table.lookup(flow.original, "original")!.id, flow.id);
        assert.equal(table.lookup(flow.reply, "reply")!.id, flow.id);
        assert.equal(table.lookup({ ...flow.original, sourcePort: flow.original.sourcePort ^ 1 }, "original"), null);
      }));

    test(`many are looked up at once, each answered for itself, IPv${v}`, () =>
      withLab(async (lab) => {
        const table = masquerade(lab);
        const server = await lab.udp(lab.server, v, 7000);
        for (let i = 0; i < 5; i++) {
          (await lab.udp(lab.client, v)).send("x", 7000, addresses[v].server);
          await datagram(server);
        }
        const flows = table.dump({ family: v });
        // More than fit into one message, two of three unknown, and one of a protocol that the kernel tracks no ports of.
        const asked = Array.from({ length: 200 }, (_, i) => {
          const flow = flows[i % flows.length]!;
          return i % 3 === 0
            ? { flow, tuple: flow.original }
            : { flow: null, tuple: { ...flow.original, sourcePort: 1 + i } };
        });
        asked[100] = { flow: null, tuple: { ...flows[0]!.original, protocol: 255 } };
        const found = table.lookupAll(
          asked.map(({ tuple }) => tuple),
          "original",
        );
        const ids = found.map((each) => (each === null || each instanceof Error ? null : each.id));
        assert.deepEqual(
          ids,
          asked.map(({ flow }) => flow?.id ?? null),
        );
        assert.deepEqual(table.lookupAll([], "original"), []);
        assert.equal(table.lookup(flows[1]!.reply, "reply")!.id, flows[1]!.id);
      }));

    test(`a mark changes within its mask, and is what a dump can ask for, IPv${v}`, () =>
      withLab(async (lab) => {
        const table = masquerade(lab);
        const server = await lab.udp(lab.server, v, 7000);
        for (let i = 0; i < 3; i++) {
          const client = await lab.udp(lab.client, v);
          client.send("x", 7000, addresses[v].server);
          await datagram(server);
        }
        const [first, second] = table.dump({ family: v }) as [Flow, Flow];
        assert.equal(table.setMark(first, 0x20000005), true);
        assert.equal(table.setMark(first, 0x3fffffff, 0xf0000000, 77), true);
        const marked = table.lookup(first.original, "original")!;
        assert.equal(marked.mark, 0x30000005);
        assert.ok(marked.timeout > 70 && marked.timeout <= 77);
        const denied = table.dump({ mark: 0x30000000, mask: 0xf0000000 });
        assert.deepEqual(
          denied.map((flow) => flow.id),
          [first.id],
        );
        // Ending a flow by its number spares a later one with the same tuple.
        assert.equal(table.remove({ original: second.original, id: second.id ^ 1 }), false);
        assert.equal(table.dump({ family: v }).length, 3);
        assert.equal(table.remove(second), true);
        assert.equal(table.remove(second), false);
        assert.equal(table.setMark(second, 1), false);
        assert.equal(table.dump({ family: v }).length, 2);
      }));

    test(`the end of a flow is told with its bytes both ways, IPv${v}`, () =>
      withLab(async (lab) => {
        const table = masquerade(lab);
        const events = lab.inGateway(() => new ConntrackEvents(["destroy", "new"]));
        lab.onClose(() => events.close());
        const server = await lab.udp(lab.server, v, 7000);
        server.on("message", (_, from) => server.send(Buffer.alloc(1000), from.port, from.address));
        const client = await lab.udp(lab.client, v);
        client.send(Buffer.alloc(100), 7000, addresses[v].server);
        await datagram(client);
        const heard: [FlowEvent, Flow][] = [];
        const hear = () => events.receive((event, flow) => heard.push([event, flow]));
        assert.equal(hear(), true);
        assert.equal(table.remove(table.dump({ family: v })[0]!), true);
        await until(() => {
          assert.equal(hear(), true);
          return heard.length >= 2;
        }, 5_000);
        assert.deepEqual(
          heard.map(([event]) => event),
          ["new", "destroy"],
        );
        const [, ended] = heard[1]!;
        const header = v === 4 ? 28 : 48;
        assert.deepEqual(ended.counters, {
          original: { packets: 1, bytes: 100 + header },
          reply: { packets: 1, bytes: 1000 + header },
        });
        assert.equal(ended.original.destination, address(addresses[v].server));
      }));
  }

  test("a ping is a flow, too", () =>
    withLab(async (lab) => {
      const table = masquerade(lab);
      const ping = Buffer.from([8, 0, 0, 0, 0x12, 0x34, 0, 1]);
      ping.writeUInt16BE(~(0x0800 + 0x1234 + 1) & 0xffff, 2);
      const packet = Buffer.alloc(20);
      packet[0] = 0x45;
      packet.writeUInt16BE(28, 2);
      packet[8] = 64;
      packet[9] = 1;
      packet.set([192, 0, 2, 2, 198, 51, 100, 2], 12);
      lab.raw(lab.client).send(Buffer.concat([packet, ping]), address(addresses[4].server));
      const flow = await until(() => table.dump()[0], 5_000);
      assert.equal(flow!.protocol, 1);
      assert.equal(flow!.original.sourcePort, 0x1234);
      assert.equal(flow!.original.destinationPort, 8 * 256);
      assert.equal(table.lookup(flow!.original, "original")!.id, flow!.id);
      assert.equal(table.remove(flow!), true);
    }));

  test("events lost for want of room are reported, once, and the next ones are heard", () =>
    withLab(async (lab) => {
      const table = masquerade(lab);
      const events = lab.inGateway(() => new ConntrackEvents(["update"], 4096));
      lab.onClose(() => events.close());
      const server = await lab.udp(lab.server, 4, 7000);
      const client = await lab.udp(lab.client, 4);
      client.send("x", 7000, addresses[4].server);
      await datagram(server);
      const [flow] = table.dump();
      for (let i = 1; i <= 200; i++) table.setMark(flow!, i);
      let heard = 0;
      assert.equal(
        events.receive(() => heard++),
        false,
      );
      assert.ok(heard > 0 && heard < 200);
      assert.equal(events.overruns, 1);
      table.setMark(flow!, 1000);
      let last = 0;
      assert.equal(
        events.receive((_, changed) => (last = changed.mark)),
        true,
      );
      assert.equal(last, 1000);
    }));

  test("a question from inside its own answer is refused, not mixed up", () =>
    withLab(async (lab) => {
      const table = masquerade(lab);
      const client = await lab.udp(lab.client, 4);
      client.send("x", 7000, addresses[4].server);
      await until(() => table.dump().length > 0, 5_000);
      assert.throws(() => table.each({}, (flow) => table.remove(flow)), /own callback/);
    }));
});
