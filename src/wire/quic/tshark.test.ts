/**
 * A second opinion on QUIC: for every capture, the first ClientHello of each exchange as tshark decrypts it and as we do,
 * fed datagram by datagram as the data path would. There is no disagreement to explain.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { captures, directionKey, openingDirections } from "../../../test/pcaps/read.ts";
import { inPairs, tshark } from "../../../test/pcaps/tshark.ts";
import { describeHello, helloFields, type HelloReading } from "../../../test/pcaps/hello-reading.ts";
import { QuicInitial, type QuicResult } from "./initial.ts";

function feed(datagrams: readonly Uint8Array[]): QuicResult {
  const quic = new QuicInitial();
  for (const datagram of datagrams) {
    const result = quic.add(datagram);
    if (result.state !== "need_more") return result;
  }
  return { state: "need_more" };
}

test("tshark and we read the same hello, or none", async () => {
  const differences: string[] = [];
  let compared = 0;
  await inPairs(captures("quic"), async ({ name, path }) => {
    const theirs = new Map<string, HelloReading>();
    const fields = ["ip.src", "ipv6.src", "udp.srcport", "ip.dst", "ipv6.dst", "udp.dstport", ...helloFields];
    for (const row of await tshark(path, fields, "quic && tls.handshake.type == 1")) {
      const [source, sourcePort, destination, destinationPort] = [
        (row["ip.src"]![0] ?? row["ipv6.src"]![0])!,
        Number(row["udp.srcport"]![0]),
        (row["ip.dst"]![0] ?? row["ipv6.dst"]![0])!,
        Number(row["udp.dstport"]![0]),
      ];
      const key = directionKey(source, sourcePort, destination, destinationPort);
      if (!theirs.has(key)) theirs.set(key, describeHello.fromTshark(row));
    }
    for (const direction of openingDirections(path)) {
      if (direction.transport !== "udp") continue;
      const result = feed(direction.pieces.map((piece) => piece.bytes));
      const ours = result.state === "hello" ? describeHello.fromOurs(result.hello) : null;
      compared++;
      try {
        assert.deepEqual(ours, theirs.get(direction.key) ?? null);
      } catch (error) {
        differences.push(`${name} ${direction.key}: ${(error as Error).message}`);
      }
    }
  });
  assert.deepEqual(differences, []);
  assert.ok(compared >= 20, `only ${compared} exchanges were compared`);
});

test("after a Retry the exchange read from the second flight alone shows the same hello", () => {
  for (const name of ["quic-retry", "quic-retry-multiple"]) {
    const { path } = captures("quic").find((capture) => capture.name === name)!;
    const [direction] = openingDirections(path).filter((each) => each.transport === "udp");
    const all = direction!.pieces.map((piece) => piece.bytes);
    const whole = feed(all);
    assert.ok(whole.state === "hello");
    // Where the connection id of the client's Initials changes, the Retry was answered.
    const id = (datagram: Uint8Array) => Buffer.from(datagram.subarray(5, 6 + datagram[5]!)).toString("hex");
    const after = all.findIndex((datagram) => datagram[0]! >= 0xc0 && id(datagram) !== id(all[0]!));
    assert.ok(after > 0);
    const second = feed(all.slice(after));
    assert.ok(second.state === "hello", second.state);
    assert.deepEqual(second.hello.sni, whole.hello.sni);
  }
});
