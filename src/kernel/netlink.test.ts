/** Promises of the netlink reader: whatever the bytes, it ends, stays within them and does not throw. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import type { Address } from "../address/ip.ts";
import { KernelError } from "./libc.ts";
import {
  AttributeCursor,
  MessageCursor,
  MessageWriter,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NFGEN_HEADER,
  NLM_F_ACK,
  NLM_F_REQUEST,
  netfilterType,
} from "./netlink.ts";
import { readFlow, writeTuple } from "./tuple.ts";

/** Bytes that look like attributes often enough to get past the first check. */
const attributes = fc
  .array(
    fc.oneof(
      fc.record({ type: fc.nat(30), value: fc.uint8Array({ maxLength: 40 }) }).map(({ type, value }) => {
        const bytes = Buffer.alloc((value.length + 7) & ~3);
        bytes.writeUInt16LE(value.length + 4);
        bytes.writeUInt16LE(type, 2);
        bytes.set(value, 4);
        return bytes;
      }),
      fc.uint8Array({ maxLength: 12 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts));

suite("netlink", () => {
  test("attributes stay within their range and move forward", () => {
    fc.assert(
      fc.property(attributes, fc.nat(64), fc.nat(600), (bytes, start, end) => {
        const cursor = new AttributeCursor().over(bytes, start, end);
        let before = start;
        while (cursor.next()) {
          assert.ok(cursor.offset >= before + 4);
          assert.ok(cursor.offset + cursor.length <= Math.min(end, bytes.length));
          before = cursor.offset;
        }
      }),
    );
  });

  test("messages stay within the datagram and move forward", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(60), { maxLength: 4 }), (raw, lengths) => {
        const bytes = Buffer.from(raw);
        let at = 0;
        for (const length of lengths) {
          if (at + 4 <= bytes.length) bytes.writeUInt32LE(length, at);
          at += (length + 3) & ~3;
        }
        const cursor = new MessageCursor(bytes, bytes.length);
        let before = -1;
        while (cursor.next()) {
          assert.ok(cursor.start > before && cursor.end <= bytes.length && cursor.end >= cursor.start + 16);
          cursor.error();
          before = cursor.start;
        }
      }),
    );
  });

  test("a flow is read or not from any bytes, without an exception", () => {
    fc.assert(
      fc.property(attributes, (bytes) => {
        const flow = readFlow(bytes, 0, bytes.length);
        if (flow !== null) assert.equal(flow.original.source.length, flow.original.destination.length);
      }),
    );
  });

  test("a tuple that was written is read back", () => {
    const ip = (length: number) =>
      fc.uint8Array({ minLength: length, maxLength: length }).map((b) => String.fromCharCode(...b) as Address);
    const port = fc.nat(0xffff);
    const tuple = (length: number) =>
      fc.record(
        {
          protocol: fc.constantFrom(1, 6, 17, 58, 132),
          source: ip(length),
          destination: ip(length),
          sourcePort: port,
          destinationPort: port,
        },
        { noNullPrototype: true },
      );
    // Both directions are of one family.
    const tuples = fc.constantFrom(4, 16).chain((length) => fc.tuple(tuple(length), tuple(length)));
    fc.assert(
      fc.property(tuples, fc.nat(), ([original, reply], mark) => {
        const writer = new MessageWriter(512).begin(0x100, 0, 7, 2);
        writeTuple(writer, 1, original);
        writeTuple(writer, 2, reply);
        writer.u32(8, mark).end();
        const cursor = new MessageCursor(writer.bytes, writer.length);
        assert.equal(cursor.next(), true);
        assert.equal(cursor.sequence, 7);
        const flow = readFlow(writer.bytes, cursor.start + NFGEN_HEADER, cursor.end)!;
        assert.deepEqual(flow.original, original);
        assert.deepEqual(flow.reply, reply);
        assert.equal(flow.mark, mark);
        assert.equal(cursor.next(), false);
      }),
    );
  });

  test("a request the kernel refuses fails with its errno's name", () => {
    const socket = new NetlinkSocket(NETLINK_NETFILTER);
    try {
      const sequence = socket.sequence();
      const writer = new MessageWriter(64).begin(netfilterType(3, 99), NLM_F_REQUEST | NLM_F_ACK, sequence).end();
      assert.throws(
        () => socket.request("nonsense", writer, sequence),
        (error) => error instanceof KernelError && error.code === "EINVAL" && error.message.includes("nonsense"),
      );
    } finally {
      socket.close();
    }
  });
});
