/**
 * A TCP client of its own, which sends any segment at any time: what a job with a raw socket does when it wants a firewall
 * and a server to read different bytes (threats N6, T7). The handshake is real; after it, every byte is the attacker's choice.
 */
import { RawSender } from "../../../src/kernel/raw.ts";
import { inNamespace } from "../../../src/kernel/namespace.ts";
import type { Packet } from "../../lab/capture/packet.ts";
import { Tcpdump } from "../../lab/capture/tcpdump.ts";
import { runTool } from "../../lab/tools.ts";
import { until } from "../../support/until.ts";
import type { Job } from "../job.ts";
import type { Stand } from "../stands/stand.ts";
import { address, flags, ip, protocols, tcp } from "./raw.ts";

/** Outside of what the kernel gives to sockets; for these ports it must not answer segments that no socket of its own awaits. */
const [firstPort, lastPort] = [61_000, 61_999];

/** What a stand's evil connections share: one raw socket, one capture of what comes back. */
class Wire {
  readonly sender: RawSender;
  readonly #listeners = new Map<number, (packet: Packet) => void>();
  #next = firstPort + Math.floor(Math.random() * (lastPort - firstPort));

  private constructor(sender: RawSender) {
    this.sender = sender;
  }

  static async of(stand: Stand): Promise<Wire> {
    const { namespace } = stand.machine;
    const rule = ["-I", "OUTPUT", "-p", "tcp", "--sport", `${firstPort}:${lastPort}`, "--tcp-flags", "RST", "RST"];
    for (const command of ["iptables", "ip6tables"]) {
      await runTool("ip", ["netns", "exec", namespace, command, ...rule, "-j", "DROP"]);
    }
    const wire = new Wire(inNamespace(namespace, () => new RawSender()));
    await Tcpdump.start(namespace, (packet) => wire.#listeners.get(packet.destinationPort)?.(packet), {
      filter: `inbound and tcp dst portrange ${firstPort}-${lastPort}`,
      immediate: true,
    });
    return wire;
  }

  /** A port nobody used on this stand, and from now on what comes back to it. */
  listen(receive: (packet: Packet) => void): number {
    const port = this.#next;
    this.#next = port === lastPort ? firstPort : port + 1;
    this.#listeners.set(port, receive);
    return port;
  }
}

const wires = new WeakMap<Stand, Promise<Wire>>();

export class EvilConnection {
  readonly port: number;
  /** What the server said so far, as it came. */
  readonly heard: Buffer[] = [];
  readonly #wire: Wire;
  readonly #job: Job;
  readonly #destination: string;
  readonly #destinationPort: number;
  /** Sequence number of the stream's first byte. */
  readonly #first: number;
  #acknowledged = 0;
  #answered = false;
  #reset = false;

  private constructor(wire: Wire, job: Job, destination: string, destinationPort: number) {
    this.#wire = wire;
    this.#job = job;
    this.#destination = destination;
    this.#destinationPort = destinationPort;
    this.#first = Math.floor(Math.random() * 0xffff_ffff);
    this.port = wire.listen((packet) => this.#receive(packet));
  }

  /** Connects; throws where nobody answers the SYN. */
  static async open(job: Job, destination: string, destinationPort = 443): Promise<EvilConnection> {
    const { stand } = job;
    const wire = wires.get(stand) ?? Wire.of(stand);
    wires.set(stand, wire);
    const connection = new EvilConnection(await wire, job, destination, destinationPort);
    for (let tries = 0; tries < 8; tries++) {
      connection.send(-1, new Uint8Array(0), flags.syn);
      if ((await until(() => connection.#answered || connection.#reset, 1_500)) !== undefined) break;
    }
    if (!connection.#answered) throw new Error(`${destination}:${destinationPort} did not answer the SYN`);
    connection.send(0, new Uint8Array(0), flags.ack);
    return connection;
  }

  /** Sends bytes at an offset of the stream, as one segment. */
  send(offset: number, payload: Uint8Array, bits: number = flags.psh | flags.ack): void {
    this.put(this.packet(offset, payload, bits));
  }

  /** The same as a whole IP packet, to be spoilt before it is sent. */
  packet(offset: number, payload: Uint8Array, bits: number = flags.psh | flags.ack): Buffer {
    return ip(this.#job.source, this.#destination, protocols.tcp, this.segment(offset, payload, bits));
  }

  segment(offset: number, payload: Uint8Array, bits: number = flags.psh | flags.ack): Buffer {
    return tcp({
      source: this.#job.source,
      destination: this.#destination,
      sourcePort: this.port,
      destinationPort: this.#destinationPort,
      flags: bits,
      seq: (this.#first + offset) >>> 0,
      ack: (bits & flags.ack) === 0 ? 0 : this.#acknowledged,
      payload,
    });
  }

  /** Puts a packet on the wire as it is. */
  put(packet: Uint8Array): void {
    this.#wire.sender.send(packet, address(this.#destination));
  }

  /** Waits for the server, or a reset in its name, to say something; false where all is silent. */
  async answered(ms = 1_500): Promise<boolean> {
    return (await until(() => this.heard.length > 0 || this.#reset, ms)) === true;
  }

  /** Acknowledges what was heard. */
  acknowledge(): void {
    this.send(0, new Uint8Array(0), flags.ack);
  }

  #receive(packet: Packet): void {
    if ((packet.flags & flags.rst) !== 0) this.#reset = true;
    const position = packet.position ?? 0;
    if ((packet.flags & flags.syn) !== 0) {
      this.#acknowledged = (position + 1) >>> 0;
      this.#answered = true;
    } else if (packet.payload.length > 0) {
      const next = (position + packet.payload.length) >>> 0;
      if (((next - this.#acknowledged) | 0) > 0) this.#acknowledged = next;
      this.heard.push(packet.payload);
    }
  }
}
