/**
 * Promise: a refusal is an answer, at once. Developers see "refused", not a job that hangs: TCP gets a reset, UDP and the
 * rest get ICMP "administratively prohibited", DNS an answer of its own, and a refused hello a reset at both ends.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { batteryPolicy, furnish } from "../battery/internet.ts";
import { flags, ip, protocols, send, tcp } from "../battery/tcp/raw.ts";
import { RunningGateway } from "./start.ts";

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "curl", "dig", "tcpdump"]);
  lab = await Lab.create();
  await furnish(lab);
  gateway = await RunningGateway.start(lab, { policy: batteryPolicy("enforce") });
  // The first look at a path costs more than any later one.
  await lab.runner(1).exec("curl", ["-s", "-o", "/dev/null", "https://allowed.example/"]);
});
after(() => lab?.close());

/** What a client's socket hears of its attempt, and how many milliseconds after it. */
async function hears(script: string, ...args: string[]): Promise<{ error: string; ms: number }> {
  const prologue = `const start = performance.now(); const [, host, port] = process.argv;
    const tell = (error) => { console.log(JSON.stringify({ error, ms: performance.now() - start })); process.exit(); };
    setTimeout(tell, 5000, "nothing");`;
  const { stdout, stderr } = await lab.runner(1).exec(process.execPath, ["-e", prologue + script, ...args]);
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as { error: string; ms: number };
}

const connects = `require("net").connect({ host, port }).on("error", (e) => tell(e.code)).on("connect", () => tell("connected"));`;
const says = `require("net").connect({ host, port }).on("error", (e) => tell(e.code)).on("data", () => tell("data"))
  .on("end", () => tell("end")).write("plain text\\n");`;
const asks = `require("tls").connect({ host, port, servername: "evil.example" }).on("error", (e) => tell(e.code))
  .on("secureConnect", () => tell("connected"));`;
/** A refused datagram shows as the error of a later call on the connected socket. */
const datagram = `const { createSocket } = require("dgram"); const { isIPv6 } = require("net");
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4"); socket.on("error", (e) => tell(e.code));
  socket.connect(port, host, () => setInterval(() => socket.send("data", (e) => e && tell(e.code)), 20));`;

for (const { v, at } of [
  { v: 4, at: (n: number) => `203.0.113.${n}` },
  { v: 6, at: (n: number) => `2001:db8:200::${n}` },
] as const) {
  describe(`over IPv${v}`, () => {
    test("a connection to an address nobody may reach is refused like one to a closed port", async () => {
      for (const port of ["80", "443", "9000"]) {
        const { error, ms } = await hears(connects, at(66), port);
        assert.equal(error, "ECONNREFUSED");
        assert.ok(ms < 1000, `${ms} ms`);
      }
    });

    test("a hello with a name that is denied is answered with a reset", async () => {
      await lab.runner(1).exec("dig", ["allowed.example", v === 4 ? "A" : "AAAA"]);
      const { error, ms } = await hears(asks, at(10), "443");
      assert.equal(error, "ECONNRESET");
      assert.ok(ms < 1000, `${ms} ms`);
    });

    test("what is not TLS on a tls rule is answered with a reset", async () => {
      const { error, ms } = await hears(says, at(10), "443");
      assert.equal(error, "ECONNRESET");
      assert.ok(ms < 1000, `${ms} ms`);
    });

    test("a datagram is answered with ICMP administratively prohibited", async () => {
      const listen = lab.runner(1).spawn("tcpdump", ["-lnvi", "any", v === 4 ? "icmp" : "icmp6"]);
      await listen.waitFor(/listening on/);
      const { error, ms } = await hears(datagram, at(66), "443");
      // Linux tells sockets so (icmp(7), ipv6(7)).
      assert.equal(error, v === 4 ? "EHOSTUNREACH" : "EACCES");
      assert.ok(ms < 1000, `${ms} ms`);
      await listen.waitFor(v === 4 ? /admin prohibited/ : /unreachable prohibited|admin.*prohibited/);
      await listen.kill();
    });

    test("a segment of a connection that never was is answered with a reset", async () => {
      const listen = lab.runner(1).spawn("tcpdump", ["-lni", "any", "tcp[tcpflags] & tcp-rst != 0 or ip6"]);
      await listen.waitFor(/listening on/);
      const source = v === 4 ? lab.inside(1).runner.v4 : lab.inside(1).runner.v6;
      const bytes = tcp({
        ...{ source, destination: at(10), sourcePort: 31_000, destinationPort: 443 },
        ...{ flags: flags.ack | flags.psh, ack: 77, payload: Buffer.from("data") },
      });
      send(lab.runner(1), at(10), ip(source, at(10), protocols.tcp, bytes));
      await listen.waitFor(/\.443 > \S+\.31000: Flags \[R/);
      await listen.kill();
    });
  });
}

test("a denied name is answered at once, with the reason where the client can show it", async () => {
  const { stdout, ms } = await lab.runner(1).exec("dig", ["+tries=1", "+time=3", "denied.example"]);
  assert.match(stdout, /status: NXDOMAIN/);
  assert.match(stdout, /EDE: 15 \(Blocked\)|EDE: 17 \(Filtered\)|EDE: 18 \(Prohibited\)/);
  assert.ok(Number(/Query time: (\d+) msec/.exec(stdout)?.[1]) < 500 && ms < 3000, stdout);
});

test("a private answer is an answer without addresses, not silence", async () => {
  const { mark } = gateway;
  const { stdout } = await lab.runner(1).exec("dig", ["+tries=1", "+time=3", "private.example"]);
  assert.doesNotMatch(stdout, /10\.0\.0\.5|timed out/);
  const event = { kind: "dns", verdict: "deny", reason: "private_address", destination: { name: "private.example" } };
  await gateway.expect(event, mark);
});
