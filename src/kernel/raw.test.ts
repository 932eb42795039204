/**
 * Promise: a forged RST ends a connection on both sides, also where the gateway translates addresses; that is how a flow
 * that was refused, or that a new policy denies, is ended. Needs root.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import type net from "node:net";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../address/ip.ts";
import { run } from "./commands.ts";
import { RawSender } from "./raw.ts";
import { addresses, address, outcome, withLab } from "./testing/lab.ts";
import { tcpSegment } from "./testing/packets.ts";

const QUEUE = 300;

suite("raw packets", { timeout: 30_000 }, () => {
  for (const v of [4, 6] as const) {
    test(`a RST sent by the gateway reaches both ends of a masqueraded connection, IPv${v}`, () =>
      withLab(async (lab) => {
        const rules = [
          "*mangle",
          `-A FORWARD -p tcp --dport 443 -j NFQUEUE --queue-num ${QUEUE}`,
          "COMMIT",
          "*nat",
          "-A POSTROUTING -o out0 -j MASQUERADE",
          "COMMIT",
          "",
        ];
        const restore = v === 4 ? "iptables-restore" : "ip6tables-restore";
        run(restore, ["--noflush"], { namespace: lab.gateway, input: rules.join("\n") });
        let last = Buffer.alloc(0);
        lab.serveQueue(QUEUE, (queue, i) => {
          const at = queue.payloadOffset(i);
          last = Buffer.from(queue.bytes.subarray(at, at + queue.payloadLength(i)));
          queue.verdict(queue.packetId(i), "accept");
        });
        const server = await lab.tcpServer(lab.server, v, 443);
        const accepted = once(server, "connection") as Promise<[net.Socket]>;
        const client = lab.tcpClient(lab.client, addresses[v].server, 443);
        client.write("hello");
        assert.equal(await outcome(client), "hello");
        const [peer] = await accepted;
        assert.equal(peer.remoteAddress, addresses[v].outside);
        await sleep(100);
        // The client's last segment acknowledges the echo: sequence and acknowledgement are both current.
        const header = v === 4 ? 20 : 40;
        const port = last.readUInt16BE(header);
        const sequence = last.readUInt32BE(header + 4);
        const acknowledged = last.readUInt32BE(header + 8);
        const raw = lab.inGateway(() => new RawSender());
        lab.onClose(() => raw.close());
        const [inside, outside] = [address(addresses[v].client), address(addresses[v].server)];
        const ends = Promise.all([outcome(peer), outcome(client)]);
        assert.equal(raw.send(reset(inside, outside, port, 443, sequence), outside), true);
        assert.equal(raw.send(reset(outside, inside, 443, port, acknowledged), inside), true);
        assert.deepEqual(await ends, ["error ECONNRESET", "error ECONNRESET"]);
      }));
  }

  test("a packet with nowhere to go is refused without an exception", () =>
    withLab(async (lab) => {
      const raw = lab.inGateway(() => new RawSender());
      lab.onClose(() => raw.close());
      const [from, to] = [address(addresses[4].client), address("203.0.113.1")];
      assert.equal(raw.send(reset(from, to, 1, 2, 3), to), false);
      const six = address("2001:db8:ffff::1");
      assert.equal(raw.send(reset(address(addresses[6].client), six, 1, 2, 3), six), false);
    }));
});

const RST = 0x04;
const reset = (...ends: [source: Address, destination: Address, from: number, to: number, sequence: number]) =>
  tcpSegment(...ends, RST);
