/**
 * Asks the policy about packets and flows and reports the answers: the one place where facts become a decision.
 * Shared by the TCP and UDP halves of the engine.
 */
import type { Address } from "../address/ip.ts";
import type { Application, ConnectFacts, Decision, Engine, NameFacts, NotYet, Transport } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import type { Packet } from "../wire/ip/packet.ts";
import type { AddressBook } from "./book.ts";
import { SteadyClock } from "./clock.ts";
import { Overdrawn } from "./overdrawn.ts";
import { nothingShown, type Effects, type FlowReport, type Shown } from "./effects.ts";
import type { KernelFacts } from "./engine.ts";
import type { Owner, Owners } from "./owner.ts";
import { Pending } from "./pending.ts";
import { defaultRefusal, strictRefusal } from "./refusal.ts";

/** Where a flow whose ports cannot be read might go: asked about the services that rules speak of without saying a port. */
const likelyPorts = [443, 80, 22];

export class Verdicts {
  engine: Engine;
  overdrawn = new Overdrawn();
  readonly #book: AddressBook;
  readonly #effects: Effects;
  readonly #owners: Owners;
  readonly #clock = new SteadyClock();
  #wall = 0;
  #steady = 0;

  constructor(engine: Engine, book: AddressBook, effects: Effects, owners: Owners) {
    this.engine = engine;
    this.#book = book;
    this.#effects = effects;
    this.#owners = owners;
  }

  /** Steady time, ms: what deadlines go by. */
  get now(): number {
    return this.#steady;
  }

  /** Another packet is in hand, or none: sets its clock, ms since the epoch. */
  setTime(wall: number): void {
    this.#owners.next();
    this.#wall = wall;
    this.#steady = this.#clock.at(wall);
  }

  /** The names that hold for the address as this source may use them. */
  names(source: Address, destination: Address): readonly string[] {
    return this.#book.names(destination, this.engine.enforcedFor(source) ? null : source, this.#wall);
  }

  /** Whose the packet in hand is; null where that is not known or nobody wants to know. */
  ownerOf(packet: Packet): Owner | null {
    return this.#owners.ofPacket(packet, this.engine);
  }

  connect(packet: Packet, local: boolean): Decision | NotYet {
    const { transport, destinationPort } = packet;
    return this.#connect(this.#facts(packet, local, transport, destinationPort, this.ownerOf(packet)));
  }

  /** Decides a packet whose flow shows no name in its bytes (ICMP and the other protocols). */
  atConnect(id: number, packet: Packet, kernel: KernelFacts): void {
    const decision = this.connect(packet, kernel.local);
    // Only TCP and UDP can be undecided at connect; an engine that said otherwise here would be refused.
    if (decision.answer === "not_yet") return this.#effects.drop(id);
    this.settle(id, packet, kernel, decision);
  }

  /** Carries out a decision made at the flow's first packet. */
  settle(id: number, packet: Packet, kernel: KernelFacts, decision: Decision): void {
    this.report(packet, kernel.local, decision, decision.passes);
    if (decision.passes) this.#effects.accept(id, "allow");
    else if (kernel.broadcast) this.#effects.drop(id);
    else this.#effects.refuse(id);
  }

  /**
   * Decides a packet that belongs to no flow we know or whose headers cannot be believed. It must not be a way around a rule
   * that is in force while the default only monitors: where some flow to its destination would be refused or held, it is
   * refused. `owner` where the packet is believed to be the owner's.
   */
  unread(packet: Packet, local: boolean, reason: Reason, owner: Owner | null = null): Decision {
    const { transport, destinationPort } = packet;
    const known = transport === "icmp" || (destinationPort !== 0 && (transport === "tcp" || transport === "udp"));
    const transports = known ? [transport] : (["tcp", "udp"] as const);
    for (const each of transports) {
      for (const port of known ? [destinationPort] : likelyPorts) {
        const decision = this.#connect(this.#facts(packet, local, each, port, owner));
        if (decision.answer === "not_yet" ? decision.hold : !decision.passes) {
          return strictRefusal(this.engine, reason, "connect");
        }
      }
    }
    return defaultRefusal(this.engine, packet.source, reason, "connect");
  }

  /** A flow that its first packet does not decide. */
  begin(key: string, packet: Packet, local: boolean, hold: boolean): Pending {
    const names = {
      held: this.names(packet.source, packet.destination),
      trusted: this.engine.enforcedFor(packet.source),
    };
    const owner = this.#owners.isWanted(this.engine) ? this.ownerOf(packet) : undefined;
    return new Pending(key, packet, local, hold, names, owner, this.#steady);
  }

  /** The flow's final decision, now that its first bytes are known. */
  name(flow: Pending, application: Application, name: string | null, ech: boolean): Decision {
    return this.#name({ ...this.#factsOf(flow), names: this.#namesOf(flow), application, name, ech });
  }

  /** The connect stage again, for a flow already begun (a new policy). An enforced source is not believed its own names. */
  reconnect(flow: Pending): Decision | NotYet {
    if (!flow.trusted && this.engine.enforcedFor(flow.source)) {
      flow.names = this.names(flow.source, flow.destination);
      flow.trusted = true;
    }
    return this.#connect({ ...this.#factsOf(flow), names: this.#namesOf(flow) });
  }

  /** Whether a flow reported as live still passes: the question its keeper asks when the policy changes. */
  stillPasses(report: FlowReport): boolean {
    const { destinationPort: port, application, hello, owner } = report;
    const process = owner?.process ?? null;
    return this.#name({ ...report, process, port, application: application ?? "other", ech: hello?.ech ?? false })
      .passes;
  }

  report(packet: Packet, local: boolean, decision: Decision, live: boolean, owner = this.ownerOf(packet)): void {
    this.#effects.report({
      decision,
      source: packet.source,
      sourcePort: packet.sourcePort,
      destination: packet.destination,
      destinationPort: packet.destinationPort,
      local,
      transport: packet.transport,
      protocol: packet.protocol,
      owner,
      ...nothingShown,
      speaks: null,
      names: this.names(packet.source, packet.destination),
      live,
    });
  }

  reportFlow(flow: Pending, decision: Decision, shown: Shown, live: boolean): void {
    const report: FlowReport = {
      decision,
      source: flow.source,
      sourcePort: flow.sourcePort,
      destination: flow.destination,
      destinationPort: flow.destinationPort,
      local: flow.local,
      transport: flow.transport,
      protocol: flow.protocol,
      owner: this.#owners.ofFlow(flow, this.engine),
      ...shown,
      speaks: flow.speaks,
      names: this.#namesOf(flow),
      live,
    };
    if (live) flow.reported = report;
    this.#effects.report(report);
  }

  #connect(facts: ConnectFacts): Decision | NotYet {
    return this.overdrawn.applied(this.engine.connect(facts), facts.source, this.engine);
  }

  #name(facts: NameFacts): Decision {
    return this.overdrawn.applied(this.engine.name(facts), facts.source, this.engine);
  }

  #facts(packet: Packet, local: boolean, transport: Transport, port: number, owner: Owner | null): ConnectFacts {
    const { source, destination } = packet;
    const process = owner === null ? null : owner.process;
    return { source, process, destination, local, transport, port, names: this.names(source, destination) };
  }

  #factsOf(flow: Pending): Omit<ConnectFacts, "names"> {
    const owner = this.#owners.ofFlow(flow, this.engine);
    return {
      source: flow.source,
      process: owner === null ? null : owner.process,
      destination: flow.destination,
      local: flow.local,
      transport: flow.transport,
      port: flow.destinationPort,
    };
  }

  /** Names that held when the flow began, or hold now: the client may have looked up another one meanwhile. */
  #namesOf(flow: Pending): readonly string[] {
    const now = this.names(flow.source, flow.destination);
    if (now === flow.names || now.length === 0) return flow.names;
    return flow.names.length === 0 ? now : [...new Set([...flow.names, ...now])];
  }
}
