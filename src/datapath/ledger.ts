/**
 * The live flows: what the kernel forwards by itself since its verdict. Kept to show them, to give each its end with the
 * kernel's byte counts, and to judge them again when the policy changes (threat T8).
 */
import type { Address } from "../address/ip.ts";
import type { Engine } from "../policy/decision.ts";
import { type FlowKind, flowKey } from "./flow-kind.ts";
import type { EndedCounts, FlowTuple, LiveFlow } from "./messages.ts";

/** How long the end of a flow waits for its beginning, which comes from another thread, ms. */
const reorderMs = 2_000;

/** A live flow: its key, its time and its kind, of which it is made whole when somebody asks. */
export class Live {
  readonly key: string;
  /** When it was let through, ms since the epoch. */
  readonly since: number;
  /** What it has in common with others; null where it came whole. */
  readonly kind: FlowKind | null;
  #flow: LiveFlow | null;

  private constructor(key: string, since: number, kind: FlowKind | null, flow: LiveFlow | null) {
    this.key = key;
    this.since = since;
    this.kind = kind;
    this.#flow = flow;
  }

  /** `key` is its {@link flowKey}. */
  static of(kind: FlowKind, key: string, since: number): Live {
    return new Live(key, since, kind, null);
  }

  static whole(flow: LiveFlow): Live {
    return new Live(flowKey(flow), flow.since, null, flow);
  }

  /** The same object each time. */
  get flow(): LiveFlow {
    return (this.#flow ??= this.copy);
  }

  /** To look at and forget: it may be another object each time. */
  get copy(): LiveFlow {
    return this.#flow ?? this.kind!.flow(this.key, this.since);
  }

  /** Its ends alone. */
  get ends(): FlowTuple {
    return this.#flow ?? this.kind!.ends(this.key);
  }

  /** The flow, where somebody has asked before or it came whole. */
  get known(): LiveFlow | null {
    return this.#flow;
  }
}

export class Ledger {
  /** Grows with every change. */
  revision = 0;
  readonly #live = new Map<string, Live>();
  /** Ends that came before their beginnings. */
  readonly #early = new Map<string, { ended: EndedCounts; at: number }>();

  get size(): number {
    return this.#live.size;
  }

  *values(): Generator<LiveFlow> {
    for (const live of this.#live.values()) yield live.flow;
  }

  /** The same to look at and forget, which does not make them whole for good. */
  *copies(): Generator<LiveFlow> {
    for (const live of this.#live.values()) yield live.copy;
  }

  entries(): IterableIterator<[key: string, Live]> {
    return this.#live.entries();
  }

  at(key: string): Live | undefined {
    return this.#live.get(key);
  }

  get(flow: FlowTuple): LiveFlow | undefined {
    return this.#live.get(flowKey(flow))?.flow;
  }

  /** Adds a flow; returns its end when the kernel already told it. */
  begin(flow: LiveFlow, now: number): EndedCounts | null {
    return this.beginLive(Live.whole(flow), now);
  }

  /** The same of one that need not be whole. */
  beginLive(live: Live, now: number): EndedCounts | null {
    const { key } = live;
    const early = this.#early.get(key);
    if (early !== undefined) {
      this.#early.delete(key);
      if (now - early.at <= reorderMs) return early.ended;
    }
    const known = key.charCodeAt(0) === 17 ? this.#live.get(key) : undefined;
    this.#live.set(key, known === undefined ? live : joined(known, live));
    this.revision++;
    return null;
  }

  /** Takes the flow out; null when it is not known (yet). */
  end(key: string, ended: EndedCounts, now: number): Live | null {
    const live = this.#live.get(key);
    if (live !== undefined) {
      this.#live.delete(key);
      this.revision++;
      return live;
    }
    for (const [old, { at }] of this.#early) {
      if (now - at <= reorderMs) break;
      this.#early.delete(old);
    }
    this.#early.set(key, { ended, at: now });
    return null;
  }
}

/** Names of further connections kept of one flow: the last ones. */
const mostAlso = 16;

/** A second beginning on the ports of a flow that lives: another QUIC connection, or news of the same flow. */
function joined(before: Live, live: Live): Live {
  const [known, flow] = [before.flow, live.flow];
  if (known.application !== "quic" || flow.application !== "quic" || flow.name === null) return live;
  const names = new Set([...(known.also ?? []), flow.name]);
  if (known.name !== null) names.delete(known.name);
  return Live.whole({ ...known, also: [...names].slice(-mostAlso) });
}

/** The names that resolvers of ours handed an address out for. */
export type TrustedNames = (address: Address) => readonly string[];

/**
 * Whether a live flow passes under `engine`, by what was known when it was let through. A flow that began while its source
 * was only watched may owe its names to a resolver of the client's own choice (threat D5): under enforcement those count
 * no more than they would for a new flow.
 */
export function stillPasses(engine: Engine, flow: LiveFlow, names: TrustedNames): boolean {
  const isPromoted = !flow.begunEnforced && engine.enforcedFor(flow.source);
  const known = isPromoted ? names(flow.destination) : flow.names;
  const facts = {
    source: flow.source,
    process: flow.process,
    destination: flow.destination,
    local: flow.local,
    transport: flow.transport,
    port: flow.destinationPort,
    names: known,
  };
  if (isPromoted && flow.application === "http") {
    // Its later requests are not followed (threat N4), so it goes on only where no request could be refused.
    const decision = engine.connect(facts);
    return decision.answer === "not_yet" ? !decision.hold : decision.passes;
  }
  if (flow.application !== null) {
    const { application, ech } = flow;
    return [flow.name, ...(flow.also ?? [])].every((name) => engine.name({ ...facts, application, name, ech }).passes);
  }
  const decision = engine.connect(facts);
  if (decision.answer !== "not_yet") return decision.passes;
  // Its bytes were never read and now they would decide. Kept only where a name of its address would be allowed.
  if (!decision.hold) return true;
  const applications =
    flow.transport === "tcp" ? (["tls", "http", "ssh", "other"] as const) : (["quic", "other"] as const);
  return applications.some((application) =>
    [null, ...known].some((name) => engine.name({ ...facts, application, name, ech: false }).passes),
  );
}

/**
 * Whether a flow that the kernel forwards unread would be read if it began now: the client can still begin QUIC connections on
 * its ports, to names that the policy refuses (threats N2, T8).
 */
export function mustBeRead(engine: Engine, flow: LiveFlow, names: TrustedNames): boolean {
  if (flow.transport !== "udp") return false;
  const isPromoted = !flow.begunEnforced && engine.enforcedFor(flow.source);
  const decision = engine.connect({
    source: flow.source,
    process: flow.process,
    destination: flow.destination,
    local: flow.local,
    transport: flow.transport,
    port: flow.destinationPort,
    names: isPromoted ? names(flow.destination) : flow.names,
  });
  return decision.answer === "not_yet" && decision.hold;
}
