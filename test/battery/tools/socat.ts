/** socat(1): the marker over whatever it can open. */
import { addWords, finish } from "../../../src/wire/ip/checksum.ts";
import type { Attack, Family } from "../case.ts";
import { refused } from "../refusals.ts";
import { nameless, toolCase, type Ends, type Told } from "./tool.ts";

type Way = {
  how: string;
  n: number;
  /** What is written to it; a line with the marker unless told. */
  input?: (ends: Ends) => Buffer;
  to: (ends: Ends) => string;
  from?: (ends: Ends) => Promise<string>;
  told: Told;
};

function socat({ how, n, to, from, input, told }: Way): Attack {
  return toolCase({
    variant: `socat: ${how}`,
    n,
    ...(from === undefined
      ? {}
      : {
          server: async (ends) =>
            ends.attacker.spawn(
              "socat",
              ["-d", "-d", "-u", await from(ends), "STDOUT"],
              /listening|successfully|receiving|starting data/,
            ),
        }),
    client: (ends) =>
      ends.job.exec("socat", ["-u", "-", to(ends)], {
        input: input?.(ends) ?? `${ends.marker}\n`,
        timeoutMs: 3_000,
      }),
    ...told,
  });
}

const icmp = (v: Family) => (v === 4 ? 1 : 58);

/** An echo request with the marker: what is written to a raw socket is all of the packet. */
function echoRequest({ job, marker }: Ends): Buffer {
  const header = Buffer.alloc(8);
  header[0] = job.v === 4 ? 8 : 128;
  const packet = Buffer.concat([header, Buffer.from(`${marker}\n`, "latin1")]);
  // The kernel fills in the checksum of ICMPv6, which has a pseudo-header (RFC 4443 section 2.3).
  if (job.v === 4) packet.writeUInt16BE(finish(addWords(0, packet, 0, packet.length)), 2);
  return packet;
}

export const socatCases: Attack[] = [
  socat({
    how: "TCP",
    n: 150,
    to: ({ at }) => `TCP:${at}:7000`,
    from: async ({ at, job }) => `TCP${job.v}-LISTEN:7000,bind=${at},fork`,
    told: nameless(150, 7000, "tcp"),
  }),
  socat({
    how: "UDP",
    n: 151,
    to: ({ at }) => `UDP:${at}:7000`,
    from: async ({ at, job }) => `UDP${job.v}-RECV:7000,bind=${at}`,
    told: nameless(151, 7000, "udp"),
  }),
  socat({
    how: "TLS with the name of an allowed host",
    n: 152,
    to: ({ at }) => `OPENSSL:${at}:443,verify=0,snihost=allowed.example`,
    from: async ({ at, job }) => {
      const { keyFile, certFile } = await job.lab.internet.call("certificate", { name: "evil.example" });
      return `OPENSSL-LISTEN:443,bind=${at},pf=ip${job.v},fork,verify=0,cert=${certFile},key=${keyFile}`;
    },
    told: nameless(152, 443, "tcp", "name_mismatch"),
  }),
  socat({
    how: "raw ICMP",
    n: 153,
    input: echoRequest,
    to: ({ at, job }) => `IP-SENDTO:${at}:${icmp(job.v)}`,
    told: { refusal: (job) => refused("protocol_denied", { ip: job.dot(153), protocol: "icmp" }) },
  }),
  socat({
    how: "a raw IP protocol",
    n: 154,
    to: ({ at }) => `IP-SENDTO:${at}:253`,
    told: { refusal: (job) => refused("protocol_denied", { ip: job.dot(154), protocol: "other" }) },
  }),
];
