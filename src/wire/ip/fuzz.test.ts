/** T2, T5, T6 under fuzz: the header walk never throws, ends, and what it vouches for lies inside the packet. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { fuzzTarget } from "../../../test/support/fuzz.ts";
import { assertLinear } from "../../../test/support/work.ts";
import { packets } from "../../../test/wire/packet.arbitrary.ts";
import { maxExtensionHeaders, Packet, parsePacket, type PacketDefect, type Transport } from "./packet.ts";

const out = new Packet();

fuzzTarget<PacketDefect | Transport>({
  name: "ip-packet",
  grammar: [packets, fc.uint8Array({ maxLength: 120 })],
  outcomes: {
    tcp: true,
    udp: true,
    icmp: true,
    other: true,
    truncated: true,
    bad_version: true,
    bad_length: true,
    bad_header: true,
    fragment: true,
    source_route: true,
    too_many_extensions: true,
  },
  check: (bytes, pick) => {
    // Anywhere in a buffer: what stands around the packet is nothing to it.
    const before = pick(5);
    const buffer = Uint8Array.from([...new Uint8Array(before).fill(0xff), ...bytes, 0xff, 0xff]);
    parsePacket(buffer, before, bytes.length, out);
    assert.ok(out.transportOffset >= before && out.transportOffset <= before + bytes.length);
    assert.ok(out.payloadOffset >= out.transportOffset && out.payloadLength >= 0);
    assert.ok(out.payloadOffset + out.payloadLength <= before + bytes.length || out.defect !== null);
    const moved = Object.assign({}, out);
    parsePacket(bytes, 0, bytes.length, out);
    for (const field of ["transportOffset", "payloadOffset"] as const) moved[field] -= before;
    assert.deepEqual(Object.assign({}, out), moved);
    // Two addresses, a fixed header, at most 40 bytes of options or so many extension headers: whatever the packet's size.
    assertLinear(bytes, 0, 160 + 8 * maxExtensionHeaders, (view) => parsePacket(view, 0, view.length, new Packet()));
    return out.defect ?? out.transport;
  },
});
