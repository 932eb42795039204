/**
 * The flow engine: packets and a clock in, actions out. For each packet the kernel queues it says whether the packet goes
 * on, waits or is refused, until the flow has a verdict that the kernel carries out alone. It keeps state only for flows
 * without a verdict, until an allowed hello has arrived, and for plain-HTTP connections under an enforced policy, which are
 * checked request by request.
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
import type { OpeningOptions } from "./opening.ts";
import { Owners, type OwnerOptions } from "./owner.ts";
import { Overdrawn, type OverdrawnEntry } from "./overdrawn.ts";
import { PendingTable } from "./pending.ts";
import { strictRefusal } from "./refusal.ts";
import { resetReceiver } from "./resets.ts";
import { TcpFlows } from "./tcp.ts";
import { type DatagramEnds, UdpFlows } from "./udp.ts";
import { Verdicts } from "./verdicts.ts";

/** What the kernel knows about the packet's connection. */
export interface KernelFacts {
  /**
   * The state the connection already carries. `quic`: it was let go, and this datagram could begin another one. `allow`: the
   * packet is a small ICMP error of a client about an allowed UDP flow.
   */
  state: "none" | "pending" | "allow" | "deny" | "quic";
  /** The destination is an address of this host. */
  local: boolean;
  /** Connection tracking calls the packet invalid (bad checksum, outside the window, no connection). */
  invalid: boolean;
  /** Sent to a broadcast or multicast address. */
  broadcast: boolean;
  /** The source is not one that is reached by the interface it came by. Absent means no. */
  forged?: boolean;
  /** From the outside towards the inside: the answer to the SYN of a pending connection, or any segment of a refused one. */
  back: boolean;
}

export interface FlowEngineOptions extends OpeningOptions {
  /** Who knows the processes behind flows; left out: nobody, as on a gateway. */
  owners?: OwnerOptions;
}

export class FlowEngine {
  readonly #pending: PendingTable;
  readonly #verdicts: Verdicts;
  readonly #tcp: TcpFlows;
  readonly #udp: UdpFlows;
  readonly #effects: Effects;

  /**
   * @param options `answersSeen`: the data path hands in the SYN+ACKs of pending connections (`back`, state `pending`). Bytes are
   *   then let go only where the server has answered the very SYN that was judged, and what it acknowledges is known for
   *   certain. Without them both are taken from what the client says.
   * @param parts how many engines share the bounds of `limits.ts` in equal parts
   */
  constructor(
    engine: Engine,
    book: AddressBook,
    effects: Effects,
    options: FlowEngineOptions = { answersSeen: false },
    parts = 1,
  ) {
    this.#pending = new PendingTable(parts);
    this.#effects = effects;
    this.#verdicts = new Verdicts(engine, book, effects, new Owners(options.owners ?? null));
    this.#tcp = new TcpFlows(this.#verdicts, this.#pending, effects, options);
    this.#udp = new UdpFlows(this.#verdicts, this.#pending, effects);
  }

  /** Flows in the table, and bytes kept for them. */
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
    this.#verdicts.setTime(now);
    if (kernel.back) this.#back(id, bytes, packet, kernel);
    else if (packet.defect !== null) this.#defective(id, packet, kernel, packet.defect);
    else if (kernel.forged === true) this.#forged(id, packet, kernel);
    else if (kernel.invalid) this.#invalid(id, packet, kernel);
    else if (packet.transport === "tcp") this.#tcp.packet(id, bytes, start, packet, kernel);
    else if (packet.transport === "udp") this.#udp.packet(id, bytes, start, packet, kernel);
    else if (packet.transport === "icmp" && kernel.state === "allow") this.#aside(id, packet, kernel);
    else this.#verdicts.atConnect(id, packet, kernel);
  }

  /** Ends what is overdue. Call it a few times a second. */
  tick(now: number): void {
    this.#verdicts.setTime(now);
    for (const flow of this.#pending.due(this.#verdicts.now)) {
      if (flow.transport === "tcp") this.#tcp.overdue(flow);
      else this.#udp.overdue(flow);
    }
  }

  /** Puts a new policy in force for undecided flows too. */
  setPolicy(engine: Engine, now: number): void {
    this.#verdicts.setTime(now);
    this.#verdicts.engine = engine;
    for (const flow of [...this.#pending.values()]) {
      if (flow.transport === "tcp") this.#tcp.policyChanged(flow);
      else this.#udp.policyChanged(flow);
    }
  }

  /**
   * Another socket sends on this UDP flow now: what was judged of it holds no longer. The kernel is to forget it as well, and the next
   * datagram is a new flow's first.
   */
  forgetDatagrams(flow: DatagramEnds): void {
    this.#udp.forget(flow);
  }

  /** Who has used up which rules' `upload_limit`, from now on; connections that live are ended by whoever says so. */
  setOverdrawn(entries: readonly OverdrawnEntry[]): void {
    this.#verdicts.overdrawn = new Overdrawn(entries);
  }

  /** Headers that cannot be believed: nobody is answered, since the sender named may not be the sender. */
  #defective(id: number, packet: Packet, kernel: KernelFacts, defect: PacketDefect): void {
    if (packet.source === ("" as Address)) return this.#effects.drop(id);
    this.#refuseUnread(id, packet, kernel, defect === "fragment" ? "fragment" : "invalid_packet");
  }

  /**
   * Late and stray packets of closed connections carry nothing and are nobody's attempt to get out. They are not answered: a
   * reset for an overdue acknowledgement would end a connection that is alive.
   */
  #invalid(id: number, packet: Packet, kernel: KernelFacts): void {
    if (packet.transport !== "tcp" || packet.payloadLength > 0) {
      return this.#refuseUnread(id, packet, kernel, packet.transport === "tcp" ? "mid_stream" : "invalid_packet");
    }
    if (this.#verdicts.unread(packet, kernel.local, "mid_stream").passes) this.#effects.accept(id, "pending");
    else this.#effects.drop(id);
  }

  /**
   * A machine in a neighbour's name. It would be judged by the neighbour's rules: to be told where that is enforced for anybody,
   * since the sender may be the one. Not answered: the neighbour has not asked.
   */
  #forged(id: number, packet: Packet, kernel: KernelFacts): void {
    const { engine } = this.#verdicts;
    if (!engine.enforces) return this.#refuseUnread(id, packet, kernel, "forged_source");
    this.#verdicts.report(packet, kernel.local, strictRefusal(engine, "forged_source", "connect"), false, null);
    this.#effects.drop(id);
  }

  /**
   * A client's kernel says that an answer came too late. No attempt to get out, so no event; but what it quotes is for the client
   * to choose (threat T4), so it goes no further than any other ICMP.
   */
  #aside(id: number, packet: Packet, kernel: KernelFacts): void {
    const decision = this.#verdicts.connect(packet, kernel.local);
    if (decision.answer !== "not_yet" && decision.passes) this.#effects.accept(id, "allow");
    else this.#effects.drop(id);
  }

  #refuseUnread(id: number, packet: Packet, kernel: KernelFacts, reason: Reason): void {
    const decision = this.#verdicts.unread(packet, kernel.local, reason);
    // Headers that are not believed say nothing of whose they are.
    this.#verdicts.report(packet, kernel.local, decision, false, null);
    // Never `allow`: that mark would be the connection's, and forward what else comes on it unread.
    if (decision.passes) this.#effects.accept(id, "pending");
    else if (reason === "mid_stream") this.#effects.refuse(id);
    else this.#effects.drop(id);
  }

  /** From the far end: the answer to a SYN; or a segment of a refused connection, of which both ends are told. */
  #back(id: number, bytes: Uint8Array, packet: Packet, kernel: KernelFacts): void {
    if (packet.defect !== null || packet.transport !== "tcp") return this.#effects.drop(id);
    if (kernel.state === "pending") return this.#tcp.answer(id, bytes, packet);
    if ((packet.flags & RST) !== 0) return this.#effects.drop(id);
    resetReceiver(this.#effects, packet);
    this.#effects.refuse(id);
  }
}
