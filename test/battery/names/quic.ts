/**
 * Row N9: QUIC. Initial packets are sealed with keys that anybody can derive from them, so they are built here byte by byte; the
 * marker stands where it is in the clear, in a connection id or a token.
 */
import { buildHello, bytes, serverNames } from "../../wire/hello.ts";
import { cryptoFrame, datagram, padded, sealInitial } from "../../wire/initial.ts";
import type { Attack } from "../case.ts";
import type { Job } from "../job.ts";
import { refused } from "../refusals.ts";

const kind = "attack";
const row = "N9";

/** Datagrams from one port, in order; with `after`, the first is answered, or a moment passes, before the rest goes. */
const sender = `
const [, host, port, ...hex] = process.argv;
const socket = require("dgram").createSocket(require("net").isIPv6(host) ? "udp6" : "udp4");
socket.on("error", () => {});
const step = () => {
  const next = hex.shift();
  if (next === undefined) return setTimeout(() => process.exit(), 300);
  socket.send(Buffer.from(next, "hex"), Number(port), host, () => setTimeout(step, 150));
};
step();`;

const send = (job: Job, n: number, ...datagrams: Uint8Array[]): Promise<unknown> =>
  job.node(sender, [job.dot(n), "443", ...datagrams.map((each) => Buffer.from(each).toString("hex"))]);

const idOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const helloFor = (name: string): Uint8Array => buildHello({ extensions: [serverNames(name)] });
const name = (job: Job): string => `quic${job.v}.example`;
const initial = (hello: Uint8Array, marker: string, version: 1 | 2 = 1): Uint8Array =>
  datagram(sealInitial(padded(cryptoFrame(0, hello), 1100), { scid: idOf(marker), version }));

/** At the address where a quic rule stands: refused by what the first flight shows. */
const flight =
  (reason: string, more: object = {}) =>
  (job: Job) =>
    refused(reason, { ip: job.dot(92), port: 443, ...more }, "name");
const foreign = flight("default", { name: "evil.example", name_from: "sni", protocol: "quic" });

function quic(variant: string, make: (marker: string, job: Job) => Uint8Array[], refusal: Attack["refusal"]): Attack {
  return {
    kind,
    row,
    variant,
    run: async (job, marker) => {
      await job.resolve(name(job));
      await send(job, 92, ...make(marker, job));
    },
    refusal,
  };
}

const evilHello = helloFor("evil.example");

export const quicCases: Attack[] = [
  {
    kind,
    row,
    variant: "to an allowed name without a quic rule",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await send(job, 10, initial(helloFor("allowed.example"), marker));
    },
    refusal: (job) => refused("default", { name: "allowed.example", ip: job.dot(10), port: 443, protocol: "udp" }),
    foretold: (job) => refused("default", { name: "allowed.example", ip: job.dot(10), protocol: "quic" }, "name"),
  },
  {
    kind,
    row,
    variant: "to the attacker's address with an allowed SNI",
    run: async (job, marker) => {
      await job.resolve(name(job));
      await send(job, 66, initial(helloFor(name(job)), marker));
    },
    refusal: (job) => refused("no_name", { ip: job.dot(66), port: 443, protocol: "udp" }),
    foretold: (job) => refused("name_mismatch", { name: name(job), ip: job.dot(66), protocol: "quic" }, "name"),
  },
  {
    kind,
    row,
    variant: "a real client with the attacker's SNI at an allowed address",
    run: async (job) => {
      await job.resolve(name(job));
      const args = ["--quiet", "--timeout=2s", "--exit-on-all-streams-close"];
      await job.exec("gtlsclient", [...args, job.dot(92), "443", "https://localhost/"], { timeoutMs: 4_000 });
    },
    arrived: async (job) => {
      const flows = await job.lab.sink.packets({ protocol: "udp", destination: job.dot(92), destinationPort: 443 });
      const total = flows.reduce((sum, each) => sum + each.bytes, 0);
      await job.lab.sink.clear();
      return { bytes: total, where: `${job.dot(92)}:443` };
    },
    // To an address the client shows this name.
    refusal: (job) => refused("default", { name: "localhost", ip: job.dot(92), protocol: "quic" }, "name"),
  },
  quic("the attacker's SNI at an allowed address", (marker) => [initial(evilHello, marker)], foreign),
  quic("the same in version 2", (marker) => [initial(evilHello, marker, 2)], foreign),
  quic(
    "the same over two datagrams",
    (marker) => [
      datagram(sealInitial(padded(cryptoFrame(0, evilHello.subarray(0, 40)), 1100), { scid: idOf(marker) })),
      datagram(sealInitial(padded(cryptoFrame(40, evilHello.subarray(40)), 1100), { scid: idOf(marker), number: 1 })),
    ],
    foreign,
  ),
  quic(
    "the same, the second half first",
    (marker) => [
      datagram(sealInitial(padded(cryptoFrame(40, evilHello.subarray(40)), 1100), { scid: idOf(marker), number: 1 })),
      datagram(sealInitial(padded(cryptoFrame(0, evilHello.subarray(0, 40)), 1100), { scid: idOf(marker) })),
    ],
    foreign,
  ),
  quic(
    "the same in two packets of one datagram",
    (marker) => [
      datagram(
        sealInitial(cryptoFrame(0, evilHello.subarray(0, 40)), { scid: idOf(marker) }),
        sealInitial(padded(cryptoFrame(40, evilHello.subarray(40)), 1000), { scid: idOf(marker), number: 1 }),
      ),
    ],
    foreign,
  ),
  quic(
    "the same in frames out of order",
    (marker) => [
      datagram(
        sealInitial(
          padded(bytes(cryptoFrame(30, evilHello.subarray(30)), cryptoFrame(0, evilHello.subarray(0, 30))), 1100),
          { scid: idOf(marker) },
        ),
      ),
    ],
    foreign,
  ),
  quic(
    "two frames that differ about the name",
    (marker, job) => [
      datagram(
        sealInitial(
          padded(bytes(cryptoFrame(0, helloFor(name(job)).subarray(0, 70)), cryptoFrame(0, evilHello)), 1100),
          {
            scid: idOf(marker),
          },
        ),
      ),
    ],
    flight("overlap"),
  ),
  quic(
    "a token with data, the attacker's SNI behind it",
    (marker) => [datagram(sealInitial(padded(cryptoFrame(0, evilHello), 1050), { token: idOf(marker) }))],
    foreign,
  ),
  quic(
    "a version that nobody knows, to have the server name its own",
    (marker) => [bytes(0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, idOf("12345678"), 16, idOf(marker), new Uint8Array(1200))],
    flight("not_protocol"),
  ),
  quic(
    "early data before any hello",
    (marker) => [bytes(0xd0, 0, 0, 0, 1, 8, idOf("12345678"), 16, idOf(marker), 0x44, 0x00, new Uint8Array(1024))],
    flight("not_protocol"),
  ),
  quic(
    "a short header before any hello",
    (marker) => [bytes(0x40, idOf(marker), new Uint8Array(1200))],
    flight("not_protocol"),
  ),
  quic("any other datagram", (marker) => [idOf(marker)], flight("not_protocol")),
  {
    kind,
    row,
    variant: "a connection that moves to a new port",
    run: async (job, marker) => {
      await job.resolve(name(job));
      await send(job, 92, initial(helloFor(name(job)), "A-FIRST-FLIGHT--"));
      await send(job, 92, bytes(0x40, idOf(marker), new Uint8Array(200)));
    },
    refusal: flight("not_protocol"),
  },
];
