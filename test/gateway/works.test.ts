/**
 * Promise: in enforce mode what the policy allows just works, with the programs that jobs really use, over IPv4 and IPv6,
 * and every allowed connection has its event with the rule that let it through.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import type { Outcome } from "../lab/process.ts";
import type { WebReport } from "../lab/internet/web.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "./start.ts";
import { brief } from "../support/record.ts";

const policy = `version: 1
permits:
  - { name: mirror by address, to: [192.0.2.0/24, "[2001:db8:300::/48]:443"] }
rules:
  - name: web
    to: [allowed.example, cdn.example, rotating.example, v6only.example, big.example, "*.wild.example", short.example]
  - { name: packages, to: [registry.npm.example] }
  - { name: source, to: [git.example] }
  - { name: plain web, to: [plain.example], ports: [80] }
  - { name: shell, to: [ssh.example], ports: [22] }
  - { name: streams, to: ["tcp.example:9000,9001"], protocol: tcp }
  - { name: datagrams, to: ["udp.example:9100"], protocol: udp }
  - { name: http/3, to: [quic4.example, quic6.example], protocol: quic }
`;

const families = [
  { v: "4", dot: (n: number) => `203.0.113.${n}`, mirror: "192.0.2.7" },
  { v: "6", dot: (n: number) => `2001:db8:200::${n}`, mirror: "[2001:db8:300::7]" },
] as const;

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "curl", "dig", "git", "socat", "gtlsclient", "gtlsserver"]);
  lab = await Lab.create({ quic: true });
  gateway = await RunningGateway.start(lab, { policy });
});
after(() => lab?.close());

async function run(command: string, ...args: string[]): Promise<Outcome> {
  const outcome = await lab.runner(1).exec(command, args);
  assert.equal(outcome.code, 0, `exit ${outcome.code}: ${outcome.stderr}${outcome.stdout}`);
  return outcome;
}

async function fetchReport(...args: string[]): Promise<WebReport> {
  return JSON.parse((await run("curl", "-sS", "--max-time", "20", ...args)).stdout) as WebReport;
}

/** The event of the connection that was let through, and under which rule. */
const allowed = (rule: string, destination: object, after: string) =>
  gateway.expect(
    { kind: "connection", verdict: "allow", enforced: true, reason: "rule", rule: { name: rule }, destination },
    after,
  );

for (const { v, dot, mirror } of families) {
  describe(`over IPv${v}`, () => {
    test("HTTPS by name, HTTP/1.1 and HTTP/2, masqueraded, with what the hello showed", async () => {
      for (const version of ["--http1.1", "--http2"]) {
        const { mark } = gateway;
        const report = await fetchReport(`-${v}`, version, "https://allowed.example/hello");
        assert.equal(report.server, "allowed.example");
        assert.equal(report.protocol, version === "--http2" ? "h2" : "http/1.1");
        assert.equal(report.client, v === "4" ? lab.outside.gateway.v4 : lab.outside.gateway.v6);
        const event = await allowed("web", { name: "allowed.example", name_from: "sni", ip: dot(10), port: 443 }, mark);
        assert.equal(event.stage, "name");
        assert.equal(event.tls?.version, "TLS 1.3");
        assert.deepEqual(event.tls?.alpn, version === "--http2" ? ["h2", "http/1.1"] : ["http/1.1"]);
      }
    });

    test("a hello with a post-quantum key share, which is larger than a packet", async () => {
      const { mark } = gateway;
      const script = `
        const request = require("https").get("https://allowed.example/", { family: ${v}, ecdhCurve: "X25519MLKEM768" });
        request.on("response", (r) => { r.pipe(process.stdout); });
        request.on("socket", (s) => s.on("secureConnect", () => console.error(s.getCipher().version)));`;
      const { stdout } = await run(process.execPath, "-e", script);
      assert.equal((JSON.parse(stdout) as WebReport).server, "allowed.example");
      const event = await allowed("web", { ip: dot(10), protocol: "tls" }, mark);
      assert.ok(event.tls !== undefined && event.tls.hello_bytes > 1400, JSON.stringify(event.tls));
      assert.match(event.tls.ja4, /^t13d\d{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}$/);
    });

    test("a large download and a large upload, byte for byte", async () => {
      const size = 50_000_000;
      const script = `curl -sS -${v} https://allowed.example/bytes/${size} | sha256sum`;
      const zeros = createHash("sha256").update(Buffer.alloc(size)).digest("hex");
      assert.equal((await run("sh", "-c", script)).stdout, `${zeros}  -\n`);
      const args = ["-sS", `-${v}`, "-T", "-", "https://allowed.example/up"];
      const sent = await lab.runner(1).exec("curl", args, { input: Buffer.alloc(5_000_000, "x") });
      assert.equal((JSON.parse(sent.stdout) as WebReport).bodyBytes, 5_000_000);
      await lab.sink.clear();
    });

    test("plain HTTP by Host, several requests on one connection", async () => {
      const { mark } = gateway;
      const urls = ["http://plain.example/1", "http://plain.example/2", "http://plain.example/bytes/100000"];
      const { stdout } = await run(
        "curl",
        "-sS",
        `-${v}`,
        "-w",
        "\n%{num_connects} %{http_code}\n",
        ...urls.slice(0, 2),
      );
      assert.match(stdout, /"path":"\/1".*\n1 200\n.*"path":"\/2".*\n0 200\n/s);
      assert.equal((await run("curl", "-sS", `-${v}`, urls[2]!)).stdout.length, 100_000);
      await allowed(
        "plain web",
        { name: "plain.example", name_from: "host", ip: dot(80), port: 80, protocol: "http" },
        mark,
      );
    });

    test("a prefix that a permit names, without a name", async () => {
      const { mark } = gateway;
      assert.equal((await fetchReport("-k", `https://${mirror}/`)).address, mirror.replaceAll(/[[\]]/g, ""));
      const event = await allowed(
        "mirror by address",
        { ip: mirror.replaceAll(/[[\]]/g, ""), name_from: "none" },
        mark,
      );
      assert.equal(event.rule?.tier, 1);
    });

    test("a chain of aliases", async () => {
      const { mark } = gateway;
      assert.equal((await fetchReport(`-${v}`, "https://cdn.example/")).server, "cdn.example");
      await allowed("web", { name: "cdn.example", ip: dot(20) }, mark);
    });

    test("SSH by its banner, TCP with either side first, UDP", async () => {
      const { mark } = gateway;
      const shell = async (script: string): Promise<string> => (await run("sh", "-c", script)).stdout;
      const ssh = `printf 'SSH-2.0-Test_1.0\\r\\n' | socat -t 5 - TCP${v}:ssh.example:22 | head -c 17`;
      assert.equal(await shell(ssh), "SSH-2.0-Lab_1.0\r\n");
      await allowed("shell", { name: "ssh.example", ip: dot(22), port: 22, protocol: "ssh" }, mark);
      assert.equal(await shell(`echo hi | socat -t 5 - TCP${v}:tcp.example:9000`), "hi\n");
      await allowed("streams", { name: "tcp.example", ip: dot(90), port: 9000 }, mark);
      assert.equal(await shell(`echo hi | socat -t 5 - TCP${v}:tcp.example:9001`), "220 tcp.example ready\r\nhi\n");
      await allowed("streams", { ip: dot(90), port: 9001 }, mark);
      assert.equal(await shell(`echo hi | socat -t 1 - UDP${v}:udp.example:9100`), "hi\n");
      await allowed("datagrams", { name: "udp.example", ip: dot(91), port: 9100, protocol: "udp" }, mark);
    });

    test("QUIC under a quic rule", async () => {
      const { mark } = gateway;
      // The client shows the name that it connected to and takes its first address: a name for each family.
      const name = `quic${v}.example`;
      await lab.internet.dns.set(name, { records: [{ type: v === "4" ? "A" : "AAAA", data: dot(92) }] });
      const { stderr } = await run("gtlsclient", "--exit-on-all-streams-close", name, "443", `https://${name}/`);
      assert.ok(stderr.includes("[:status: 200]"), stderr.slice(-2000));
      await allowed("http/3", { name, name_from: "sni", ip: dot(92), port: 443, protocol: "quic" }, mark);
    });

    test("fifty connections at once", async () => {
      const { mark } = gateway;
      const many = ["-Z", "--parallel-immediate", "--parallel-max", "50", "--http1.1"];
      const url = `https://x[1-50].wild.example/`;
      const { stdout } = await run("curl", "-sS", `-${v}`, ...many, "-w", "%{http_code}\n", "-o", "/dev/null", url);
      assert.equal(stdout, "200\n".repeat(50));
      for (const n of [1, 25, 50]) await allowed("web", { name: `x${n}.wild.example`, ip: dot(60) }, mark);
    });
  });
}

test("git clones", async () => {
  const { mark } = gateway;
  await run("git", "clone", "--quiet", "https://git.example/repo.git", "work");
  assert.equal((await run("cat", "work/README.md")).stdout, "A repository of the lab.\n");
  await allowed("source", { name: "git.example", port: 443 }, mark);
});

test("npm installs from a registry", async () => {
  const { mark } = gateway;
  await run("npm", "install", "--no-audit", "--registry=https://registry.npm.example/", "lab-greeting");
  assert.equal((await run("node", "-p", "require('lab-greeting')()")).stdout, "  hello from the lab  \n");
  await allowed("packages", { name: "registry.npm.example" }, mark);
});

test("a host that has IPv6 only", async () => {
  assert.equal((await fetchReport("https://v6only.example/")).address, "2001:db8:200::46");
});

test("an answer too large for UDP is truncated and whole over TCP", async () => {
  const { mark } = gateway;
  assert.match(
    (await run("dig", "+ignore", "+noall", "+comments", "big.example", "TXT")).stdout,
    /flags: [a-z ]*\btc\b/,
  );
  const { stdout } = await run("dig", "+noall", "+answer", "+stats", "big.example", "TXT");
  assert.match(stdout, /\(TCP\)/);
  assert.ok(stdout.includes(`19:${"lab".repeat(80)}`));
  await gateway.expect(
    { kind: "dns", verdict: "allow", rule: { name: "web" }, dns: { qtype: "TXT", rcode: "NOERROR" } },
    mark,
  );
});

test("an address that turns with every answer", async () => {
  const records = ["203.0.113.40", "203.0.113.41", "203.0.113.42"].map((data) => ({
    type: "A" as const,
    data,
    ttl: 1,
  }));
  await lab.internet.dns.set("rotating.example", { records, rotate: "one" });
  const seen = new Set<string>();
  const end = performance.now() + 15_000;
  while (seen.size < 3 && performance.now() < end)
    seen.add((await fetchReport("-4", "https://rotating.example/")).address);
  assert.equal(seen.size, 3);
});

test("a download goes on when its DNS answer has run out, and after the name has moved", async () => {
  const at = (data: string) => ({ records: [{ type: "A" as const, data, ttl: 1 }] });
  await lab.internet.host("203.0.113.71", ["short.example"]);
  await lab.internet.host("203.0.113.72", ["short.example"]);
  await lab.internet.dns.set("short.example", at("203.0.113.71"));
  const slow = lab.runner(1).spawn("curl", ["-sS", "-N", "https://short.example/slow?seconds=4"]);
  await slow.waitFor(/^\.+/);
  await lab.internet.dns.set("short.example", at("203.0.113.72"));
  const end = performance.now() + 10_000;
  let address = "";
  while (address !== "203.0.113.72" && performance.now() < end) {
    ({ address } = await fetchReport("https://short.example/"));
  }
  assert.equal(address, "203.0.113.72");
  const outcome = await slow.exited;
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stdout, `${".".repeat(40)}\n`);
});

test("nothing was recorded as denied, and the chain holds", async () => {
  const denied = gateway.events.filter(
    // Some programs look up the host's own name, which no policy mentions.
    ({ kind, verdict, destination }) =>
      verdict === "deny" && (kind !== "dns" || destination?.name?.endsWith(".example")),
  );
  assert.deepEqual(denied.map(brief), []);
  const verified = await gateway.ask("logs verify");
  assert.equal(verified.code, 0, verified.stderr);
});
