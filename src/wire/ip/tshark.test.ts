/**
 * A second opinion on headers and checksums: tshark reads every packet of every capture, and packets of our own making,
 * and must read the same.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { captures, ipPackets } from "../../../test/pcaps/read.ts";
import { tshark, writePcap } from "../../../test/pcaps/tshark.ts";
import { formatAddress, parseAddress } from "../../address/ip.ts";
import { buildReset, buildTcp } from "./build.ts";
import { ACK, Packet, parsePacket, PSH, SYN } from "./packet.ts";

const folder = mkdtempSync(join(tmpdir(), "sallyport-wire-"));
after(() => rmSync(folder, { recursive: true }));

test("tshark finds every checksum of our packets right", async () => {
  const path = join(folder, "built.pcap");
  const packets = [
    ["192.0.2.1", "198.51.100.7"],
    ["2001:db8::1", "2001:db8:ffff::7"],
  ].flatMap(([from, to]) => {
    const ends = { source: parseAddress(from!)!, destination: parseAddress(to!)!, sourcePort: 443 };
    const base = { ...ends, destinationPort: 40001, seq: 0xfffffffe, ack: 0x80000001 };
    return [
      buildReset(base),
      buildReset({ ...base, ack: null }),
      ...[0, 1, 7, 1200].map((size) =>
        buildTcp({ ...base, flags: ACK | PSH, window: 512, payload: new Uint8Array(size).fill(0xa5) }),
      ),
      buildTcp({ ...base, flags: SYN | ACK }),
    ];
  });
  writePcap(path, packets);
  const rows = await tshark(path, ["ip.checksum.status", "tcp.checksum.status", "tcp.len", "ip.version"], "", [
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
  ]);
  assert.equal(rows.length, packets.length);
  for (const row of rows) {
    assert.deepEqual(row["tcp.checksum.status"], ["1"]);
    assert.deepEqual(row["ip.checksum.status"], row["ip.version"]![0] === "4" ? ["1"] : []);
  }
});

test("tshark and we read the same headers in every packet of every capture", async () => {
  const packets = (["tls", "quic", "dns"] as const).flatMap((kind) =>
    captures(kind).flatMap(({ path }) => ipPackets(path).map(({ bytes }) => bytes)),
  );
  const path = join(folder, "all.pcap");
  writePcap(path, packets);
  const fields = ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.proto", "ipv6.nxt", "ip.ttl", "ipv6.hlim"].concat(
    ["tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.len"],
    ["udp.srcport", "udp.dstport", "udp.length", "icmp.type", "icmpv6.type"],
  );
  const rows = await tshark(path, fields, "", ["tcp.desegment_tcp_streams:FALSE", "ip.defragment:FALSE"]);
  assert.equal(rows.length, packets.length);
  const packet = new Packet();
  const defects: string[] = [];
  packets.forEach((bytes, i) => {
    parsePacket(bytes, 0, bytes.length, packet);
    const row = rows[i]!;
    // The first value: an ICMP error quotes the headers of another packet after its own.
    const first = (...names: string[]) => names.map((name) => row[name]![0]).find((value) => value !== undefined);
    if (packet.defect !== null) return defects.push(packet.defect);
    assert.equal(formatAddress(packet.source), first("ip.src", "ipv6.src"));
    assert.equal(formatAddress(packet.destination), first("ip.dst", "ipv6.dst"));
    assert.equal(packet.protocol, Number(first("ip.proto", "ipv6.nxt")));
    assert.equal(packet.hopLimit, Number(first("ip.ttl", "ipv6.hlim")));
    if (packet.transport === "icmp") return assert.equal(packet.icmpType, Number(first("icmp.type", "icmpv6.type")));
    if (packet.transport === "other") return undefined;
    assert.equal(packet.sourcePort, Number(first("tcp.srcport", "udp.srcport")));
    assert.equal(packet.destinationPort, Number(first("tcp.dstport", "udp.dstport")));
    if (packet.transport === "udp") return assert.equal(packet.payloadLength, Number(first("udp.length")) - 8);
    assert.equal(packet.seq, Number(first("tcp.seq_raw")));
    assert.equal(packet.ack, Number(first("tcp.ack_raw")));
    assert.equal(packet.flags, Number(first("tcp.flags")) & 0xff);
    return assert.equal(packet.payloadLength, Number(first("tcp.len")));
  });
  // Nothing in these captures is broken below TCP and UDP.
  assert.deepEqual(defects, []);
});
