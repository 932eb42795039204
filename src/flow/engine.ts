/**
 * The flow engine: packets and a clock in, actions out. For each packet the kernel queues it says whether the packet goes
 * on, waits or is refused, until the flow has a verdict that the kernel carries out alone. It keeps state only for flows
 * without a verdict and for plain-HTTP connections under an enforced policy, which are checked request by request.
 *
 * It promises that under an enforced policy no payload byte goes on before its flow is allowed (invariant 1), and that in
 * monitor mode every packet goes on at once. It does no I/O; `datapath` owns the queue and calls it.
 */
import type { Address } from "../address/ip.ts";
import type { Engine } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { RST, type Packet, type PacketDefect } from "../wire/ip/packet.ts";
import type { AddressBook } from "./book.ts";
import type { Effects } from "./effects.ts";
import { PendingTable } from "./pending.ts";
import { defaultRefusal } from "./refusal.ts";
import { TcpFlows } from "./tcp.ts";
import { UdpFlows } from "./udp.ts";
import { Verdicts } from "./verdicts.ts";

/** What the kernel knows about the packet's connection. */
export interface KernelFacts {
  /** The state the connection already carries. */
  state: "none" | "pending" | "deny";
  /** The destination is an address of this host. */
  local: boolean;
  /** Connection tracking calls the packet invalid (bad checksum, outside the window, no connection). */
  invalid: boolean;
  /** Sent to a broadcast or multicast address. */
  broadcast: boolean;
  /** From the outside towards the inside, on a connection already refused. */
  back: boolean;
}

export class FlowEngine {
  readonly #pending = new PendingTable();
  readonly #verdicts: Verdicts;
  readonly #tcp: TcpFlows;
  readonly #udp: UdpFlows;
  readonly #effects: Effects;

  constructor(engine: Engine, book: AddressBook, effects: Effects) {
    this.#effects = effects;
    this.#verdicts = new Verdicts(engine, book, effects);
    this.#tcp = new TcpFlows(this.#verdicts, this.#pending, effects);
    this.#udp = new UdpFlows(this.#verdicts, this.#pending, effects);
  }

  /** Undecided flows, and bytes kept for them. */
  get load(): { flows: number; bytes: number } {
    return { flows: this.#pending.size, bytes: this.#pending.bytes };
  }

  /**
   * Judges one packet.
   *
   * @param id the queue's number for it, given back in the effects
   * @param bytes holds the packet, whose IP header begins at `start`
   * @param now ms since the epoch
   */
  packet(id: number, bytes: Uint8Array, start: number, packet: Packet, kernel: KernelFacts, now: number): void {
    this.#verdicts.now = now;
    if (packet.defect !== null) this.#defective(id, packet, kernel, packet.defect);
    else if (kernel.back) this.#back(id, packet);
    else if (kernel.invalid) this.#invalid(id, packet, kernel);
    else if (packet.transport === "tcp") this.#tcp.packet(id, bytes, start, packet, kernel);
    else if (packet.transport === "udp") this.#udp.packet(id, bytes, start, packet, kernel);
    else this.#verdicts.atConnect(id, packet, kernel);
  }

  /** Ends what is overdue. Call it a few times a second. */
  tick(now: number): void {
    this.#verdicts.now = now;
    for (const flow of this.#pending.due(now)) {
      if (flow.transport === "tcp") this.#tcp.overdue(flow);
      else this.#udp.overdue(flow);
    }
  }

  /** Puts a new policy in force for undecided flows too. */
  setPolicy(engine: Engine, now: number): void {
    this.#verdicts.now = now;
    this.#verdicts.engine = engine;
    for (const flow of [...this.#pending.values()]) {
      if (flow.transport === "tcp") this.#tcp.policyChanged(flow);
      else this.#udp.policyChanged(flow);
    }
  }

  /** Headers that cannot be believed: nobody is answered, since the sender named may not be the sender. */
  #defective(id: number, packet: Packet, kernel: KernelFacts, defect: PacketDefect): void {
    if (packet.source === ("" as Address)) return this.#effects.drop(id);
    this.#refuseUnread(id, packet, kernel, defect === "fragment" ? "fragment" : "invalid_packet");
  }

  #invalid(id: number, packet: Packet, kernel: KernelFacts): void {
    // A late RST or a stray ACK of a closed connection carries nothing and is nobody's attempt to get out.
    if (packet.transport === "tcp" && packet.payloadLength === 0) {
      if ((packet.flags & RST) !== 0) return this.#effects.drop(id);
      return this.#verdicts.engine.enforcedFor(packet.source)
        ? this.#effects.refuse(id)
        : this.#effects.accept(id, "allow");
    }
    this.#refuseUnread(id, packet, kernel, packet.transport === "tcp" ? "mid_stream" : "invalid_packet");
  }

  #refuseUnread(id: number, packet: Packet, kernel: KernelFacts, reason: Reason): void {
    const decision = defaultRefusal(this.#verdicts.engine, packet.source, reason, "connect");
    this.#verdicts.report(packet, kernel.local, decision, false);
    if (decision.passes) this.#effects.accept(id, "allow");
    else if (reason === "mid_stream") this.#effects.refuse(id);
    else this.#effects.drop(id);
  }

  /** The far end of a connection that was refused still sends: both ends are told. */
  #back(id: number, packet: Packet): void {
    if (packet.transport !== "tcp" || (packet.flags & RST) !== 0) return this.#effects.drop(id);
    this.#effects.reset({
      source: packet.source,
      destination: packet.destination,
      sourcePort: packet.sourcePort,
      destinationPort: packet.destinationPort,
      sequence: packet.seq,
      acknowledgement: packet.ack,
    });
    this.#effects.refuse(id);
  }
}
