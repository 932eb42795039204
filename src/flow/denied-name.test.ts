/**
 * A rule that denies a name is in force where the default only monitors, too: the flow waits until its name is known, and there is
 * no way around that by being slow, silent, unreadable or a stranger (threats N6, N7, T7).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RST } from "../wire/ip/packet.ts";
import { captureHello } from "./testing/hellos.ts";
import { ascii } from "./testing/packets.ts";
import { onlyDenied } from "./testing/policies.ts";
import { Client, Scene } from "./testing/scene.ts";

const allowed = await captureHello("allowed.example");
const denied = await captureHello("denied.example");
const reasons = ({ reports }: Scene) => reports.map(({ decision }) => `${decision.verdict} ${decision.reason}`);

describe("a denied name under a monitored default", () => {
  // The client found the address without us, so that only the bytes can show the name.
  const scene = () => new Scene(onlyDenied);

  test("it is refused; every other name goes on", () => {
    assert.equal(new Client(scene()).open().segment(0, denied), "refuse");
    assert.equal(new Client(scene()).open().segment(0, allowed), "pending");
  });

  test("a hello that dawdles is not waved through as something without a name", () => {
    const on = scene();
    const client = new Client(on).open();
    client.segment(0, denied.subarray(0, 60));
    on.pass(12_000);
    assert.deepEqual(reasons(on), ["deny timeout"]);
    assert.equal(client.segment(60, denied.subarray(60)), "refuse");
    assert.equal(on.payloadLeft, 0);
  });

  test("nor is a client that is silent for longer than the time allowed", () => {
    const on = scene();
    const client = new Client(on).open();
    on.pass(120_000);
    assert.deepEqual(on.reports, []);
    assert.equal(client.segment(0, denied), "refuse");
    assert.equal(on.payloadLeft, 0);
  });

  test("a server-first protocol passes when its client speaks, however late", () => {
    const on = scene();
    const client = new Client(on).open();
    on.pass(60_000);
    client.ack += 90;
    assert.equal(client.segment(0, ascii("\u0005\0\0\u0001login")), "pending");
    client.ack += 11;
    assert.equal(client.segment(9, ascii("query")), "allow");
    assert.equal(client.read, "\u0005\0\0\u0001loginquery");
  });

  test("a reset that the server ignores does not make its connection a stranger that may pass", () => {
    const on = scene();
    const client = new Client(on).open();
    client.bare({ flags: RST, seq: client.initial + 500 });
    assert.equal(client.segment(0, denied), "refuse");
    assert.equal(on.payloadLeft, 0);
  });

  test("nor do packets that cannot be read, or that the kernel finds no connection for", () => {
    const on = scene();
    const client = new Client(on).open();
    const routed = client.packet(0, denied, { between: Uint8Array.from([0x83, 7, 4, 1, 2, 3, 4, 0]) });
    assert.equal(on.judge(routed), "drop");
    assert.equal(client.segment(0, denied, {}, { invalid: true }), "refuse");
    // Neither may its verdict become the connection's.
    assert.equal(client.segment(0, denied), "refuse");
    assert.equal(on.payloadLeft, 0);
  });
});
