/**
 * Whose a flow is. Who keeps the process table (the data path of an enforcer on its own machine) answers; a gateway has nobody to
 * ask. Asked at most once a packet, while it waits for its verdict, and only where somebody wants to know: the policy in force, or
 * whoever writes the events. The answer holds for the flow's life.
 */
import type { Address } from "../address/ip.ts";
import type { Engine, ProcessFacts, Transport } from "../policy/decision.ts";

/** A flow as its sender knows it; ports are 0 where the transport has none. */
export interface FlowEnds {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly transport: Transport;
  /** IP protocol number. */
  readonly protocol: number;
}

/** The process behind a flow. */
export interface Owner {
  /** What the policy is asked about. */
  readonly process: ProcessFacts;
  /** What its finder wants to see again in the flow's reports; nothing here reads it. */
  readonly detail: unknown;
}

/** Finds the owner; null where it cannot be known. Must not keep `flow`: it is the packet in hand, and is used again. */
export type FindOwner = (flow: FlowEnds) => Owner | null;

export interface OwnerOptions {
  readonly find: FindOwner;
  /** Ask about every flow, for its events; else only under a policy that asks for processes. */
  readonly always: boolean;
}

export class Owners {
  readonly #options: OwnerOptions | null;
  /** Of the packet in hand; undefined: nobody has asked. */
  #current: Owner | null | undefined = undefined;

  constructor(options: OwnerOptions | null) {
    this.#options = options;
  }

  /** Another packet is in hand. */
  next(): void {
    this.#current = undefined;
  }

  /** True where the owner of a flow is to be found under this policy. */
  isWanted(engine: Engine): boolean {
    return this.#options !== null && (this.#options.always || engine.asksProcess);
  }

  /** The owner of the packet in hand. */
  ofPacket(packet: FlowEnds, engine: Engine): Owner | null {
    if (!this.isWanted(engine)) return null;
    if (this.#current === undefined) this.#current = this.#options!.find(packet);
    return this.#current;
  }

  /** The owner of a flow; asked for only now where nobody wanted to know when it began. */
  ofFlow(flow: FlowEnds & { owner: Owner | null | undefined }, engine: Engine): Owner | null {
    if (flow.owner === undefined && this.isWanted(engine)) flow.owner = this.#options!.find(flow);
    return flow.owner ?? null;
  }
}
