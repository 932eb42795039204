/**
 * T3, N9: UDP is judged by its first datagram's address, QUIC by the name in its Initial packets, of which none leaves before.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildHello, serverNames } from "../../test/wire/hello.ts";
import { cryptoFrame, datagram as quicDatagram, padded, sealInitial } from "../../test/wire/initial.ts";
import { limits } from "./limits.ts";
import { ascii, ip, udp } from "./testing/packets.ts";
import { enforced, monitored } from "./testing/policies.ts";
import { address, client, datagram, policy, Scene, server, shared } from "./testing/scene.ts";

const hello = (name: string) => buildHello({ extensions: [serverNames(name)] });

/** The Initial packets of a client, its CRYPTO stream cut at `cuts`, one datagram each. */
function initials(name: string, ...cuts: number[]): Uint8Array[] {
  const message = hello(name);
  return [0, ...cuts].map((from, number) => {
    const frames = cryptoFrame(from, message.subarray(from, cuts[number] ?? message.length));
    return quicDatagram(sealInitial(padded(frames, 1100), { number }));
  });
}

const scene = (text = enforced) => new Scene(text).bind("quic.example");
const reasons = ({ reports }: Scene) => reports.map(({ decision }) => `${decision.verdict} ${decision.reason}`);

describe("T3: UDP", () => {
  test("to an address of no rule is refused, each datagram; to a broadcast it vanishes", () => {
    const on = scene();
    const tuple = { ...shared, destination: address("192.0.2.1"), destinationPort: 9999 };
    assert.equal(datagram(on, ascii("data"), tuple), "refuse");
    assert.equal(
      on.judge(udp({ ...shared, destination: address("255.255.255.255") }, ascii("x")), { broadcast: true }),
      "drop",
    );
    assert.equal(on.payloadLeft, 0);
  });

  test("ICMP and the protocols that no rule can allow", () => {
    const on = scene();
    for (const protocol of [1, 4, 41, 47, 50, 132]) {
      assert.equal(on.judge(ip({ source: client, destination: server }, protocol, ascii("\b\0..payload"))), "refuse");
    }
    assert.deepEqual(new Set(reasons(on)), new Set(["deny protocol_denied"]));
  });

  test("a client's 'port unreachable' about its own allowed flow is no attempt: it ends here without an event", () => {
    const error = ip({ source: client, destination: server }, 1, ascii("\x03\x03..late answer"));
    const on = scene();
    assert.equal(on.judge(error, { state: "allow" }), "drop");
    assert.deepEqual(reasons(on), []);
    assert.equal(on.judge(error), "refuse");
    const watching = scene(monitored);
    assert.equal(watching.judge(error, { state: "allow" }), "allow");
    assert.deepEqual(reasons(watching), []);
  });

  test("that lies about its length, in pieces, or with a source route is dropped", () => {
    const on = scene();
    const short = udp(shared, ascii("0123456789"));
    short[25] = 10;
    const piece = udp(shared, ascii("0123456789"));
    piece[6] = 0x20;
    assert.equal(on.judge(short), "drop");
    assert.equal(on.judge(piece), "drop");
    assert.equal(on.judge(new Uint8Array(0)), "drop");
    assert.deepEqual(reasons(on), ["deny invalid_packet", "deny fragment"]);
  });
});

describe("N9: QUIC", () => {
  test("an allowed name goes on with its first datagram, or when all of them have come, in any order", () => {
    for (const datagrams of [
      initials("quic.example"),
      initials("quic.example", 20, 50),
      initials("quic.example", 30).toReversed(),
    ]) {
      const on = scene();
      const verdicts = datagrams.map((each) => datagram(on, each));
      assert.deepEqual(new Set(verdicts.slice(0, -1)), new Set(verdicts.length > 1 ? ["held"] : []));
      assert.equal(verdicts.at(-1), "quic");
      assert.deepEqual(on.held, []);
      assert.deepEqual(reasons(on), ["allow rule"]);
      assert.deepEqual([on.reports[0]!.application, on.reports[0]!.name], ["quic", "quic.example"]);
      assert.ok(on.flows.load.bytes < 4096, "enough to compare retransmissions");
      on.pass(limits.quicMs + 500);
      assert.deepEqual(on.flows.load, { flows: 0, bytes: 0 });
    }
  });

  test("another name is refused with all its datagrams, and what follows is, without another event", () => {
    const on = scene();
    const [first, second] = initials("evil.example", 50);
    assert.equal(datagram(on, first!), "held");
    assert.equal(datagram(on, second!), "refuse");
    assert.equal(datagram(on, first!), "refuse");
    assert.deepEqual(on.held, []);
    assert.equal(on.payloadLeft, 0);
    assert.equal(on.reports.length, 1);
  });

  test("what is no QUIC, or breaks its rules, or never ends", () => {
    for (const [bytes, reason] of [
      [[ascii("anything")], "not_protocol"],
      [[new Uint8Array(1300).fill(0x47)], "not_protocol"],
      [[initials("quic.example")[0]!.subarray(0, 900)], "malformed"],
      [Array.from({ length: 17 }, () => initials("quic.example", 40)[0]!), "too_large"],
      [[initials("quic.example", 40)[0]!], "timeout"],
    ] as const) {
      const on = scene();
      for (const each of bytes) datagram(on, each);
      on.pass(11_000);
      assert.deepEqual(on.held, []);
      assert.equal(on.payloadLeft, 0);
      assert.deepEqual(reasons(on), [`deny ${reason}`]);
    }
  });

  test("a datagram that stood in the queue while its flow was allowed goes on; one that comes much later is judged", () => {
    const on = scene();
    assert.equal(datagram(on, initials("quic.example")[0]!), "quic");
    const late = udp(shared, new Uint8Array(60).fill(0x41));
    // It was queued before the kernel knew the mark.
    on.marks.clear();
    assert.equal(on.judge(late), "quic");
    assert.equal(on.reports.length, 1);
    on.pass(30_000);
    on.marks.clear();
    assert.equal(on.judge(late), "refuse");
  });

  test("migration to another port, or a datagram that does not arrive, shows no name", () => {
    const on = scene();
    assert.equal(datagram(on, initials("quic.example")[0]!), "quic");
    const moved = new Uint8Array(60).fill(0x41);
    assert.equal(datagram(on, moved, { ...shared, sourcePort: 41_000 }), "refuse");
    assert.equal(datagram(on, moved), "allow", "the path it came from still works");
    assert.equal(datagram(on, initials("quic.example")[0]!, { ...shared, sourcePort: 4 }, { ttl: 3 }), "refuse");
  });

  test("many half flows take no more memory than one sender may", () => {
    const on = scene();
    const first = initials("quic.example", 40)[0]!;
    for (let port = 1; port < 300; port++) datagram(on, first, { ...shared, sourcePort: port });
    assert.ok(on.flows.load.bytes <= limits.bytes / 5);
    assert.equal(on.reports.at(-1)!.decision.reason, "over_limit");
    const other = { ...shared, source: address("10.0.0.3") };
    assert.equal(datagram(on, first, other), "held", "others are not affected");
  });
});

describe("in monitor mode", () => {
  test("every datagram goes on at once, and the name is recorded", () => {
    const on = scene(monitored);
    const [first, second] = initials("evil.example", 50);
    assert.equal(datagram(on, first!), "pending");
    assert.equal(datagram(on, second!), "allow");
    assert.deepEqual(reasons(on), ["would_deny default"]);
    assert.equal(on.reports[0]!.name, "evil.example");
  });

  test("half a hello is one flow in the record, whenever it goes on", () => {
    const on = scene(monitored);
    datagram(on, initials("evil.example", 50)[0]!);
    on.pass(6_000);
    assert.equal(on.reports.length, 1);
    assert.equal(datagram(on, ascii("more")), "allow");
    assert.equal(on.flows.load.flows, 0);
    assert.equal(on.reports.length, 1);
  });
});

describe("a new policy", () => {
  const [first, second] = initials("quic.example", 50);

  test("that refuses: the waiting datagrams are refused, with an event", () => {
    const on = scene();
    datagram(on, first!);
    on.flows.setPolicy(policy("rules: []\ndefault: { mode: enforce }"), on.now);
    assert.deepEqual(on.held, []);
    assert.deepEqual(reasons(on), ["deny policy_changed"]);
  });

  test("that only monitors: they go on at once", () => {
    const on = scene();
    datagram(on, first!);
    on.flows.setPolicy(policy(monitored), on.now);
    assert.deepEqual(on.held, []);
    assert.equal(on.left.length, 1);
    assert.equal(datagram(on, second!), "allow");
  });

  test("that enforces: what left unread is not judged by the rest", () => {
    const on = scene(monitored);
    datagram(on, first!);
    on.flows.setPolicy(policy(enforced), on.now);
    assert.deepEqual(reasons(on), ["deny policy_changed"]);
  });

  test("that allows the address: the waiting datagrams go on", () => {
    const on = scene();
    datagram(on, first!);
    on.flows.setPolicy(policy("rules: [{ name: all, to: 198.51.100.0/24, protocol: udp, ports: [443] }]"), on.now);
    assert.deepEqual(on.held, []);
    assert.deepEqual(reasons(on), ["allow rule"]);
  });

  test("a refused flow that its kernel entry still marks is judged again where a rule now allows its address", () => {
    const on = scene();
    const tuple = { ...shared, destinationPort: 5353 };
    on.marks.set([tuple.source, tuple.destination, tuple.sourcePort, tuple.destinationPort].join("|") + 17, "deny");
    assert.equal(datagram(on, ascii("x"), tuple), "refuse");
    assert.deepEqual(on.reports, []);
    on.flows.setPolicy(policy("rules: [{ name: all, to: 198.51.100.0/24, protocol: udp, ports: [5353] }]"), on.now);
    assert.equal(datagram(on, ascii("x"), tuple), "allow");
  });

  test("a flow that was ended by its mark is forgotten, its waiting datagrams refused", () => {
    const on = scene();
    datagram(on, first!);
    for (const key of on.marks.keys()) on.marks.set(key, "deny");
    on.marks.set([shared.source, shared.destination, shared.sourcePort, shared.destinationPort].join("|") + 17, "deny");
    assert.equal(datagram(on, second!), "refuse");
    assert.deepEqual(on.held, []);
    assert.equal(on.flows.load.flows, 0);
  });
});
