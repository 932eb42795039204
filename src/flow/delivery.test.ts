/**
 * The judged bytes are the ones that the server reads (threats N2, N6). A client with raw sockets can let its own good hello
 * be lost and send another in its place; so nothing of an allowed flow is forwarded unread before the server has answered.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ACK, FIN, PSH, RST, SYN, URG } from "../wire/ip/packet.ts";
import { captureHello } from "./testing/hellos.ts";
import { ascii } from "./testing/packets.ts";
import { enforced } from "./testing/policies.ts";
import { Client, Scene } from "./testing/scene.ts";

const allowed = await captureHello("allowed.example");
const denied = await captureHello("denied.example");
const ways = [false, true];

/** A flow whose hello was judged and let go. */
function delivering(answersSeen: boolean): { on: Scene; client: Client } {
  const on = new Scene(enforced, { answersSeen }).bind("allowed.example");
  const client = new Client(on);
  client.syn();
  if (answersSeen) client.answer();
  assert.equal(client.segment(0, allowed), "pending");
  return { on, client };
}

for (const answersSeen of ways) {
  describe(answersSeen ? "with the server's answers in sight" : "by the client's segments alone", () => {
    test("the kernel takes over with the first segment that acknowledges the server's own words", () => {
      const { on, client } = delivering(answersSeen);
      assert.equal(client.bare(), "pending");
      client.ack += 3000;
      assert.equal(client.segment(allowed.length, ascii("finished")), "allow");
      assert.equal(client.segment(allowed.length + 8, ascii("data")), "allow");
      assert.equal(client.read.slice(allowed.length), "finisheddata");
      assert.equal(on.flows.load.flows, 0);
      assert.equal(on.flows.load.bytes, 0);
      assert.equal(on.reports.length, 1);
    });

    test("another hello in its place is refused, at the same place or shifted, before or after a repeat", () => {
      for (const at of [0, 1, allowed.length - 1]) {
        const { on, client } = delivering(answersSeen);
        assert.equal(client.segment(0, allowed), "pending", "a tail loss probe");
        assert.equal(client.segment(at, denied), "refuse");
        assert.deepEqual(
          on.reports.map(({ decision, name, live }) => [decision.verdict, decision.reason, name, live]),
          [
            ["allow", "rule", "allowed.example", true],
            ["deny", "overlap", "allowed.example", false],
          ],
        );
        assert.equal(client.segment(0, denied), "refuse");
        assert.equal(on.reports.length, 2, "and that is the last word about it");
        assert.equal(client.read, Buffer.from(allowed).toString("latin1"));
      }
    });

    test("a repeat with an urgent byte would be another hello to the server", () => {
      const { client } = delivering(answersSeen);
      assert.equal(client.segment(0, allowed, { flags: ACK | PSH | URG }), "refuse");
    });

    test("bytes after the hello go on (early data), and take nothing over", () => {
      const { client } = delivering(answersSeen);
      assert.equal(client.segment(allowed.length, ascii("early")), "pending");
      assert.equal(client.segment(0, denied), "refuse");
    });

    test("a slow server has an hour; a client that is gone a minute", () => {
      const slow = delivering(answersSeen);
      slow.on.pass(600_000);
      slow.client.ack += 2000;
      assert.equal(slow.client.segment(allowed.length, ascii("x")), "allow");
      const closed = delivering(answersSeen);
      closed.client.bare({ flags: FIN | ACK });
      closed.on.pass(61_000);
      const reset = delivering(answersSeen);
      reset.client.bare({ flags: RST });
      for (const { on } of [closed, reset]) {
        assert.equal(on.flows.load.flows, 0);
        assert.equal(on.reports.length, 1, "its event was written when it was let go");
      }
    });

    test("a SYN does not make a delivery anything else", () => {
      for (const seq of [1000, 900, 5000]) {
        const { on, client } = delivering(answersSeen);
        assert.equal(client.syn({ seq }), "drop");
        assert.equal(client.segment(0, denied), "refuse");
        assert.equal(on.marks.get([...on.marks.keys()].at(-1)!), "deny");
      }
    });
  });
}

describe("an acknowledgement made up downwards", () => {
  test("with the server's answer in sight it moves nothing", () => {
    const on = new Scene(enforced, { answersSeen: true }).bind("allowed.example");
    const client = new Client(on);
    client.syn();
    client.answer();
    // The server drops this one: the acknowledgement is older than any window.
    assert.equal(client.segment(0, allowed, { ack: client.ack - 60_000 }), "pending");
    assert.equal(client.bare(), "pending", "the true acknowledgement of the handshake, and no more");
    assert.equal(client.segment(allowed.length, ascii("x")), "pending");
    assert.equal(client.segment(0, denied), "refuse");
  });

  test("nor does the answer to another SYN stand for the one that was judged", () => {
    const on = new Scene(enforced, { answersSeen: true }).bind("allowed.example");
    const client = new Client(on);
    client.syn();
    client.answer({ ack: client.initial + 601 });
    assert.equal(client.segment(0, allowed), "refuse");
    assert.equal(on.payloadLeft, 0);
    assert.equal(on.reports[0]!.decision.reason, "mid_stream");
  });

  test("an answer without a flow passes to the client like any other", () => {
    const on = new Scene(enforced, { answersSeen: true });
    assert.equal(new Client(on).answer(), "pending");
    assert.deepEqual(on.reports, []);
  });

  test("a server that never answered is nobody's refusal; one that did is a time-out", () => {
    for (const [answered, reason] of [
      [false, "closed"],
      [true, "timeout"],
    ] as const) {
      const on = new Scene(enforced, { answersSeen: true }).bind("allowed.example");
      const client = new Client(on);
      client.syn();
      if (answered) client.answer();
      on.pass(31_000);
      assert.deepEqual(
        on.reports.map(({ decision }) => decision.reason),
        [reason],
      );
      assert.deepEqual(
        on.resets.map(({ sequence }) => sequence),
        answered ? [client.initial + 1, client.ack] : [],
      );
    }
  });

  test("Multipath TCP that the server did not accept is ignored, that it did is refused", () => {
    const capable = Uint8Array.from([30, 4, 0x01, 0x81]);
    for (const [answer, verdict] of [
      [new Uint8Array(0), "pending"],
      [capable, "refuse"],
    ] as const) {
      const on = new Scene(enforced, { answersSeen: true }).bind("allowed.example");
      const client = new Client(on);
      client.syn({ options: capable });
      client.answer({ options: answer });
      assert.equal(client.segment(0, allowed, { options: Uint8Array.from([30, 4, 0x20, 0]) }), verdict);
    }
  });
});

test("late packets of a flow just taken over pass; a new SYN on its ports ends that", () => {
  const { on, client } = delivering(false);
  client.ack += 2000;
  assert.equal(client.segment(allowed.length, ascii("x")), "allow");
  // It stood in the queue from before the verdict.
  const queued = client.packet(0, allowed.subarray(0, 20));
  on.marks.clear();
  assert.equal(on.judge(queued, { state: "pending" }), "allow");
  on.marks.clear();
  assert.equal(on.judge(queued, { state: "none" }), "allow");
  on.marks.clear();
  assert.equal(on.judge(client.packet(0, new Uint8Array(0), { flags: SYN, seq: 77 })), "pending");
  assert.equal(client.segment(0, denied, { seq: 78 }), "refuse");
});
