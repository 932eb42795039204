/**
 * T10, with real packets: who sends more than a source or its network may is dropped before the queue, counted by interface to
 * the last packet, and others are asked about as before. Needs root.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { addresses, type Lab, withLab } from "./testing/lab.ts";
import { ALLOW, withState } from "./mark.ts";
import { dnsRates, overChain } from "./rates.ts";
import { RuleCounters } from "./rule-counters.ts";
import { Ruleset } from "./ruleset.ts";
import { parseUdpDrops, udpDrops } from "./socket-drops.ts";

const ruleset = { inside: ["in0"], outside: "out0", queueBase: 210, queueCount: 1, dnsPort: 5300, masquerade: true };

function counted(lab: Lab, family: 4 | 6): number[] {
  return lab.inGateway(() => {
    const counters = new RuleCounters();
    try {
      return counters.read(family, "mangle", overChain);
    } finally {
      counters.close();
    }
  });
}

suite("the bounds on rates", { timeout: 120_000 }, () => {
  for (const v of [4, 6] as const) {
    test(`DNS datagrams beyond one source's are dropped and counted by interface, IPv${v}`, () =>
      withLab(async (lab) => {
        lab.inGateway(() => new Ruleset(ruleset).apply());
        lab.serveQueue(ruleset.queueBase, (queue, i) =>
          queue.verdict(queue.packetId(i), "accept", withState(queue.mark(i), ALLOW)),
        );
        const server = await lab.udp(lab.gateway, v, ruleset.dnsPort);
        let got = 0;
        server.on("message", () => got++);
        assert.deepEqual(counted(lab, v), [0, 0]);
        const client = await lab.udp(lab.client, v);
        const sent = 3 * dnsRates.ofSource;
        for (let i = 0; i < sent; i++) {
          await new Promise((resolve) => client.send("x", 53, addresses[v].server, resolve));
        }
        const lost = () => [...lab.inGateway(() => udpDrops(ruleset.dnsPort)).values()].reduce((a, b) => a + b, 0);
        for (let i = 0; i < 100 && got + counted(lab, v)[0]! + lost() < sent; i++) await sleep(50);
        const [over, elsewhere] = counted(lab, v) as [number, number];
        assert.equal(got + over + lost(), sent, `${got} arrived, ${over} over the bound, ${lost()} lost by the socket`);
        assert.ok(got + lost() >= dnsRates.ofSource, "a burst is not cut");
        assert.equal(elsewhere, 0);
        assert.deepEqual(counted(lab, v === 4 ? 6 : 4), [0, 0]);
      }));
  }

  test("no such chain: no counters", () => withLab(async (lab) => assert.deepEqual(counted(lab, 4), [])));
});

test("drops of sockets are read by port, and what is no such line is left out", () => {
  const drops = new Map<string, number>();
  const line = (local: string, count: string) =>
    `  1: ${local} 00000000:0000 07 00000000:00000000 00:00000000 00000000  0 0 1 2 0000 ${count}`;
  const text = ["  sl  local_address rem_address", line("0100007F:14B4", "7"), line("0100007F:0035", "9"), "nonsense"];
  parseUdpDrops([...text, line("0200007F:14B4", "x"), line("0200007F:14B4", "1")].join("\n"), 0x14b4, drops);
  assert.deepEqual(
    [...drops],
    [
      ["0100007F:14B4", 7],
      ["0200007F:14B4", 1],
    ],
  );
});
