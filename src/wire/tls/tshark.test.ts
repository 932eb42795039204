/**
 * A second opinion on TLS: for every capture, the first ClientHello of each connection as tshark reassembles it and as we
 * do, fed segment by segment as the data path would. Every disagreement is listed with its reason.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeHello, helloFields, type HelloReading } from "../../../test/pcaps/hello-reading.ts";
import { captures, directionKey, openingDirections } from "../../../test/pcaps/read.ts";
import { inPairs, tshark } from "../../../test/pcaps/tshark.ts";
import { StreamHead } from "../stream.ts";
import { parseTls, type TlsResult } from "./client-hello.ts";

const sslv2 =
  "an SSLv2-compatible hello, which tshark reads and we call not TLS: no server needs it, and it has no name";

/** Captures in which tshark reads a hello and we do not, with the state we end in and the reason. */
const disagreements: Record<string, { state: TlsResult["state"]; reason: string }> = {
  "sslv2-tls-upgrade-01": { state: "not_tls", reason: sslv2 },
  "tls-tls-altname-zero": { state: "not_tls", reason: sslv2 },
  "tls-tls-glupteba-mb": { state: "not_tls", reason: sslv2 },
};

function feed(initialSequence: number, pieces: readonly { seq: number; bytes: Uint8Array }[]): TlsResult {
  const stream = new StreamHead(initialSequence);
  for (const { seq, bytes } of pieces) {
    assert.equal(stream.add(seq, bytes), "ok");
    const result = parseTls(stream.contiguous());
    if (result.state !== "need_more") return result;
  }
  return { state: "need_more" };
}

test("tshark and we read the same hello, or none", async () => {
  const differences: string[] = [];
  const explained = new Set<string>();
  let compared = 0;
  await inPairs(captures("tls"), async ({ name, path }) => {
    const theirs = new Map<string, HelloReading>();
    const fields = ["ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", ...helloFields];
    for (const row of await tshark(path, fields, "tcp && tls.handshake.type == 1")) {
      const [source, sourcePort, destination, destinationPort] = [
        (row["ip.src"]![0] ?? row["ipv6.src"]![0])!,
        Number(row["tcp.srcport"]![0]),
        (row["ip.dst"]![0] ?? row["ipv6.dst"]![0])!,
        Number(row["tcp.dstport"]![0]),
      ];
      const key = directionKey(source, sourcePort, destination, destinationPort);
      if (!theirs.has(key)) theirs.set(key, describeHello.fromTshark(row));
    }
    for (const direction of openingDirections(path)) {
      if (direction.transport !== "tcp") continue;
      const result = feed(direction.initialSequence, direction.pieces);
      const ours = result.state === "hello" ? describeHello.fromOurs(result.hello) : null;
      compared++;
      try {
        assert.deepEqual(ours, theirs.get(direction.key) ?? null);
      } catch (error) {
        if (disagreements[name]?.state === result.state) explained.add(name);
        else differences.push(`${name} ${direction.key} (${result.state}): ${(error as Error).message}`);
      }
    }
  });
  assert.deepEqual(differences, []);
  assert.deepEqual([...explained].toSorted(), Object.keys(disagreements).toSorted(), "explained, but they agree");
  assert.ok(compared >= 30, `only ${compared} connections were compared`);
});
