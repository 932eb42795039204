/**
 * Rows N2 and N6, insertion: the firewall is shown an allowed hello in a packet that the server never reads, and the same
 * bytes of the stream then carry the denied one.
 */
import { buildHello, filler, records, serverNames } from "../../wire/hello.ts";
import type { Attack, Family } from "../case.ts";
import { hello, letGo, markedHello, refused } from "../refusals.ts";
import { EvilConnection } from "../tcp/evil.ts";
import { flags, ip, protocols } from "../tcp/raw.ts";
import type { Job } from "../job.ts";

/** Ways to make a packet that we can read and the server will not take. */
const spoilt: {
  variant: string;
  only?: Family;
  reason: string;
  /** Which hello monitor mode takes for the connection's. */
  watched?: "good";
  make: (c: EvilConnection, hello: Uint8Array, job: Job) => Buffer;
}[] = [
  {
    variant: "a time to live that ends on the way",
    watched: "good",
    reason: "malformed",
    make: (c, hello, { v }) => {
      const packet = c.packet(0, hello);
      packet[v === 6 ? 7 : 8] = 3;
      return packet;
    },
  },
  {
    variant: "a wrong checksum",
    reason: "default",
    make: (c, hello, { v }) => {
      const packet = c.packet(0, hello);
      packet[(v === 6 ? 40 : 20) + 16]! ^= 0x55;
      return packet;
    },
  },
  { variant: "no ACK", reason: "mid_stream", make: (c, hello) => c.packet(0, hello, flags.psh) },
  {
    variant: "an urgent byte",
    watched: "good",
    reason: "malformed",
    make: (c, hello) => c.packet(0, hello, flags.psh | flags.ack | 0x20),
  },
  { variant: "bytes before the window", reason: "default", make: (c, hello) => c.packet(-100_000, hello) },
  {
    variant: "an option that makes a host discard it",
    only: 6,
    watched: "good",
    reason: "malformed",
    make: (c, hello, job) => {
      // Action bits 10: discard, and say so (RFC 8200 section 4.2).
      const options = Buffer.of(protocols.tcp, 0, 0x9e, 4, 0, 0, 0, 0);
      return ip(job.source, job.dot(10), 60, Buffer.concat([options, c.segment(0, hello)]));
    },
  },
  {
    variant: "an IPv4 option",
    only: 4,
    watched: "good",
    reason: "malformed",
    make: (c, hello) => {
      const packet = c.packet(0, hello);
      const header = Buffer.concat([packet.subarray(0, 20), Buffer.of(0x94, 4, 0, 0)]);
      header[0] = 0x46;
      header.writeUInt16BE(packet.length + 4, 2);
      return Buffer.concat([header, packet.subarray(20)]);
    },
  },
];

export const insertionCases: Attack[] = spoilt.map(({ variant, only, reason, make, watched }) => ({
  kind: "attack",
  row: "N6",
  variant: `the allowed hello in a packet with ${variant}, then the denied`,
  ...(only === undefined ? {} : { families: [only] }),
  run: async (job, marker) => {
    await job.resolve("allowed.example");
    const connection = await EvilConnection.open(job, job.dot(10));
    const good = records(buildHello({ extensions: [serverNames("allowed.example"), filler(42, 200)] }));
    connection.put(make(connection, good, job));
    connection.send(0, records(buildHello({ extensions: [serverNames(`${marker}.evil.example`), filler(42, 200)] })));
    await connection.answered();
  },
  refusal: (job) => refused(reason, { ip: job.dot(10), port: 443 }, reason === "mid_stream" ? "connect" : "name"),
  // Monitor reads the packet that the server does not, or the denied hello where it does not read that packet either.
  foretold: (job, marker) =>
    watched === "good"
      ? { ...hello("allowed.example", "rule")(job), ...letGo }
      : markedHello(".evil.example")(job, marker),
}));
