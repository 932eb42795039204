/**
 * Random plain-HTTP connections against a server that keeps the first copy of each byte that reaches it: it never finds a request
 * for another host in what it reads, whatever is cut, reordered, replaced or lost; an honest client's requests all get
 * through (threat N4).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { fuzzing } from "../../test/support/fuzz.ts";
import { RequestStream } from "../wire/http/request-stream.ts";
import { ascii, joined } from "./testing/packets.ts";
import { enforced } from "./testing/policies.ts";
import { Client, policy, Scene } from "./testing/scene.ts";

const engine = policy(enforced);

describe("plain HTTP", () => {
  const request = fc.oneof(
    fc.constant("GET / HTTP/1.1\r\nHost: web.example\r\n\r\n"),
    fc.constant("GET / HTTP/1.1\r\nHost: web.example\r\nUpgrade: h2c\r\n\r\n"),
    fc
      .nat(40)
      .map((size) => `POST / HTTP/1.1\r\nHost: web.example\r\nContent-Length: ${size}\r\n\r\n${"G".repeat(size)}`),
    fc
      .nat(20)
      .map(
        (size) =>
          `PUT / HTTP/1.1\r\nHost: web.example\r\nTransfer-Encoding: chunked\r\n\r\n${(size + 1).toString(16)}\r\n${"x".repeat(size + 1)}\r\n0\r\n\r\n`,
      ),
  );
  const evil = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";

  /** Every request that a server finds in what it reads. */
  function hostsIn(read: string): string[] {
    const hosts: string[] = [];
    for (let rest = ascii(read); rest.length > 0;) {
      const stream = new RequestStream();
      let taken = 0;
      for (; taken < rest.length; taken++) {
        const { requests, opaque } = stream.push(rest.subarray(taken, taken + 1));
        for (const { host } of requests) hosts.push(host.kind === "name" ? host.name : host.kind);
        // A server that ignores the Upgrade.
        if (opaque === "upgrade") break;
      }
      rest = rest.subarray(taken + 1);
    }
    return hosts;
  }

  test("an attacker gets no request for another host to the server, cut, reordered, replaced or lost", () => {
    const move = fc.record({
      from: fc.nat(300),
      size: fc.integer({ min: 1, max: 120 }),
      instead: fc.constantFrom(0, 0, 0, 1, 2),
      lost: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 4 }),
        fc.array(move, { maxLength: 30, size: "max" }),
        (requests, moves) => {
          const good = ascii(requests.join(""));
          const streams = [
            joined(good, ascii(evil + evil)),
            ascii(requests[0] + evil.repeat(6)),
            ascii(evil.repeat(8)),
          ];
          const scene = new Scene(engine).bind("web.example");
          const client = new Client(scene, { destinationPort: 80 }).open();
          for (const { from, size, instead, lost } of moves) {
            const before = scene.left.length;
            client.segment(from, streams[instead]!.subarray(from, from + size));
            if (lost === 0) scene.left.length = before;
            for (const host of hostsIn(client.read)) assert.equal(host, "web.example");
          }
          scene.pass(12_000);
          assert.deepEqual(scene.held, []);
        },
      ),
      fuzzing,
    );
  });

  test("an honest client's requests all get through, cut, reordered, doubled, lost before us and sent again", () => {
    const cut = fc.record({ at: fc.nat(400), rank: fc.nat(3), lost: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 4 }),
        fc.array(cut, { maxLength: 12 }),
        (requests, cuts) => {
          const plain = requests.map((each) => each.replace("Upgrade", "X-Upgrade")).join("");
          const bytes = ascii(plain);
          const scene = new Scene(engine).bind("web.example");
          const client = new Client(scene, { destinationPort: 80 }).open();
          const places = [...new Set([0, ...cuts.map(({ at }) => at % bytes.length), bytes.length])].toSorted(
            (a, b) => a - b,
          );
          const segments = places.slice(0, -1).map((from, i) => ({ from, to: places[i + 1]!, ...cuts[i] }));
          const order = segments
            .map((each, i) => ({ ...each, rank: i + (each.rank ?? 0) }))
            .toSorted((a, b) => a.rank - b.rank);
          for (const { from, to, lost } of order) if (lost !== true) client.segment(from, bytes.subarray(from, to));
          // Retransmission: everything from the first byte that did not get through, in order, until it has.
          for (let round = 0; round < 3; round++) {
            for (const { from, to } of segments)
              if (to > client.read.length) client.segment(from, bytes.subarray(from, to));
          }
          assert.equal(client.read, plain);
          assert.deepEqual(scene.held, []);
          assert.equal(scene.reports.length, 1);
        },
      ),
      fuzzing,
    );
  });
});
