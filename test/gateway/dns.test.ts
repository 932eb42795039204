/**
 * Promises of the DNS firewall where it stands for real: allowed names are asked upstream in our own words, so that a query
 * carries nothing but the name; answers are rebuilt, so that nothing but what was asked comes back; failures are answered.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "./start.ts";

const policy = `version: 1
rules:
  - name: web
    to: [allowed.example, https.example, cdn.example, mail.example, forged.example, moving.example, "*.wild.example",
      private.example, dead-dns.example, servfail.example, lossy-dns.example, loop.example]
`;
let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "dig", "curl"]);
  lab = await Lab.create();
  gateway = await RunningGateway.start(lab, { policy });
});
after(() => lab?.close());

const dig = async (...args: string[]): Promise<string> =>
  (await lab.runner(1).exec("dig", ["+tries=1", "+time=9", ...args], { timeoutMs: 20_000 })).stdout.trim();

test("D2, D3: case, options and padding of a client's query do not travel; the name does, in lower case", async () => {
  await lab.sink.clear();
  const marker = lab.marker();
  const option = `+ednsopt=65001:${Buffer.from(marker).toString("hex")}`;
  assert.equal(await dig("+short", option, "+nsid", "+cookie=0011223344556677", "MiXeD.WILD.example"), "203.0.113.60");
  assert.deepEqual(await lab.sink.find(marker), []);
  const queries = (await lab.internet.dns.queries()).map(({ name, type }) => `${name} ${type}`);
  assert.deepEqual(queries, ["mixed.wild.example A"]);
});

test("a second question for the same name is answered without asking, and the address stays bound", async () => {
  await dig("+short", "again.wild.example");
  await lab.sink.clear();
  assert.equal(await dig("+short", "again.wild.example"), "203.0.113.60");
  assert.deepEqual(await lab.internet.dns.queries(), []);
  const { code } = await lab.runner(1).exec("curl", ["-sS", "-o", "/dev/null", "-4", "https://again.wild.example/"]);
  assert.equal(code, 0);
});

test("N8: HTTPS records come without ECH keys, with what a client needs to connect", async () => {
  const answer = await dig("+short", "https.example", "TYPE65");
  assert.match(answer, /^1 \. alpn="h2,http\/1\.1" ipv4hint=203\.0\.113\.30 ipv6hint=2001:db8:200::30$/);
});

test("D5: a forged answer that comes before the true one binds nothing and is not passed on", async () => {
  for (const forge of ["id", "question"] as const) {
    await lab.internet.dns.set("forged.example", { records: [{ type: "A", data: "203.0.113.98", ttl: 0 }], forge });
    assert.equal(await dig("+short", "forged.example"), "203.0.113.98");
  }
});

test("D6: private, metadata and loopback addresses are taken out of an answer that has others, too", async () => {
  const records = ["10.0.0.5", "203.0.113.71", "169.254.169.254", "127.0.0.1"].map((data) => ({
    type: "A" as const,
    data,
  }));
  await lab.internet.dns.set("moving.example", { records });
  assert.equal(await dig("+short", "moving.example"), "203.0.113.71");
  assert.doesNotMatch(await dig("private.example", "AAAA"), /fd00::5/);
});

test("a reverse lookup knows the names that were handed out and asks nobody", async () => {
  await dig("+short", "mail.example");
  await lab.sink.clear();
  assert.equal(await dig("+short", "-x", "203.0.113.25"), "mail.example.");
  assert.match(await dig("-x", "203.0.113.22"), /NXDOMAIN/);
  assert.deepEqual(await lab.internet.dns.queries(), []);
});

test("what goes wrong upstream is answered: SERVFAIL for no answer, a failure or a loop; one lost packet is asked again", async () => {
  const answers = await Promise.all(
    ["dead-dns.example", "servfail.example", "loop.example", "lossy-dns.example"].map((name) => dig(name)),
  );
  for (const answer of answers.slice(0, 3)) assert.match(answer, /status: SERVFAIL/);
  assert.match(answers[3]!, /203\.0\.113\.62/);
  await gateway.expect({ kind: "dns", reason: "upstream_failed", destination: { name: "dead-dns.example" } });
});

test("D3: many questions on one TCP connection, in one segment, are all answered", async () => {
  const script = String.raw`
    const message = (n) => { const name = Buffer.from("\x02x" + n + "\x04wild\x07example\x00", "latin1");
      const query = Buffer.concat([Buffer.of(0, n, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0), name, Buffer.of(0, 1, 0, 1)]);
      return Buffer.concat([Buffer.of(0, query.length), query]); };
    const socket = require("net").connect(53, "203.0.113.54");
    socket.write(Buffer.concat([1, 2, 3, 4, 5, 6, 7, 8, 9].map(message)));
    let bytes = Buffer.alloc(0); const ids = new Set();
    socket.on("data", (chunk) => { bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length > 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
        const size = 2 + bytes.readUInt16BE(0); ids.add(bytes[3]); bytes = bytes.subarray(size); }
      if (ids.size === 9) { console.log("all"); process.exit(); } });
    setTimeout(() => { console.log([...ids].join()); process.exit(1); }, 5000);`;
  const { stdout, stderr } = await lab.runner(1).exec(process.execPath, ["-e", script]);
  assert.equal(stdout.trim(), "all", stderr);
});
