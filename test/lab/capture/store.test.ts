/** The sink puts streams together as a receiver might, so that splitting or reordering a marker does not hide it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { newMarker } from "../marker.ts";
import type { Packet } from "./packet.ts";
import { decodeFrame } from "./packet.ts";
import { CaptureStore } from "./store.ts";

function piece(payload: Buffer, position: number | undefined, more: Partial<Packet> = {}): Packet {
  return {
    protocol: position === undefined ? "udp" : "tcp",
    source: "198.51.100.2",
    destination: "203.0.113.66",
    sourcePort: 40_000,
    destinationPort: 443,
    flags: 0x10,
    payload,
    position,
    fragmentOf: undefined,
    whole: payload,
    loopback: false,
    ...more,
  };
}

test("a marker cut into segments of any size, in any order, across a wrap of the sequence number, is found", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 6 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      (cuts, order, initial) => {
        const marker = newMarker();
        const bytes = Buffer.from(`lead ${marker} trail`);
        const borders = [0, ...new Set(cuts.map((cut) => cut + 5).toSorted((a, b) => a - b)), bytes.length];
        const pieces = borders
          .slice(1)
          .map((end, i) => piece(bytes.subarray(borders[i], end), (initial + borders[i]!) >>> 0))
          .map((packet) => ({ packet, key: order.next().value }))
          .toSorted((a, b) => a.key - b.key);
        const store = new CaptureStore();
        for (const { packet } of pieces) store.add(packet);
        return store.find(marker).length === 1 && store.find(newMarker()).length === 0;
      },
    ),
  );
});

test("a marker that exists only if the later, or only if the earlier, of overlapping bytes counts is found", () => {
  for (const forged of ["first", "last"]) {
    const marker = newMarker();
    const [head, tail] = [Buffer.from(marker.slice(0, 8)), Buffer.from(marker.slice(8))];
    const decoy = piece(Buffer.from("decoy..."), 108);
    const store = new CaptureStore();
    if (forged === "first") store.add(decoy);
    store.add(piece(head, 100));
    store.add(piece(tail, 108));
    if (forged === "last") store.add(decoy);
    assert.equal(store.find(marker).length, 1);
  }
});

test("a marker dribbled one byte per datagram is found", () => {
  const marker = newMarker();
  const store = new CaptureStore();
  for (const character of marker) store.add(piece(Buffer.from(character), undefined));
  assert.equal(store.find(marker)[0]?.where, "stream");
});

test("the store says when it can no longer answer", () => {
  const store = new CaptureStore();
  const large = Buffer.alloc(1 << 20);
  for (let i = 0; i < 65; i++) store.add(piece(large, i << 20));
  assert.match(store.lost ?? "", /more than/);
  store.clear();
  assert.equal(store.lost, undefined);
});

test("the frame decoder takes any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(0x0800, 0x86dd), (bytes, etherType) => {
      const frame = Buffer.from(bytes);
      if (frame.length > 2) frame.writeUInt16BE(etherType, 0);
      decodeFrame(frame);
    }),
  );
});
