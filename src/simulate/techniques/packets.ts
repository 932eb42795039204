/** Below TCP's usual use: datagrams, QUIC, ICMP, other protocols, fragments and segments without a connection. */
import { helloRecord, quicInitial } from "../probe/hello.ts";
import { datagram, plain, toAddress } from "../probe/fire.ts";
import { echoRequest, flag, fragments, packet, payloadOf, protocol, raw, tcp, udp } from "../probe/packet.ts";
import type { Technique } from "../technique.ts";

const wire = { kind: "wire" } as const;
const rawNeed = ["raw"] as const;

export const packets: readonly Technique[] = [
  {
    id: "udp-datagram",
    name: "a UDP datagram",
    class: "T9",
    attack: ["T1095", "T1048.003"],
    incidents: [{ name: "GHSA-cpmj-h4f6-r6pq (published)", year: 2026 }],
    does: "Sends one datagram to a bare address; nothing has to come back.",
    works: "Tools that watch connect() never see sendto().",
    expected: "blocked",
    needs: [],
    channel: { kind: "udp", port: 9100 },
    probe: (shot) => toAddress(shot, 4, (address) => datagram(address, 9100, Buffer.from(shot.canary), shot)),
  },
  {
    id: "udp-datagram-ipv6",
    name: "a UDP datagram over IPv6",
    class: "T9",
    attack: ["T1095", "T1048.003"],
    incidents: [],
    does: "The same over IPv6.",
    works: "Rules are often written for IPv4 alone.",
    expected: "blocked",
    needs: ["ipv6"],
    channel: { kind: "udp", port: 9100 },
    probe: (shot) => toAddress(shot, 6, (address) => datagram(address, 9100, Buffer.from(shot.canary), shot)),
  },
  {
    id: "quic-initial",
    name: "a QUIC hello",
    class: "T9",
    attack: ["T1071.001", "T1573.002"],
    incidents: [],
    does: "Sends a QUIC Initial to port 443 of a bare address; the canary is in its SNI.",
    works: "Filters of TLS read TCP, and the first packet already carries data.",
    expected: "blocked",
    needs: [],
    channel: { kind: "udp", port: 443 },
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        datagram(address, 443, quicInitial({ sni: `${shot.canary}.invalid`, canary: shot.canary }), shot),
      ),
  },
  {
    id: "quic-allowed-sni",
    name: "a QUIC hello with an allowed SNI",
    class: "T9",
    attack: ["T1036", "T1573.002"],
    incidents: [],
    does: "Sends a QUIC Initial with an allowed name to the attacker's address.",
    works: "As above, and the name is on the list.",
    expected: "blocked",
    needs: ["tls-site"],
    channel: { kind: "udp", port: 443 },
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        datagram(address, 443, quicInitial({ sni: shot.site.tls, canary: shot.canary }), shot),
      ),
  },
  {
    id: "icmp-payload",
    name: "data in a ping",
    class: "T10",
    attack: ["T1095", "T1048.003"],
    incidents: [{ name: "Pingback", year: 2021 }],
    does: "Sends an echo request whose payload is the canary.",
    works: "ICMP has no port, so port rules do not speak of it.",
    expected: "blocked",
    needs: rawNeed,
    channel: wire,
    probe: (shot) =>
      raw(shot.collector.v4, (from, to) => [packet(from, to, protocol.icmp, echoRequest(from, to, payloadOf(shot)))]),
  },
  {
    id: "icmpv6-payload",
    name: "data in a ping over IPv6",
    class: "T10",
    attack: ["T1095", "T1048.003"],
    incidents: [],
    does: "The same with ICMPv6.",
    works: "IPv6 needs some ICMPv6 to live, and rules tend to allow all of it.",
    expected: "blocked",
    needs: ["raw", "ipv6"],
    channel: wire,
    probe: (shot) =>
      raw(shot.collector.v6, (from, to) => [packet(from, to, protocol.icmp6, echoRequest(from, to, payloadOf(shot)))]),
  },
  {
    id: "raw-ip-protocol",
    name: "an IP protocol of its own",
    class: "T21",
    attack: ["T1095"],
    incidents: [],
    does: "Sends a packet of protocol 253 (RFC 3692) that is neither TCP, UDP nor ICMP.",
    works: "Rules about TCP and UDP do not match it.",
    expected: "blocked",
    needs: rawNeed,
    channel: wire,
    probe: (shot) => raw(shot.collector.v4, (from, to) => [packet(from, to, protocol.experiment, payloadOf(shot))]),
  },
  {
    id: "gre-tunnel",
    name: "a packet inside GRE",
    class: "T21",
    attack: ["T1572", "T1095"],
    incidents: [],
    does: "Wraps the canary in a GRE packet (RFC 2784), as a tunnel interface does.",
    works: "What is inside is nobody's rule.",
    expected: "blocked",
    needs: rawNeed,
    channel: wire,
    probe: (shot) =>
      raw(shot.collector.v4, (from, to) => [
        packet(from, to, protocol.gre, Buffer.concat([Buffer.from([0, 0, 8, 0]), payloadOf(shot)])),
      ]),
  },
  {
    id: "ip-fragments",
    name: "a datagram in fragments",
    class: "T21",
    attack: ["T1095", "T1027"],
    incidents: [],
    does: "Sends a UDP datagram in two IP fragments; the second has no ports.",
    works: "A filter of single packets cannot say where the second belongs.",
    expected: "blocked",
    needs: rawNeed,
    channel: wire,
    probe: (shot) =>
      raw(shot.collector.v4, (from, to) => {
        const payload = udp(from, to, [shot.sourcePort, 9100], payloadOf(shot, 4));
        return fragments(packet(from, to, protocol.udp, payload), 24);
      }),
  },
  {
    id: "tcp-syn-data",
    name: "data in a SYN",
    class: "T21",
    attack: ["T1095", "T1205"],
    incidents: [],
    does: "Sends a SYN that already carries the canary (RFC 7413 made that ordinary).",
    works: "A filter that waits for the hello has let the SYN pass.",
    expected: "blocked",
    needs: rawNeed,
    channel: wire,
    probe: (shot) =>
      raw(shot.collector.v4, (from, to) => [
        packet(from, to, protocol.tcp, tcp(from, to, [shot.sourcePort, 443], flag.syn, payloadOf(shot))),
      ]),
  },
  {
    id: "tcp-mid-stream",
    name: "a segment of no connection",
    class: "T21",
    attack: ["T1095", "T1205"],
    incidents: [],
    does: "Sends an ACK with the canary for a connection that never was.",
    works: "Stateless rules and loose connection tracking take it for an established flow.",
    expected: "blocked",
    needs: rawNeed,
    channel: wire,
    probe: (shot) =>
      raw(shot.collector.v4, (from, to) => [
        packet(from, to, protocol.tcp, tcp(from, to, [shot.sourcePort, 443], flag.ack | flag.push, payloadOf(shot))),
      ]),
  },
  {
    id: "hello-to-odd-port",
    name: "a TLS hello with an allowed name on another port",
    class: "T14",
    attack: ["T1571", "T1036"],
    incidents: [],
    does: "Sends a hello with an allowed SNI to port 4444 of the attacker's address.",
    works: "Filters that read names on every port forget to check the port.",
    expected: "blocked",
    needs: ["tls-site"],
    channel: { kind: "tcp", port: 4444 },
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        plain(address, 4444, [helloRecord({ sni: shot.site.tls, canary: shot.canary })], shot),
      ),
  },
];
