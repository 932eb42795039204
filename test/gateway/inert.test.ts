/**
 * Promise: monitor mode changes nothing that a job can notice (invariant 3). The same questions and requests are asked twice
 * in one lab, first with plain forwarding and then through the monitoring gateway, and the answers are the same, byte for
 * byte; so is what the servers saw.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import type { WebReport } from "../lab/internet/web.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "./start.ts";

/** Allows next to nothing: nearly everything below would be denied. */
const policy = `version: 1
rules:
  - { name: web, to: [allowed.example] }
default: { mode: monitor }
`;

/** Question, and what else the query carries. */
const questions: [name: string, type: number, options?: { class?: number; edns?: string; flags?: number }][] = [
  ["allowed.example", 1],
  ["allowed.example", 28],
  ["AllOwed.ExAmple", 1],
  ["evil.example", 1],
  ["evil.example", 16],
  ["cdn.example", 1],
  ["https.example", 65],
  ["mail.example", 15],
  ["big.example", 16],
  ["_https._tcp.srv.example", 33],
  ["private.example", 1],
  ["metadata.example", 28],
  ["loopback.example", 1],
  ["mapped.example", 28],
  ["x.wild.example", 1],
  ["nothing.example", 1],
  ["v6only.example", 1],
  ["servfail.example", 1],
  ["truncated.example", 1],
  ["loop.example", 1],
  ["11.113.0.203.in-addr.arpa", 12],
  ["evil.example", 255],
  ["evil.example", 10],
  ["version.bind", 16, { class: 3 }],
  ["allowed.example", 1, { edns: "0003000461626364" }],
  ["allowed.example", 1, { edns: "fde900046c656b65", flags: 0x8000 }],
];

let lab: Lab;

before(async () => {
  requireTools(["ip", "curl"]);
  lab = await Lab.create({ forwarding: true, routeInside: true });
});
after(() => lab?.close());

/** A query's bytes, with a fixed ID. */
function query(name: string, type: number, options: { class?: number; edns?: string; flags?: number } = {}): string {
  const labels = name
    .split(".")
    .map((label) => Buffer.of(label.length).toString("hex") + Buffer.from(label).toString("hex"));
  const hex = (value: number): string => value.toString(16).padStart(4, "0");
  const { edns = "", flags = 0 } = options;
  // OPT: root, type 41, 1232 bytes, no extended code, version 0, flags, data (RFC 6891 section 6.1).
  const opt = edns === "" ? "" : `00002904d00000${hex(flags)}${hex(edns.length / 2)}${edns}`;
  const head = `1234010000010000000000${edns === "" ? "00" : "01"}`;
  return `${head}${labels.join("")}00${hex(type)}${hex(options.class ?? 1)}${opt}`;
}

/** Sends messages to a server over UDP and TCP, and tells the answers as hex. */
const asker = `
const [, server, ...messages] = process.argv;
const { createSocket } = require("dgram"), { connect, isIPv6 } = require("net");
const udp = (hex) => new Promise((done) => {
  const socket = createSocket(isIPv6(server) ? "udp6" : "udp4");
  const end = (answer) => { socket.close(); done(answer); };
  const late = setTimeout(end, 2000, "none");
  socket.on("message", (bytes) => { clearTimeout(late); end(bytes.toString("hex")); });
  socket.send(Buffer.from(hex, "hex"), 53, server);
});
const tcp = (hexes) => new Promise((done) => {
  const socket = connect(53, server), answers = [];
  let bytes = Buffer.alloc(0), i = 0;
  const ask = () => {
    if (i === hexes.length) { socket.end(); return done(answers); }
    const message = Buffer.from(hexes[i++], "hex");
    socket.write(Buffer.concat([Buffer.of(message.length >> 8, message.length & 255), message]));
  };
  socket.on("connect", ask).on("error", () => done(answers)).on("data", (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < 2 || bytes.length < 2 + bytes.readUInt16BE(0)) return;
    answers.push(bytes.subarray(2).toString("hex"));
    bytes = Buffer.alloc(0);
    ask();
  });
});
(async () => {
  const answers = [];
  for (const message of messages) answers.push(await udp(message));
  console.log(JSON.stringify({ udp: answers, tcp: await tcp(messages) }));
})();`;

type Answers = { udp: string[]; tcp: string[] };

/** Everything that a job and the internet can see of each other here. */
async function observe(): Promise<{
  answers: Record<string, Answers>;
  queries: unknown;
  web: unknown;
  other: unknown;
}> {
  const runner = lab.runner(1);
  await lab.sink.clear();
  const messages = questions.map(([name, type, options]) => query(name, type, options));
  const answers: Record<string, Answers> = {};
  for (const server of ["203.0.113.53", "203.0.113.54", "2001:db8:200::53", "2001:db8:200::54"]) {
    const { stdout, stderr } = await runner.exec(process.execPath, ["-e", asker, server, ...messages]);
    assert.notEqual(stdout, "", stderr);
    answers[server] = JSON.parse(stdout) as Answers;
  }
  const queries = (await lab.internet.dns.queries()).map(({ name, type, server, transport }) => [
    name,
    type,
    server,
    transport,
  ]);
  const web: WebReport[] = [];
  for (const family of ["-4", "-6"]) {
    for (const url of ["https://allowed.example/a", "https://evil.example/b", "http://plain.example/c"]) {
      for (const version of ["--http1.1", "--http2"]) {
        const { stdout, stderr } = await runner.exec("curl", ["-sS", family, version, url]);
        assert.notEqual(stdout, "", stderr);
        web.push(JSON.parse(stdout) as WebReport);
      }
    }
  }
  const scripts = [
    "curl -sk https://203.0.113.66/ -o /dev/null -w '%{http_code} %{num_connects} %{remote_ip}'",
    "curl -sS -H 'Host: evil.example' https://allowed.example/",
    "curl -sS https://allowed.example/bytes/3000000 | sha256sum",
    "echo hi | socat -t 1 - UDP4:203.0.113.66:9100",
    "echo hi | socat -t 1 - TCP6:[2001:db8:200::66]:9000",
    "ping -c1 -W2 203.0.113.66 | grep -o 'ttl=[0-9]*'",
    // A port where nothing listens, and an address where nothing answers.
    "curl -sS --max-time 2 http://203.0.113.66:81/; echo $?",
    "curl -sS --max-time 1 http://203.0.113.250/; echo $?",
    // The port that our DNS firewall listens on is closed, unless it is come to by way of port 53.
    "echo x | socat -t 2 - UDP4:10.20.1.1:15053 2>&1 | grep -o refused",
    "echo x | socat -t 2 - TCP6:[fd20:1::1]:15053 2>&1 | grep -o refused",
    "dig +tries=1 +time=2 +short -p 15053 @10.20.1.1 allowed.example",
    // Time to live is one hop less behind a router, and that router answers when it runs out.
    "ping -t1 -c1 -W2 203.0.113.66 | grep -o 'From [0-9.]*'",
  ];
  const other: string[] = [];
  for (const script of scripts)
    other.push((await runner.exec("sh", ["-c", `${script} 2>&1`])).stdout.replace(/after \d+ ms/, ""));
  return { answers, queries, web, other };
}

test("answers, addresses, bytes and errors are those of plain forwarding, and the servers see the same", async () => {
  const plain = await observe();
  assert.ok(plain.answers["203.0.113.54"]?.udp[0]?.endsWith("cb00710a"), "the first answer is 203.0.113.10");
  assert.equal(plain.answers["2001:db8:200::54"]?.tcp.length, questions.length);
  const gateway = await RunningGateway.start(lab, { policy, args: ["--no-masquerade"] });
  const monitored = await observe();
  for (const [server, answers] of Object.entries(plain.answers)) {
    for (const transport of ["udp", "tcp"] as const) {
      for (const [i, question] of questions.entries()) {
        const seen = monitored.answers[server]?.[transport][i];
        assert.equal(seen, answers[transport][i], `${JSON.stringify(question)} of ${server} over ${transport}`);
      }
    }
  }
  assert.deepEqual(monitored.queries, plain.queries);
  assert.deepEqual(monitored.web, plain.web);
  assert.deepEqual(monitored.other, plain.other);

  const would = (destination: object): Promise<unknown> =>
    gateway.expect({ kind: "connection", verdict: "would_deny", enforced: false, destination });
  await would({ ip: "203.0.113.66", port: 443, protocol: "tls" });
  await would({ name: "evil.example", name_from: "sni", protocol: "tls" });
  await would({ name: "plain.example", name_from: "host", protocol: "http" });
  await would({ ip: "203.0.113.66", port: 9100, protocol: "udp" });
  const dns = { kind: "dns", verdict: "would_deny", enforced: false };
  await gateway.expect({ ...dns, destination: { name: "evil.example", ip: "203.0.113.54" }, dns: { qtype: "A" } });
  await gateway.expect({ ...dns, dns: { server: "[2001:db8:200::54]:53" } });
  assert.deepEqual(gateway.recorded({ verdict: "deny" }), []);
});
