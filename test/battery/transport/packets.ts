/** Rows T1 to T6: bare addresses, IPv4 inside IPv6, datagrams, ICMP, other protocols, fragments. */
import type { Attack } from "../case.ts";
import type { Job } from "../job.ts";
import { nameless, refused } from "../refusals.ts";
import { flags, fragments, ip, protocols, send, tcp } from "../tcp/raw.ts";

const kind = "attack";

/**
 * Monitor mode, of a connection that shows no name at the attacker's address: whether that address has one depends on what was
 * looked up before.
 */
const watched =
  (port: number, more: object = {}) =>
  (job: Job) => ({
    ...refused("no_name", { ip: job.dot(66), port, ...more }, "name"),
    reason: /^(no_name|default)$/,
  });
const bare = (variant: string, port: number, foretold: Attack["foretold"]): Attack => ({
  kind,
  row: "T1",
  variant,
  run: (job, marker) => job.stream(job.dot(66), port, `GET /${marker} HTTP/1.0\r\n\r\n`),
  refusal: nameless(port),
  foretold: foretold ?? null,
});

/** The kernel reassembles before anybody judges, in monitor mode too, and does not say whose the fragments were. */
const lostFragments = { kind: "connection", verdict: "deny", enforced: true, reason: "fragment" };

const embedded = {
  NAT64: "64:ff9b::a00:5",
  "6to4": "2002:cb00:7142::1",
  Teredo: "2001:0:cb00:7142::1",
  ISATAP: "2001:db8:300::5efe:a00:5",
};

export const packetCases: Attack[] = [
  bare("an address without a name, port 80", 80, watched(80)),
  bare("an address without a name, port 443", 443, watched(443)),
  bare("an address without a name, port 22", 22, watched(22)),
  bare("an address without a name, port 8080", 8080, watched(8080)),
  bare("an address without a name, port 9001", 9001, watched(9001)),
  {
    kind,
    row: "T1",
    variant: "a hundred ports of an address",
    run: async (job, marker) => {
      await job.node(scan, [job.dot(66), marker], { timeoutMs: 15_000 });
    },
    refusal: (job) => refused("no_name", { ip: job.dot(66), port: 3128, protocol: "tcp" }),
    foretold: (job) => ({
      ...refused("no_name", { ip: job.dot(66), port: 3128 }, "name"),
      reason: /^(no_name|default|closed)$/,
    }),
  },
  ...Object.entries(embedded).map(([form, address]): Attack => ({
    kind,
    row: "T2",
    variant: `IPv4 inside IPv6, ${form}`,
    families: [6],
    run: (job, marker) => job.curl(`http://[${address}]/${marker}`),
    refusal:
      form === "ISATAP"
        ? refused("no_name", { ip: address, port: 80 })
        : refused("private_address", { ip: address, port: 80 }),
    foretold: refused(form === "ISATAP" ? "no_name" : "private_address", { ip: address, port: 80 }, "name"),
  })),
  {
    kind,
    row: "T2",
    variant: "data behind a destination options header",
    families: [6],
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      // Next header TCP, 8 bytes in all, one option of an experimental type that is skipped (RFC 4727).
      const options = Buffer.of(protocols.tcp, 0, 0x1e, 4, 0, 0, 0, 0);
      const segment = tcp({
        source: job.source,
        destination: job.dot(10),
        sourcePort: 20_001,
        destinationPort: 443,
        flags: flags.syn,
        payload: Buffer.from(marker.toLowerCase()),
      });
      job.packet(job.dot(10), 60, Buffer.concat([options, segment]));
    },
    refusal: (job) => refused("syn_data", { ip: job.dot(10), port: 443 }),
    foretold: (job) => refused("not_protocol", { ip: job.dot(10), port: 443 }, "name"),
  },
  ...[43, 0, 60].map((header): Attack => ({
    kind,
    row: "T2",
    variant: `a datagram behind extension header ${header}`,
    families: [6],
    run: async (job, marker) => {
      const udp = Buffer.alloc(8 + marker.length);
      udp.writeUInt16BE(20_100 + header, 0);
      udp.writeUInt16BE(9100, 2);
      udp.writeUInt16BE(udp.length, 4);
      udp.write(marker, 8);
      job.packet(
        job.dot(66),
        header,
        Buffer.concat([Buffer.of(protocols.udp, 0, header === 43 ? 4 : 1, header === 43 ? 0 : 4, 0, 0, 0, 0), udp]),
      );
    },
    refusal: (job) => ({ kind: "connection", rule: { name: null, tier: 3 }, destination: { ip: job.dot(66) } }),
  })),
  {
    kind,
    row: "T2",
    variant: "our own link-local address",
    families: [6],
    fronts: ["gateway"],
    run: async (job, marker) => {
      const link = job.lab.gateway.inside[0]!;
      const shown = await job.lab.gateway.exec("ip", ["-o", "-6", "address", "show", "dev", link, "scope", "link"]);
      const address = /fe80:[0-9a-f:]+/.exec(shown.stdout)?.[0];
      await job.shell(
        `printf %s ${marker} | ncat -w 1 -6 "${address}%$(ls /sys/class/net | grep -v lo | head -1)" 443`,
      );
    },
    refusal: { kind: "connection", reason: "private_address", destination: { ip: /^fe80:/, port: 443 } },
    unreachable: "a link-local address is on no internet",
  },
  ...[9100, 443, 123, 5353, 1194].map((port): Attack => ({
    kind,
    row: "T3",
    variant: `a datagram to port ${port}`,
    run: (job, marker) => job.datagram(job.dot(66), port, marker),
    refusal: nameless(port, "udp"),
    foretold: watched(port, { protocol: "udp" }),
  })),
  {
    kind,
    row: "T3",
    variant: "a datagram to an allowed name on another port",
    run: async (job, marker) => {
      await job.resolve("udp.example");
      await job.datagram(job.dot(91), 9101, marker);
    },
    refusal: (job) => refused("default", { name: "udp.example", ip: job.dot(91), port: 9101, protocol: "udp" }),
    foretold: (job) => refused("default", { ip: job.dot(91), port: 9101, protocol: "udp" }, "name"),
  },
  {
    kind,
    row: "T3",
    variant: "a broadcast on the link",
    families: [4],
    fronts: ["gateway"],
    run: (job, marker) => job.shell(`printf %s ${marker} | socat -u - UDP4-DATAGRAM:10.20.1.255:9100,broadcast`),
    refusal: { kind: "connection", destination: { ip: "10.20.1.255", port: 9100 } },
    unreachable: "a broadcast stays on its link",
  },
  {
    kind,
    row: "T4",
    variant: "an ICMP echo with a payload",
    run: (job, marker) =>
      job.exec("ping", [`-${job.v}`, "-c1", "-W1", "-p", Buffer.from(marker).toString("hex"), job.dot(66)]),
    refusal: (job) => refused("protocol_denied", { ip: job.dot(66), protocol: "icmp" }),
  },
  {
    kind,
    row: "T4",
    variant: "an echo to an allowed name's address",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.exec("ping", [`-${job.v}`, "-c1", "-W1", "-p", Buffer.from(marker).toString("hex"), job.dot(10)]);
    },
    refusal: (job) => ({
      kind: "connection",
      rule: { name: null, tier: 3 },
      destination: { ip: job.dot(10), protocol: "icmp" },
    }),
  },
  ...(
    [
      ["an echo reply that nobody asked for", 0, 129, [4, 6]],
      ["an unreachable message about nothing", 3, 1, [4, 6]],
      ["a too-big message about nothing", 3, 2, [4, 6]],
      // IPv6 has none; type 200 is for experiments (RFC 4443).
      ["a timestamp request", 13, 200, [6]],
      ["an unassigned type", 42, 201, [4, 6]],
    ] as const
  ).map(([variant, four, six, untranslated]): Attack => ({
    kind,
    row: "T4",
    variant,
    untranslated,
    run: async (job, marker) => {
      const message = Buffer.concat([
        Buffer.of(job.v === 4 ? four : six, variant.startsWith("a too") && job.v === 4 ? 4 : 0, 0, 0, 0, 0, 0, 0),
        Buffer.from(marker),
      ]);
      icmpChecksum(job, job.dot(66), message);
      job.packet(job.dot(66), job.v === 4 ? 1 : 58, message);
    },
    refusal: (job) => ({ kind: "connection", rule: { name: null, tier: 3 }, destination: { ip: job.dot(66) } }),
  })),
  ...(["gre", "esp", "sctp", "experiment"] as const).map((name): Attack => ({
    kind,
    row: "T5",
    variant: `IP protocol ${protocols[name]}`,
    ...(name === "sctp" ? { untranslated: [4, 6] } : {}),
    run: async (job, marker) => job.packet(job.dot(66), protocols[name], Buffer.from(`\0\0\0\0${marker}\0\0\0\0`)),
    // The kernel knows SCTP, and that this is none.
    refusal: (job) =>
      refused(name === "sctp" ? "invalid_packet" : "protocol_denied", { ip: job.dot(66), protocol: "other" }),
  })),
  ...([4, 41, 51, 89, 112] as const).map((protocol): Attack => ({
    kind,
    row: "T5",
    variant: `IP protocol ${protocol}`,
    run: async (job, marker) =>
      job.packet(job.dot(66), protocol, Buffer.from(`\0\0\0\0${marker}\0\0\0\0\0\0\0\0\0\0\0\0`)),
    refusal: (job) => ({ kind: "connection", rule: { name: null, tier: 3 }, destination: { ip: job.dot(66) } }),
  })),
  {
    kind,
    row: "T6",
    variant: "a datagram in fragments, the marker in the last",
    run: (job, marker) =>
      job.exec("ncat", ["-u", "--send-only", "-w", "1", job.dot(66), "9100"], { input: "x".repeat(3_500) + marker }),
    refusal: nameless(9100, "udp"),
    foretold: watched(9100, { protocol: "udp" }),
  },
  {
    kind,
    row: "T6",
    variant: "a SYN with data, cut into fragments inside its header",
    families: [4],
    run: async (job, marker) => {
      const segment = tcp({
        source: job.source,
        destination: job.dot(66),
        sourcePort: 20_003,
        destinationPort: 443,
        flags: flags.syn,
        payload: Buffer.from(marker),
      });
      send(job.machine, job.dot(66), ...fragments(ip(job.source, job.dot(66), protocols.tcp, segment), 16));
    },
    refusal: nameless(443),
    foretold: (job) => refused("closed", { ip: job.dot(66), port: 443 }, "name"),
  },
  {
    kind,
    row: "T6",
    variant: "a last fragment without its first",
    families: [4],
    slow: true,
    run: async (job, marker) => {
      send(job.machine, job.dot(66), fragments(marked(job, marker, 20_004), 24)[1]);
    },
    // When the kernel has waited for the others long enough (ipfrag_time).
    refusal: { ...lostFragments, data: { where: "reassembly", family: 4, timed_out: 1 } },
    unreachable: "the kernel waits for the other fragments, and gives them up",
  },
  {
    kind,
    row: "T6",
    variant: "fragments that overlap, with other bytes in the same place",
    families: [4],
    run: async (job, marker) => {
      const [first, last] = fragments(marked(job, marker, 20_005), 32);
      // Over the last 8 bytes of the first.
      last.writeUInt16BE(24 / 8, 6);
      send(job.machine, job.dot(66), first, last);
    },
    refusal: { ...lostFragments, data: { where: "reassembly", family: 4 } },
    unreachable: "the kernel gives up a datagram whose fragments overlap",
  },
];

/** A SYN with data. */
function marked(job: Job, marker: string, sourcePort: number): Buffer {
  const [source, destination] = [job.source, job.dot(66)];
  const segment = { source, destination, sourcePort, destinationPort: 443, flags: flags.syn };
  return ip(source, destination, protocols.tcp, tcp({ ...segment, payload: Buffer.from(marker.padEnd(40)) }));
}

/** The ICMP checksum; for ICMPv6 with the pseudo-header (RFC 4443 section 2.3). */
function icmpChecksum(job: Job, destination: string, message: Buffer): void {
  const words: number[] = [];
  const add = (bytes: Buffer): void => {
    for (let i = 0; i < bytes.length; i += 2) words.push((bytes[i]! << 8) | (bytes[i + 1] ?? 0));
  };
  if (job.v === 6) {
    const header = ip(job.source, destination, 58, message);
    add(header.subarray(8, 40));
    words.push(message.length, 58);
  }
  add(message);
  let sum = words.reduce((a, b) => a + b, 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  message.writeUInt16BE(~sum & 0xffff, 2);
}

/** Connects to a hundred ports and says the marker wherever somebody answers. */
const scan = `
const [, host, marker] = process.argv;
const { connect } = require("net");
const ports = [...Array(96)].map((_, i) => 3100 + i).concat([22, 80, 443, 8080]);
Promise.all(ports.map((port) => new Promise((done) => {
  const socket = connect({ host, port }, () => socket.end(marker));
  socket.setTimeout(1500, () => socket.destroy());
  socket.on("error", () => {}).on("close", done);
}))).then(() => process.exit());`;
