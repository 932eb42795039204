/**
 * N2, N9 in the kernel: of a QUIC flow that was let go, the datagrams that begin no connection pass unasked and all others are
 * asked about, whatever way they are written; what is refused is refused alone. Needs root.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conntrack } from "./conntrack.ts";
import * as libc from "./libc.ts";
import { ALLOW, DENY, isAllowed, QUIC, stateOf, withState } from "./mark.ts";
import { inNamespace } from "./namespace.ts";
import { Ruleset, type RulesetOptions } from "./ruleset.ts";
import { anyAddress, listenUdp, socketAddress } from "./sockets.ts";
import { address, addresses, datagram, type Lab, withLab } from "./testing/lab.ts";

const options: RulesetOptions = {
  inside: ["in0"],
  outside: "out0",
  queueBase: 210,
  queueCount: 1,
  dnsPort: 5300,
  masquerade: true,
};

const long = Buffer.from(`\xc0long header`, "latin1");
const short = Buffer.from(`\x40short header`, "latin1");

/** Every datagram that is asked about, with the state it came with, is let go as a QUIC flow's, unless it says `evil`. */
function enforce(lab: Lab, passQuicData: boolean): { size: number; state: number }[] {
  lab.inGateway(() => new Ruleset({ ...options, passQuicData }).apply());
  const asked: { size: number; state: number }[] = [];
  lab.serveQueue(options.queueBase, (queue, i) => {
    const at = queue.payloadOffset(i);
    const packet = Buffer.from(queue.bytes.subarray(at, at + queue.payloadLength(i)));
    asked.push({ size: packet.length - (packet[0]! >> 4 === 4 ? 28 : 48), state: stateOf(queue.mark(i)) });
    const state = packet.includes("evil") ? DENY : QUIC;
    queue.verdict(queue.packetId(i), "accept", withState(queue.mark(i), state));
  });
  return asked;
}

function marks(lab: Lab): number[] {
  const table = lab.inGateway(() => new Conntrack());
  try {
    return table.dump().flatMap((flow) => (flow.original.destinationPort === 443 ? [stateOf(flow.mark)] : []));
  } finally {
    table.close();
  }
}

/** UDP_SEGMENT (udp(7)): what is sent at once leaves as datagrams of this size, cut as late as the kernel can. */
function segmented(lab: Lab, v: 4 | 6, size: number): (bytes: Buffer) => void {
  const fd = inNamespace(lab.client, () => listenUdp(anyAddress(v), 0));
  lab.onClose(() => libc.close(fd));
  libc.setsockopt(fd, 17, 103, size);
  const to = socketAddress(address(addresses[v].server), 443);
  return (bytes) => assert.equal(libc.sendto(fd, bytes, bytes.length, 0, to), bytes.length);
}

test("ALLOW and QUIC, and no other state, are allowed", () => {
  const states = Array.from({ length: 16 }, (_, i) => (i << 28) >>> 0);
  assert.deepEqual(states.filter(isAllowed), [ALLOW, QUIC]);
});

suite("a QUIC flow", { timeout: 240_000 }, () => {
  for (const v of [4, 6] as const) {
    test(`is the kernel's but for long headers, and the refusal of one leaves its mark, IPv${v}`, () =>
      withLab(async (lab) => {
        const asked = enforce(lab, true);
        const server = await lab.udp(lab.server, v, 443);
        const got: string[] = [];
        server.on("message", (bytes) => got.push(bytes.toString("latin1")));
        const client = await lab.udp(lab.client, v);
        const say = async (bytes: Buffer) => {
          const before = got.length;
          client.send(bytes, 443, addresses[v].server);
          for (let i = 0; i < 100 && got.length === before; i++) await sleep(2);
          return got.length > before;
        };
        assert.equal(await say(long), true);
        for (let i = 0; i < 5; i++) assert.equal(await say(short), true);
        assert.equal(await say(Buffer.alloc(1400, 0x41)), true);
        assert.deepEqual(asked, [{ size: long.length, state: 0 }], "short headers are not asked about");
        assert.equal(await say(long), true);
        assert.equal(await say(Buffer.concat([long, Buffer.from("evil")])), false);
        assert.equal(await say(short), true, "and the flow goes on");
        assert.equal(await say(Buffer.alloc(0)), true);
        assert.deepEqual(
          asked.slice(1).map(({ size, state }) => [size, state]),
          [
            [long.length, QUIC],
            [long.length + 4, QUIC],
            [0, QUIC],
          ],
        );
        assert.deepEqual(marks(lab), [QUIC]);
      }));

    test(`several datagrams in one piece are asked about where one of them could be an Initial, IPv${v}`, () =>
      withLab(async (lab) => {
        const asked = enforce(lab, true);
        const server = await lab.udp(lab.server, v, 443);
        const sizes: number[] = [];
        server.on("message", (bytes) => sizes.push(bytes.length));
        const send = segmented(lab, v, 1200);
        send(Buffer.concat([long, Buffer.alloc(100)]));
        for (let i = 0; i < 200 && sizes.length < 1; i++) await sleep(5);
        // A short header in front, and a long one that is a datagram of its own once the piece is cut.
        send(Buffer.concat([Buffer.alloc(1200, 0x41), long, Buffer.alloc(1200 - long.length)]));
        for (let i = 0; i < 200 && sizes.length < 3; i++) await sleep(5);
        assert.deepEqual(sizes.slice(1), [1200, 1200], "it really was cut on the way");
        assert.deepEqual(asked.slice(1), [{ size: 2400, state: QUIC }], "and was seen before");
      }));

    test(`without the match everything is asked about, IPv${v}`, () =>
      withLab(async (lab) => {
        const asked = enforce(lab, false);
        const server = await lab.udp(lab.server, v, 443);
        const client = await lab.udp(lab.client, v);
        for (const each of [long, short, short]) {
          client.send(each, 443, addresses[v].server);
          assert.equal(await datagram(server), each.toString("latin1"));
        }
        assert.equal(asked.length, 3);
      }));
  }
});
