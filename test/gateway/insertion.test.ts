/**
 * Threats N2 and N6, insertion: the gateway is shown an allowed hello in a packet that the server never reads, and the same
 * bytes of the stream then carry another hello. A real connection, whose sequence numbers are read off the wire, and forged
 * packets on it. Whatever the gateway answers, the second hello never arrives.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connect } from "node:tls";
import { Duplex } from "node:stream";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { attemptsPolicy } from "../battery/attempts.ts";
import { flags, ip, protocols, send, tcp } from "../battery/tcp/raw.ts";
import { RunningGateway } from "./start.ts";

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "dig", "tcpdump"]);
  lab = await Lab.create();
  gateway = await RunningGateway.start(lab, { policy: attemptsPolicy("enforce") });
});
after(() => lab?.close());

/** The ClientHello that a real TLS stack sends for this name. */
function helloFor(servername: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({ read() {}, write: (chunk: Buffer) => resolve(chunk) });
    connect({ socket: wire, servername }).on("error", () => {});
  });
}

/** Connects, says on which port, and sends a hello for the name when told to. */
const client = `
const [, host, servername] = process.argv;
const socket = require("net").connect({ host, port: 443 }, () => console.log("port " + socket.localPort));
socket.on("error", (e) => { console.log("error " + e.code); process.exit(); });
process.stdin.once("data", () => {
  const tls = require("tls").connect({ socket, servername, rejectUnauthorized: false }, () => console.log("secure"));
  tls.on("error", (e) => { console.log("error " + e.code); process.exit(); });
});
setTimeout(() => process.exit(), 4000);`;

type Place = { source: string; destination: string; sourcePort: number; seq: number; ack: number };

/** Ways to make a packet that we can read and the server will not take. */
const packets: Record<string, { only?: 4 | 6; make: (place: Place, hello: Buffer) => Buffer }> = {
  "a time to live that ends on the way": {
    make: (place, hello) => {
      const packet = segment(place, hello);
      packet[place.source.includes(":") ? 7 : 8] = 3;
      return packet;
    },
  },
  "a wrong checksum": {
    make: (place, hello) => {
      const packet = segment(place, hello);
      packet[(place.source.includes(":") ? 40 : 20) + 16]! ^= 0x55;
      return packet;
    },
  },
  "no ACK": { make: (place, hello) => segment(place, hello, flags.psh) },
  "an urgent byte": {
    make: (place, hello) => segment(place, hello, flags.psh | flags.ack | 0x20),
  },
  "bytes before the window": {
    make: (place, hello) => segment({ ...place, seq: (place.seq - 100_000) >>> 0 }, hello),
  },
  "an option that makes a host discard it": {
    only: 6,
    make: (place, hello) => {
      const { source, destination } = place;
      // Action bits 10: discard, and say so (RFC 8200 section 4.2).
      const options = Buffer.of(protocols.tcp, 0, 0x9e, 4, 0, 0, 0, 0);
      return ip(source, destination, 60, Buffer.concat([options, bytesOf(place, hello)]));
    },
  },
  "an IPv4 option": {
    only: 4,
    make: (place, hello) => {
      const packet = segment(place, hello);
      const header = Buffer.concat([packet.subarray(0, 20), Buffer.of(0x94, 4, 0, 0)]);
      header[0] = 0x46;
      header.writeUInt16BE(packet.length + 4, 2);
      return Buffer.concat([header, packet.subarray(20)]);
    },
  },
};

function bytesOf(
  { source, destination, sourcePort, seq, ack }: Place,
  payload: Buffer,
  bits = flags.psh | flags.ack,
): Buffer {
  return tcp({ source, destination, sourcePort, destinationPort: 443, flags: bits, seq, ack, payload });
}

function segment(place: Place, payload: Buffer, bits?: number): Buffer {
  return ip(place.source, place.destination, protocols.tcp, bytesOf(place, payload, bits));
}

for (const v of [4, 6] as const) {
  describe(`over IPv${v}`, () => {
    for (const [title, { only, make }] of Object.entries(packets)) {
      if (only !== undefined && only !== v) continue;
      test(title, async () => {
        const runner = lab.runner(1);
        const destination = v === 4 ? "203.0.113.10" : "2001:db8:200::10";
        const source = v === 4 ? lab.inside(1).runner.v4 : lab.inside(1).runner.v6;
        await runner.exec("dig", ["+short", "allowed.example", v === 4 ? "A" : "AAAA"]);
        const marker = lab.marker();
        const listen = runner.spawn("tcpdump", [
          "-lnnSi",
          "any",
          "--immediate-mode",
          `tcp port 443 and host ${destination}`,
        ]);
        await listen.waitFor(/listening on/);
        const job = runner.spawn(process.execPath, ["-e", client, destination, `${marker}.evil.example`]);
        const sourcePort = Number((await job.waitFor(/port (\d+)/))[1]);
        const answer = new RegExp(`\\.443 > \\S+\\.${sourcePort}: Flags \\[S\\.\\], seq (\\d+), ack (\\d+)`);
        const [, server, next] = await listen.waitFor(answer);
        await listen.kill("SIGKILL");
        const place = { source, destination, sourcePort, seq: Number(next), ack: (Number(server) + 1) >>> 0 };
        const { mark } = gateway;
        send(runner, destination, make(place, await helloFor("allowed.example")));
        job.write("go\n");
        const { stdout } = await job.exited;
        assert.doesNotMatch(stdout, /secure/);
        assert.deepEqual(await lab.sink.find(marker), []);
        await gateway.expect({ kind: "connection", verdict: "deny", source: { port: sourcePort } }, mark);
      });
    }

    test("the same connection without a forged packet reaches an allowed name: the attack is what is refused", async () => {
      const destination = v === 4 ? "203.0.113.10" : "2001:db8:200::10";
      const job = lab.runner(1).spawn(process.execPath, ["-e", client, destination, "allowed.example"]);
      await job.waitFor(/port \d+/);
      job.write("go\n");
      await job.waitFor(/secure/);
      await job.kill("SIGKILL");
    });
  });
}
