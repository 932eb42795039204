/**
 * Promises about syslog: the real rsyslogd reads every record over UDP, TCP and TLS as it was written, whatever a job put into
 * it; and a receiver that closes, resets or hangs before it has read a batch has not taken it.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import dgram from "node:dgram";
import net from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { temporary, until } from "../../audit/test-support.ts";
import type { EventBody } from "../../audit/event.ts";
import type { SinkConfig } from "../../config/sink.ts";
import type { Outgoing } from "../record.ts";
import { outgoing } from "../testing/record.ts";
import { SyslogSink, syslogMessage } from "./syslog.ts";

type Config = Extract<SinkConfig, { to: "syslog" }>;

function sinkTo(transport: Config["transport"], port: number, more: Partial<Config> = {}): SyslogSink {
  const where = { host: "127.0.0.1", port, facility: 16, tls: {}, format: "native" as const };
  return new SyslogSink({ name: "sink", kinds: null, to: "syslog", transport, ...where, ...more });
}

const soon = (ms = 5_000) => AbortSignal.timeout(ms);

/** What a job can put into an event, if our own checks were not there. */
const nasty = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.constantFrom(
    "a\nb",
    "\r\n<13>1 - - - - - - forged",
    '"]\\',
    '[x@1 y="z"]',
    "\u0000",
    "é\u2028ü",
    "\u{1f600}",
    "%n%s",
    "\ud800",
  ),
);

function attacked(count: number): Outgoing[] {
  return fc.sample(fc.tuple(nasty, nasty), count).map(([name, group], i) => {
    const destination: EventBody["destination"] = {
      name,
      name_from: "sni",
      ip: "203.0.113.7",
      port: 443,
      protocol: "tls",
    };
    return outgoing({ verdict: "deny", reason: "default", source: { ip: "10.20.1.7", group }, destination }, i + 1);
  });
}

/** A port that nothing uses now. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const folder = temporary();
const output = join(folder, "out");

describe("the real rsyslogd", () => {
  let rsyslogd: ChildProcess;
  let said = "";
  const port = { udp: 0, tcp: 0, tls: 0 };

  before(async () => {
    assert.ok(existsSync("/usr/sbin/rsyslogd"), "the Debian packages rsyslog and rsyslog-gnutls are needed");
    mkdirSync(join(folder, "work"));
    certificates(folder);
    for (const transport of ["udp", "tcp", "tls"] as const) port[transport] = await freePort();
    writeFileSync(join(folder, "rsyslog.conf"), configuration(folder, output, port));
    rsyslogd = spawn("/usr/sbin/rsyslogd", ["-n", "-f", join(folder, "rsyslog.conf"), "-i", join(folder, "pid")], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    rsyslogd.stderr?.on("data", (text: Buffer) => (said += text.toString()));
    rsyslogd.stdout?.on("data", (text: Buffer) => (said += text.toString()));
    await until(`rsyslogd listens: ${said}`, () => [port.tcp, port.tls].every(isListening));
  });
  after(() => rsyslogd?.kill("SIGKILL"));

  const received = () => (existsSync(output) ? readFileSync(output, "utf8").split("\n").slice(0, -1) : []);

  async function expectAll(records: readonly Outgoing[], from: number): Promise<void> {
    await until(
      `${records.length} messages, ${received().length - from} came: ${said}`,
      () => received().length >= from + records.length,
    );
    const lines = received().slice(from);
    assert.equal(lines.length, records.length);
    for (const [i, line] of lines.entries()) {
      const [priority, application, kind, data, ...rest] = line.split("\t");
      assert.deepEqual([priority, application, kind], ["132", "sallyport", "connection"]);
      assert.match(data!, new RegExp(`^\\[meta sequenceId="${records[i]!.event.seq}"\\]\\[origin `));
      assert.deepEqual(JSON.parse(rest.join("\t")), JSON.parse(records[i]!.line));
    }
  }

  for (const transport of ["udp", "tcp", "tls"] as const) {
    test(`reads every record over ${transport}, whatever is in it`, async () => {
      const from = received().length;
      const records = attacked(60);
      const tls = transport === "tls" ? { ca: readFileSync(join(folder, "ca.pem"), "utf8") } : {};
      await sinkTo(transport, port[transport], { tls }).deliver(records, soon(10_000));
      await expectAll(records, from);
    });
  }

  test("a certificate of another authority, or for another name, is refused", async () => {
    await assert.rejects(sinkTo("tls", port.tls).deliver(attacked(1), soon()), /self-signed|unable to/);
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      await assert.rejects(sinkTo("tls", port.tls).deliver(attacked(1), soon()), /self-signed|unable to/);
    } finally {
      delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    }
    const ca = readFileSync(join(folder, "ca.pem"), "utf8");
    await assert.rejects(
      sinkTo("tls", port.tls, { host: "localhost", tls: { ca } }).deliver(attacked(1), soon()),
      /does not match certificate|ECONNREFUSED/,
    );
  });
});

describe("a receiver that does not take a batch", () => {
  const cases: Record<string, (socket: net.Socket) => void> = {
    "closes at once": (socket) => socket.end(),
    "closes after some bytes": (socket) => void socket.once("data", () => socket.destroy()),
    resets: (socket) => void socket.once("data", () => socket.resetAndDestroy()),
    "reads nothing, then dies": (socket) => void setTimeout(() => socket.destroy(), 300),
    "reads and never ends": (socket) => void socket.resume(),
  };
  for (const [name, receive] of Object.entries(cases)) {
    test(`one that ${name}`, async () => {
      const server = net.createServer(
        { allowHalfOpen: true, pauseOnConnect: name.startsWith("reads nothing") },
        (socket) => {
          socket.on("error", () => {});
          receive(socket);
        },
      );
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      server.unref();
      const { port } = server.address() as net.AddressInfo;
      await assert.rejects(sinkTo("tcp", port).deliver(attacked(300), soon(1_500)));
      server.close();
    });
  }

  test("one that is not there: TCP at once, UDP by the kernel's word", async () => {
    const port = await freePort();
    await assert.rejects(sinkTo("tcp", port).deliver(attacked(1), soon()), /ECONNREFUSED/);
    await assert.rejects(sinkTo("udp", port).deliver(attacked(2), soon()), /ECONNREFUSED/);
  });

  test("over UDP: a record that fits into no datagram is said to be too large", async () => {
    const receiver = dgram.createSocket("udp4");
    await new Promise<void>((resolve) => receiver.bind(0, "127.0.0.1", resolve));
    const big = outgoing({ kind: "lifecycle", message: "x".repeat(70_000) });
    await assert.rejects(sinkTo("udp", receiver.address().port).deliver([big], soon()), { tooLarge: true });
    receiver.close();
  });
});

test("a message is RFC 5424, and nothing of a job's is before its end of the header", () => {
  fc.assert(
    fc.property(nasty, fc.constantFrom("native", "ocsf", "ecs", "cef"), (name, format) => {
      const record = outgoing(
        { destination: { name, name_from: "sni", protocol: "tls" }, verdict: "would_deny" },
        2 ** 31 + 5,
      );
      const message = syslogMessage(record, { facility: 10, format });
      const header =
        /^<85>1 2026-05-04T09:12:31\.204518Z [!-~]{1,255} sallyport \d+ connection \[meta sequenceId="6"\]\[origin software="sallyport" swVersion="[0-9A-Za-z.-]+"\] /;
      assert.match(message, header);
      const text = message.replace(header, "");
      if (format === "cef") return assert.match(text, /^\u{feff}CEF:0\|/u);
      assert.match(text, /^[ -~]*$/);
      JSON.parse(text);
    }),
    { numRuns: 200 },
  );
});

function isListening(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/tcp", "latin1").includes(`:${hex} 00000000:0000 0A`);
}

function certificates(folder: string): void {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test authority", "-days", "2");
  openssl("req", ...curve, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=syslog");
  writeFileSync(join(folder, "extensions"), "subjectAltName=IP:127.0.0.1\n");
  openssl(
    ...["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
    ...["-extfile", "extensions", "-days", "2", "-out", "cert.pem"],
  );
}

function configuration(folder: string, output: string, port: { udp: number; tcp: number; tls: number }): string {
  return `
global(workDirectory="${folder}/work" maxMessageSize="64k"
  parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriverCAFile="${folder}/ca.pem"
  defaultNetstreamDriverCertFile="${folder}/cert.pem"
  defaultNetstreamDriverKeyFile="${folder}/key.pem")
template(name="fields" type="string"
  string="%pri%\\t%app-name%\\t%msgid%\\t%structured-data%\\t%msg:::drop-last-lf%\\n")
ruleset(name="out") { action(type="omfile" file="${output}" template="fields" flushOnTXEnd="on") }
module(load="imudp")
module(load="imtcp")
module(load="imptcp")
input(type="imudp" address="127.0.0.1" port="${port.udp}" ruleset="out")
input(type="imptcp" address="127.0.0.1" port="${port.tcp}" ruleset="out")
input(type="imtcp" address="127.0.0.1" port="${port.tls}" ruleset="out"
  streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
`;
}
