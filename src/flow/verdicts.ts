/**
 * Asks the policy about packets and flows and reports the answers: the one place where facts become a decision.
 * Shared by the TCP and UDP halves of the engine.
 */
import type { Address } from "../address/ip.ts";
import type { Application, ConnectFacts, Decision, Engine, NotYet } from "../policy/decision.ts";
import type { Packet } from "../wire/ip/packet.ts";
import type { AddressBook } from "./book.ts";
import type { Effects, HelloFacts } from "./effects.ts";
import type { KernelFacts } from "./engine.ts";
import type { Pending } from "./pending.ts";

export class Verdicts {
  engine: Engine;
  /** The clock of the packet in hand, ms since the epoch; set by the flow engine. */
  now = 0;
  readonly #book: AddressBook;
  readonly #effects: Effects;

  constructor(engine: Engine, book: AddressBook, effects: Effects) {
    this.engine = engine;
    this.#book = book;
    this.#effects = effects;
  }

  /** The names that hold for the address as this source may use them. */
  names(source: Address, destination: Address): readonly string[] {
    return this.#book.names(destination, this.engine.enforcedFor(source) ? null : source, this.now);
  }

  connect(packet: Packet, local: boolean): Decision | NotYet {
    return this.engine.connect(this.facts(packet, local));
  }

  facts(packet: Packet, local: boolean): ConnectFacts {
    return {
      source: packet.source,
      destination: packet.destination,
      local,
      transport: packet.transport,
      port: packet.destinationPort,
      names: this.names(packet.source, packet.destination),
    };
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

  /** The flow's final decision, now that its first bytes are known. */
  name(flow: Pending, application: Application, name: string | null): Decision {
    return this.engine.name({
      source: flow.source,
      destination: flow.destination,
      local: flow.local,
      transport: flow.transport,
      port: flow.destinationPort,
      names: this.names(flow.source, flow.destination),
      application,
      name,
    });
  }

  /** The connect stage again, for a flow already begun (a new policy). */
  reconnect(flow: Pending): Decision | NotYet {
    return this.engine.connect({
      source: flow.source,
      destination: flow.destination,
      local: flow.local,
      transport: flow.transport,
      port: flow.destinationPort,
      names: this.names(flow.source, flow.destination),
    });
  }

  report(packet: Packet, local: boolean, decision: Decision, live: boolean): void {
    this.#effects.report({
      decision,
      source: packet.source,
      sourcePort: packet.sourcePort,
      destination: packet.destination,
      destinationPort: packet.destinationPort,
      local,
      transport: packet.transport,
      protocol: packet.protocol,
      application: null,
      name: null,
      names: this.#book.names(packet.destination, packet.source, this.now),
      hello: null,
      live,
    });
  }

  reportFlow(
    flow: Pending,
    decision: Decision,
    application: Application | null,
    name: string | null,
    hello: HelloFacts | null,
    live: boolean,
  ): void {
    this.#effects.report({
      decision,
      source: flow.source,
      sourcePort: flow.sourcePort,
      destination: flow.destination,
      destinationPort: flow.destinationPort,
      local: flow.local,
      transport: flow.transport,
      protocol: flow.protocol,
      application,
      name,
      names: this.#book.names(flow.destination, flow.source, this.now),
      hello,
      live,
    });
  }
}
