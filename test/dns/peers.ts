/**
 * Real peers for the DNS firewall's tests, on loopback: the firewall itself under a real policy, `dig` as a client, dnsmasq
 * and unbound as servers, and a server whose every answer the test writes by hand.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parseAddress } from "../../src/address/ip.ts";
import type { EventBody } from "../../src/audit/event.ts";
import { DnsFirewall } from "../../src/dns/firewall.ts";
import { DatagramSocket } from "../../src/kernel/datagrams.ts";
import { anyAddress, listenUdp } from "../../src/kernel/sockets.ts";
import { FrameReader, frame } from "../../src/dns/frames.ts";
import type { Binding, DnsFirewallOptions, DnsTransport, Endpoint } from "../../src/dns/types.ts";
import type { Engine } from "../../src/policy/decision.ts";
import { isPolicyProblems, loadPolicy } from "../../src/policy/load.ts";
import { encode } from "../../src/wire/dns/encode.ts";
import { decode } from "../../src/wire/dns/message.ts";
import { fromHostName } from "../../src/wire/dns/name.ts";
import { Class, type Edns, isDefect, type Message, type ResourceRecord, Type } from "../../src/wire/dns/types.ts";

/** Sources of the test policy, all on loopback. */
export const policed = "127.0.0.1";
export const watched = "127.0.0.2";
/** Policed, and a CIDR rule lets it reach 10.1.0.0/16. */
export const inside = "127.0.0.3";

const policyText = `
version: 1
sources:
  policed: { subnets: [${policed}/32] }
  watched: { subnets: [${watched}/32] }
  inside: { subnets: [${inside}/32] }
rules:
  - { name: no gists, to: [gist.example], action: deny, reason: exfiltration sink }
  - { name: packages, to: [allowed.example, other.example, "**.wild.example"] }
  - { name: the office, from: inside, to: 10.1.0.0/16 }
default: { mode: monitor, enforce_for: [policed, inside] }
`;

export function engineOf(text: string): Engine {
  const loaded = loadPolicy(text, "policy.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded), isPolicyProblems(loaded) ? JSON.stringify(loaded.problems) : "");
  return loaded.engine;
}

export const testPolicy = engineOf(policyText);

export interface Stand {
  firewall: DnsFirewall;
  port: number;
  events: EventBody[];
  bindings: Binding[];
  options: DnsFirewallOptions;
  /** Milliseconds added to the clock. */
  skew: number;
}

/** A firewall on a loopback port, UDP and TCP, torn down with the test. */
export async function stand(
  t: TestContext,
  upstreams: Endpoint[],
  changes: Partial<DnsFirewallOptions> = {},
): Promise<Stand> {
  const events: EventBody[] = [];
  const bindings: Binding[] = [];
  const options: DnsFirewallOptions = {
    policy: () => testPolicy,
    upstreams,
    bind: async (list) => void bindings.push(...list),
    originalServers: (_, queries) => queries.map(() => null),
    record: (event) => void events.push(event),
    deny: "nxdomain",
    now: () => Date.now() + made.skew,
    ...changes,
  };
  const made: Stand = { firewall: new DnsFirewall(options), port: 0, events, bindings, options, skew: 0 };
  const { tcp, port, ...bound } = await listen("0.0.0.0");
  bound.udp.close();
  const udp = await DatagramSocket.adopt(listenUdp(anyAddress(4), port), 4);
  made.port = port;
  made.firewall.listenUdp(udp, "lo");
  made.firewall.listenTcp(tcp, "lo");
  t.after(async () => {
    await made.firewall.close();
    udp.close();
    tcp.close();
  });
  return made;
}

/** A UDP socket and a TCP server on the same free port. */
async function listen(address: string): Promise<{ udp: dgram.Socket; tcp: net.Server; port: number }> {
  for (;;) {
    const tcp = net.createServer();
    tcp.listen(0, address);
    await once(tcp, "listening");
    const { port } = tcp.address() as net.AddressInfo;
    const udp = dgram.createSocket("udp4");
    try {
      udp.bind(port, address);
      await once(udp, "listening");
      return { udp, tcp, port };
    } catch {
      udp.close();
      tcp.close();
    }
  }
}

export interface Received {
  transport: DnsTransport;
  bytes: Uint8Array;
  /** Port the query came from. */
  from: number;
}

/** What a hand-written server does with a query: any number of answers, whenever it likes. */
export type Answerer = (query: Received, answer: (bytes: Uint8Array) => void, peer: net.Socket | null) => void;

export interface Server {
  endpoint: Endpoint;
  received: Received[];
  answerer: Answerer;
}

/** A server that answers as told; by default not at all. */
export async function server(t: TestContext, answerer: Answerer = () => {}): Promise<Server> {
  const { udp, tcp, port } = await listen("127.0.0.1");
  const made: Server = { endpoint: { address: "127.0.0.1", port }, received: [], answerer };
  udp.on("message", (bytes, from) => {
    const query: Received = { transport: "udp", bytes, from: from.port };
    made.received.push(query);
    made.answerer(query, (answer) => udp.send(answer, from.port, from.address), null);
  });
  const peers = new Set<net.Socket>();
  tcp.on("connection", (socket) => {
    peers.add(socket);
    socket.on("error", () => {});
    const frames = new FrameReader();
    socket.on("data", (chunk: Uint8Array) => {
      for (const bytes of frames.push(chunk)) {
        const query: Received = { transport: "tcp", bytes: Uint8Array.from(bytes), from: socket.remotePort ?? 0 };
        made.received.push(query);
        made.answerer(query, (answer) => socket.write(frame(answer)), socket);
      }
    });
  });
  t.after(() => {
    udp.close();
    for (const peer of peers) peer.destroy();
    tcp.close();
  });
  return made;
}

/** Reads a message that must be well formed. */
export function read(bytes: Uint8Array): Message {
  const message = decode(bytes);
  assert.ok(!isDefect(message), isDefect(message) ? message.defect : "");
  return message;
}

/** An answer to `query` with these records. */
export function answerTo(
  query: Uint8Array,
  answers: ResourceRecord[],
  changes: Partial<Message["header"]> = {},
): Uint8Array {
  const { header, questions } = read(query);
  return encode({
    header: { ...header, response: true, recursionAvailable: true, ...changes },
    questions,
    answers,
    authorities: [],
    additionals: [],
    edns: null,
  });
}

export const wire = (name: string) => fromHostName(name)!;

export function address(name: string, text: string, ttl = 300): ResourceRecord {
  const type = text.includes(":") ? Type.AAAA : Type.A;
  return { name: wire(name), type, class: Class.IN, ttl, data: { kind: "address", address: parseAddress(text)! } };
}

export function alias(name: string, target: string, ttl = 300): ResourceRecord {
  return { name: wire(name), type: Type.CNAME, class: Class.IN, ttl, data: { kind: "name", target: wire(target) } };
}

/** Answers A with `text`, everything else with nothing. */
export const fixed =
  (text: string, ttl = 300): Answerer =>
  ({ bytes }, answer) => {
    const question = read(bytes).questions[0]!;
    const record = { ...address("allowed.example", text, ttl), name: question.name };
    answer(answerTo(bytes, question.type === record.type ? [record] : []));
  };

/** A query's bytes. */
export function queryBytes(name: string, type: number = Type.A, edns: Edns | null = null, id = 0x1234): Uint8Array {
  const flags = { authoritative: false, truncated: false, recursionAvailable: false, reserved: false };
  return encode({
    header: {
      id,
      response: false,
      opcode: 0,
      recursionDesired: true,
      authenticData: false,
      checkingDisabled: false,
      rcode: 0,
      ...flags,
    },
    questions: [{ name: wire(name), type, class: Class.IN }],
    answers: [],
    authorities: [],
    additionals: [],
    edns,
  });
}

/** Sends one datagram from `source` and returns the first answer, or null after `wait` milliseconds. */
export async function exchange(
  port: number,
  bytes: Uint8Array,
  source = policed,
  wait = 8000,
): Promise<Uint8Array | null> {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, source);
  await once(socket, "listening");
  try {
    socket.send(bytes, port, "127.0.0.1");
    const [answer] = (await once(socket, "message", { signal: AbortSignal.timeout(wait) })) as [Uint8Array];
    return answer;
  } catch {
    return null;
  } finally {
    socket.close();
  }
}

/** Asks over UDP and reads the answer. */
export async function ask(port: number, name: string, type: number = Type.A, source = policed): Promise<Message> {
  const answer = await exchange(port, queryBytes(name, type), source);
  assert.ok(answer !== null, `no answer for ${name}`);
  return read(answer);
}

/** Runs `dig` against a port on loopback and returns what it prints. */
export function dig(port: number, ...args: string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile("dig", ["@127.0.0.1", "-p", String(port), "+tries=1", "+time=8", ...args], (error, stdout, stderr) => {
      resolve(error === null ? stdout : `${stdout}${stderr}`);
    });
  });
}

/** Starts dnsmasq with these options as an authoritative-looking upstream. */
export async function dnsmasq(t: TestContext, ...args: string[]): Promise<Endpoint> {
  const port = await freePort();
  const fixedArgs = [
    "--keep-in-foreground",
    "--no-resolv",
    "--no-hosts",
    "--conf-file=/dev/null",
    "--user=root",
    "--pid-file=",
  ];
  const listening = [`--port=${port}`, "--listen-address=127.0.0.1", "--bind-interfaces"];
  return daemon(t, port, spawn("dnsmasq", [...fixedArgs, ...listening, ...args], { stdio: "ignore" }));
}

/** Starts unbound as a resolver that forwards everything to `upstream` with case randomisation (0x20) checked. */
export async function unbound(t: TestContext, upstream: Endpoint): Promise<Endpoint> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "unbound-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "unbound.conf");
  writeFileSync(
    file,
    `server:
  interface: 127.0.0.1@${port}
  username: ""
  chroot: ""
  directory: "${folder}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  use-caps-for-id: yes
  module-config: "iterator"
  num-threads: 1
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: ${upstream.address}@${upstream.port}
`,
  );
  return daemon(t, port, spawn("unbound", ["-d", "-c", file], { stdio: "ignore" }));
}

async function freePort(): Promise<number> {
  const { udp, tcp, port } = await listen("127.0.0.1");
  udp.close();
  tcp.close();
  await Promise.all([once(udp, "close"), once(tcp, "close")]);
  return port;
}

/** Waits until a daemon's TCP port answers; ends it with the test. */
async function daemon(t: TestContext, port: number, child: ChildProcess): Promise<Endpoint> {
  const failed = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new TypeError(`${child.spawnfile} ended with ${code}; is it installed?`)));
  });
  failed.catch(() => {});
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  });
  for (let i = 0; i < 100; i++) {
    const socket = net.connect(port, "127.0.0.1");
    const up = await Promise.race([
      failed,
      new Promise<boolean>((resolve) =>
        socket.once("connect", () => resolve(true)).once("error", () => resolve(false)),
      ),
    ]);
    socket.destroy();
    if (up) return { address: "127.0.0.1", port };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new TypeError(`${child.spawnfile} does not listen`);
}
