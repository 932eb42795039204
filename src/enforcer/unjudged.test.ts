/**
 * Invariant 4, with real fragments: a datagram that the kernel gives up before anybody could judge it is counted in the record,
 * once, and what was lost before we looked is not ours. Needs root.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { addressToBytes } from "../address/ip.ts";
import type { EventBody } from "../audit/event.ts";
import { inNamespace } from "../kernel/namespace.ts";
import { parseReassemblyFailures } from "../kernel/reassembly.ts";
import { RawSender } from "../kernel/raw.ts";
import { writeSysctl } from "../kernel/sysctl.ts";
import { Ruleset } from "../kernel/ruleset.ts";
import { address, addresses, type Lab, withLab } from "../kernel/testing/lab.ts";
import { Unjudged } from "./unjudged.ts";

const place = { inside: ["in0"], queueBase: 220, queues: 1, dnsPorts: [5300], dropsUnmarked: null };
const ruleset = { inside: ["in0"], outside: "out0", queueBase: 220, queueCount: 1, dnsPort: 5300, masquerade: true };
let ids = 100;

/** Fragments of one datagram of UDP: at these offsets, in units of eight bytes, 32 bytes each. */
function sendFragments(lab: Lab, v: 4 | 6, parts: readonly { offset: number; more: boolean }[]): void {
  const id = ++ids;
  const to = address(addresses[v].server);
  const ends = [address(addresses[v].client), to].map(addressToBytes);
  inNamespace(lab.client, () => {
    const sender = new RawSender();
    for (const { offset, more } of parts) {
      const header = Buffer.alloc(v === 4 ? 12 : 8);
      const extension = Buffer.alloc(v === 4 ? 0 : 8);
      if (v === 4) {
        header.set([0x45, 0, 0, 52]);
        header.writeUInt16BE(id, 4);
        header.writeUInt16BE((more ? 0x2000 : 0) | offset, 6);
        header.set([64, 17], 8);
      } else {
        // RFC 8200 section 4.5: the fragment header.
        header.set([0x60, 0, 0, 0, 0, 40, 44, 64]);
        extension[0] = 17;
        extension.writeUInt16BE((offset << 3) | (more ? 1 : 0), 2);
        extension.writeUInt32BE(id, 4);
      }
      sender.send(Buffer.concat([header, ...ends, extension, Buffer.alloc(32, id)]), to);
    }
    sender.close();
  });
}

/** Looks until something was counted, or ten seconds long. */
async function looked(lab: Lab, unjudged: Unjudged): Promise<EventBody[]> {
  for (let i = 0; i < 100; i++) {
    const events = lab.inGateway(() => unjudged.look(Date.now()));
    if (events.length > 0) return events;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return [];
}

suite("fragments that make no datagram are counted", { timeout: 120_000 }, () => {
  const lone = [{ offset: 4, more: false }];
  const overlapping = [
    { offset: 0, more: true },
    { offset: 3, more: false },
  ];

  test("T6: overlapping ones, but not those of before", () =>
    withLab(async (lab) => {
      lab.inGateway(() => new Ruleset(ruleset).apply());
      sendFragments(lab, 4, overlapping);
      const unjudged = lab.inGateway(() => new Unjudged(place));
      try {
        assert.deepEqual(
          lab.inGateway(() => unjudged.look(Date.now())),
          [],
        );
        sendFragments(lab, 4, overlapping);
        sendFragments(lab, 4, overlapping);
        const events = await looked(lab, unjudged);
        assert.equal(events.length, 1);
        const { kind, verdict, enforced, reason, count, data, source, destination } = events[0]!;
        assert.deepEqual(
          { kind, verdict, enforced, reason, count, data, source, destination },
          {
            ...{ kind: "connection", verdict: "deny", enforced: true, reason: "fragment", count: 2 },
            data: { where: "reassembly", family: 4, timed_out: 0 },
            source: undefined,
            destination: undefined,
          },
        );
        assert.equal(unjudged.counts.fragment_drops, 2);
        assert.equal(unjudged.problem(Date.now()), null, "nobody else has lost anything");
        assert.deepEqual(
          lab.inGateway(() => unjudged.look(Date.now())),
          [],
        );
      } finally {
        unjudged.close();
      }
    }));

  for (const [v, time] of [
    [4, "net/ipv4/ipfrag_time"],
    [6, "net/netfilter/nf_conntrack_frag6_timeout"],
  ] as const) {
    test(`T6: a lone one, when its time is up, IPv${v}`, () =>
      withLab(async (lab) => {
        lab.inGateway(() => {
          writeSysctl(time, "1");
          new Ruleset(ruleset).apply();
        });
        const unjudged = lab.inGateway(() => new Unjudged(place));
        try {
          sendFragments(lab, v, lone);
          const events = await looked(lab, unjudged);
          assert.deepEqual(
            events.map(({ reason, count, data }) => ({ reason, count, data })),
            [{ reason: "fragment", count: 1, data: { where: "reassembly", family: v, timed_out: 1 } }],
          );
        } finally {
          unjudged.close();
        }
      }));
  }
});

test("the kernel's counters are read by name, and what is no such text has none", () => {
  const names = "Ip: Forwarding ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs";
  assert.deepEqual(parseReassemblyFailures(`${names}\nIp: 1 2 9 0 7 0\nIcmp: InMsgs\nIcmp: 3\n`), {
    failed: 7,
    timedOut: 2,
  });
  assert.deepEqual(parseReassemblyFailures("Ip6InReceives \t4\nIp6ReasmTimeout \t1\nIp6ReasmFails  \t5\n"), {
    failed: 5,
    timedOut: 1,
  });
  for (const text of ["", names, `${names}\nIp: 1 2`, "Ip6ReasmFails 1\n", "Ip6ReasmTimeout x\nIp6ReasmFails 1\n"]) {
    assert.equal(parseReassemblyFailures(text), null, text);
  }
});
