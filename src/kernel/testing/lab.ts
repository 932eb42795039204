/**
 * A lab for tests: three network namespaces in a row, client — gateway — server, with IPv4 and IPv6, made of veth pairs
 * on this machine and taken away again. Needs root. Used by tests only.
 *
 *   client  in0 ------ in0  gateway  out0 ------ out0  server
 *   192.0.2.2          192.0.2.1     198.51.100.1      198.51.100.2
 *   2001:db8:1::2      2001:db8:1::1 2001:db8:2::1     2001:db8:2::2
 */
import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Address, parseAddress } from "../../address/ip.ts";
import { run } from "../commands.ts";
import * as libc from "../libc.ts";
import { addNamespace, deleteNamespace, inNamespace } from "../namespace.ts";
import { QueueSocket } from "../nfqueue.ts";
import { RawSender } from "../raw.ts";
import { anyAddress, boundTo, connectTcp, listenTcp, listenUdp } from "../sockets.ts";

export const addresses = {
  4: { client: "192.0.2.2", gateway: "192.0.2.1", outside: "198.51.100.1", server: "198.51.100.2" },
  6: { client: "2001:db8:1::2", gateway: "2001:db8:1::1", outside: "2001:db8:2::1", server: "2001:db8:2::2" },
} as const;

/** The value of an address text known to be one. */
export function address(text: string): Address {
  return parseAddress(text)!;
}

let labs = 0;

export class Lab {
  readonly client: string;
  readonly gateway: string;
  readonly server: string;
  readonly #ends: (() => unknown)[] = [];

  constructor() {
    const base = `sp-k-${process.pid}-${++labs}`;
    this.client = `${base}-c`;
    this.gateway = `${base}-g`;
    this.server = `${base}-s`;
    try {
      this.#build();
    } catch (error) {
      this.#removeNamespaces();
      throw error;
    }
  }

  #build(): void {
    for (const name of [this.client, this.gateway, this.server]) {
      addNamespace(name);
      this.sysctl(name, "net/ipv6/conf/all/accept_dad", "0");
      this.sysctl(name, "net/ipv6/conf/default/accept_dad", "0");
    }
    this.#link(
      "in0",
      this.client,
      [addresses[4].client, addresses[6].client],
      [addresses[4].gateway, addresses[6].gateway],
    );
    this.#link(
      "out0",
      this.server,
      [addresses[4].server, addresses[6].server],
      [addresses[4].outside, addresses[6].outside],
    );
    for (const v of [4, 6] as const) {
      run("ip", [`-${v}`, "-n", this.client, "route", "add", "default", "via", addresses[v].gateway]);
      run("ip", [`-${v}`, "-n", this.server, "route", "add", "default", "via", addresses[v].outside]);
    }
    this.sysctl(this.gateway, "net/ipv4/ip_forward", "1");
    this.sysctl(this.gateway, "net/ipv6/conf/all/forwarding", "1");
    this.sysctl(this.gateway, "net/netfilter/nf_conntrack_acct", "1");
    this.sysctl(this.gateway, "net/netfilter/nf_conntrack_tcp_loose", "0");
  }

  #link(name: string, end: string, theirs: string[], ours: string[]): void {
    run("ip", ["-n", this.gateway, "link", "add", name, "type", "veth", "peer", "name", name, "netns", end]);
    for (const [namespace, list] of [
      [end, theirs],
      [this.gateway, ours],
    ] as const) {
      for (const text of list) {
        const prefix = text.includes(":") ? ["64", "nodad"] : ["24"];
        run("ip", ["-n", namespace, "addr", "add", `${text}/${prefix[0]}`, "dev", name, ...prefix.slice(1)]);
      }
      // The first solicitation is lost while a veth comes up; repeat it soon.
      this.sysctl(namespace, `net/ipv4/neigh/${name}/retrans_time_ms`, "20");
      this.sysctl(namespace, `net/ipv6/neigh/${name}/retrans_time_ms`, "20");
      run("ip", ["-n", namespace, "link", "set", name, "up"]);
    }
  }

  /** Runs `fn` synchronously with this thread in the gateway. */
  inGateway<T>(fn: () => T): T {
    return inNamespace(this.gateway, fn);
  }

  sysctl(namespace: string, key: string, value: string): void {
    run("ip", ["netns", "exec", namespace, "sysctl", "-qw", `${key.replaceAll("/", ".")}=${value}`]);
  }

  /** Registers something to end before the namespaces go. */
  onClose(end: () => unknown): void {
    this.#ends.push(end);
  }

  /** Opens a queue in the gateway and decides its packets by `decide` until the lab closes. */
  serveQueue(number: number, decide: (queue: QueueSocket, i: number) => void): QueueSocket {
    const queue = this.inGateway(() => QueueSocket.open(number));
    const turn = () => {
      while (queue.receive() > 0) for (let i = 0; i < queue.count; i++) decide(queue, i);
      queue.flush();
    };
    const timer = setInterval(turn, 1);
    this.onClose(() => {
      clearInterval(timer);
      queue.close();
    });
    return queue;
  }

  /** A TCP server in a namespace that answers every chunk with `reply` (default: the chunk). */
  async tcpServer(namespace: string, v: 4 | 6, port: number, reply?: (chunk: Buffer) => Buffer): Promise<net.Server> {
    const fd = inNamespace(namespace, () => listenTcp(anyAddress(v), port));
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (chunk) => socket.write(reply?.(Buffer.from(chunk)) ?? chunk));
      this.onClose(() => socket.destroy());
    });
    const listening = once(server, "listening");
    server.listen({ fd });
    this.onClose(() => server.close());
    await listening;
    return server;
  }

  /** A connection attempt from a namespace. Errors are on the socket. */
  tcpClient(namespace: string, to: string, port: number): net.Socket {
    const fd = inNamespace(namespace, () => connectTcp(address(to), port));
    const socket = new net.Socket({ fd, readable: true, writable: true });
    socket.on("error", () => {});
    this.onClose(() => socket.destroy());
    return socket;
  }

  /** A UDP socket in a namespace. */
  async udp(namespace: string, v: 4 | 6, port = 0, bound: Address = anyAddress(v)): Promise<dgram.Socket> {
    const fd = inNamespace(namespace, () => listenUdp(bound, port));
    libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_RCVBUFFORCE, 16 << 20);
    const socket = dgram.createSocket(v === 4 ? "udp4" : "udp6");
    // With a descriptor, Node may emit `listening` before bind returns.
    const listening = once(socket, "listening");
    socket.bind({ fd });
    this.onClose(() => socket.close());
    await listening;
    return socket;
  }

  /** Sends made-up packets from a namespace. */
  raw(namespace: string): RawSender {
    const sender = inNamespace(namespace, () => new RawSender());
    this.onClose(() => sender.close());
    return sender;
  }

  /** Waits until datagrams pass both ways in both families: a new veth drops for a while. Forgets the flows it made. */
  async ready(): Promise<void> {
    for (const end of [this.client, this.server]) {
      while (!run("ip", ["-n", end, "-o", "link", "show", "up"]).includes("state UP")) await sleep(5);
    }
    for (const v of [4, 6] as const) {
      const client = await this.udp(this.client, v);
      const server = await this.udp(this.server, v, 9);
      server.on("message", (message, from) => server.send(message, from.port, from.address));
      for (let tries = 0; ; tries++) {
        client.send("ready?", 9, addresses[v].server);
        if ((await datagram(client, 20)) === "ready?") break;
        if (tries === 200) throw new Error(`the lab's network does not come up for IPv${v}`);
      }
    }
    run("conntrack", ["-F"], { namespace: this.gateway });
  }

  async close(): Promise<void> {
    for (const end of this.#ends.toReversed()) {
      try {
        await end();
      } catch {
        // The namespaces must go whatever else fails.
      }
    }
    this.#removeNamespaces();
  }

  #removeNamespaces(): void {
    for (const name of [this.client, this.gateway, this.server]) deleteNamespace(name);
  }
}

/** Runs `fn` in a new lab that is taken away afterwards, whatever happens. */
export async function withLab(fn: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = new Lab();
  try {
    await lab.ready();
    await fn(lab);
  } finally {
    await lab.close();
  }
}

/** What a socket gives first: its data as text, or `error CODE`, `end`, `timeout`. */
export async function outcome(socket: net.Socket, milliseconds = 1000): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const onData = (chunk: Buffer | string) => resolve(chunk.toString("latin1"));
  const onError = (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`);
  const onEnd = () => resolve("end");
  socket.on("data", onData).on("error", onError).on("end", onEnd);
  const result = await Promise.race([promise, sleep(milliseconds, "timeout", { ref: false })]);
  socket.off("data", onData).off("error", onError).off("end", onEnd);
  return result;
}

/** The next datagram as text, or `timeout`. */
export async function datagram(socket: dgram.Socket, milliseconds = 1000): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const onMessage = (message: Buffer) => resolve(message.toString("latin1"));
  socket.once("message", onMessage);
  const result = await Promise.race([promise, sleep(milliseconds, "timeout", { ref: false })]);
  socket.off("message", onMessage);
  return result;
}

export { boundTo };
