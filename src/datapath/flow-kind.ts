/**
 * What live connections have in common. Many differ in nothing but their two ends and their time: they are of one kind, which is kept
 * once, however many there are. A thread of the data path writes the kind as text, for each batch that has a flow of it; the main
 * thread keeps those it has seen, and reads one when somebody asks for the first flow of it.
 */
import type { Engine } from "../policy/decision.ts";
import { type EndParts, flowEndParts } from "./flow-end.ts";
import type { FlowTuple, LiveFlow } from "./messages.ts";

/** A flow without what is its own. Of a transport without ports the kernel's numbers in their place are the kind's. */
type Common = Omit<LiveFlow, keyof FlowTuple | "since"> & Partial<FlowTuple> & { protocol: number };

interface Written {
  flow: Common;
  end: EndParts;
  policy: string;
}

/** Kinds remembered, to be found again by their text. Those that are forgotten live on in their flows. */
const mostKinds = 4_096;
/**
 * What they may be of text in all, in UTF-16 units. A kind has every name of its address and who it is of: where a thousand long names are
 * bound to one address, each process that connects there is a kind of a quarter of a million.
 */
const mostUnits = 8 * 1024 * 1024;
/** A longer text is none of many flows as a rule, and must not displace those that are. */
const longUnits = 8 * 1024;

/** What was made of texts, until there are too many or too much of them. */
class TextCache<T> {
  readonly #made = new Map<string, T>();
  #units = 0;

  get(text: string): T | undefined {
    return this.#made.get(text);
  }

  /** `units` beyond the text that `made` keeps. */
  set(text: string, made: T, units = 0): void {
    const added = text.length + units;
    if (this.#made.size >= mostKinds || this.#units + added > mostUnits) this.clear();
    this.#made.set(text, made);
    this.#units += added;
  }

  clear(): void {
    this.#made.clear();
    this.#units = 0;
  }
}

/** What tells flows apart. ICMP has no ports, but conntrack keeps its id and type in their place. */
export function flowKey(flow: FlowTuple): string {
  const ports = hasPorts(flow.protocol) ? String.fromCharCode(flow.sourcePort, flow.destinationPort) : "";
  return String.fromCharCode(flow.protocol) + flow.source + flow.destination + ports;
}

/** The ends that a {@link flowKey} says; ports are 0 where it has none. */
export function endsOf(key: string): FlowTuple {
  const protocol = key.charCodeAt(0);
  const ports = hasPorts(protocol) ? key.length - 2 : key.length;
  const middle = (ports + 1) / 2;
  const isPort = ports < key.length;
  return {
    source: key.slice(1, middle) as FlowTuple["source"],
    sourcePort: isPort ? key.charCodeAt(ports) : 0,
    destination: key.slice(middle, ports) as FlowTuple["destination"],
    destinationPort: isPort ? key.charCodeAt(ports + 1) : 0,
    protocol,
  };
}

/** The same without the port of who opened it: what flows of one kind have in common that a policy looks at. */
export function placesOf(key: string): string {
  return hasPorts(key.charCodeAt(0)) ? key.slice(0, -2) + key.slice(-1) : key;
}

function hasPorts(protocol: number): boolean {
  return protocol === 6 || protocol === 17;
}

/** A kind as its thread wrote it, read when it is first asked for. */
export class FlowKind {
  readonly #text: string;
  #written: Written | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  /** The hash of the policy in whose words {@link end} is. */
  get policy(): string {
    return this.#read().policy;
  }

  /** How the event of its flows' ends begins. */
  get end(): EndParts {
    return this.#read().end;
  }

  /** The flow of this kind with that key; another object each time. */
  flow(key: string, since: number): LiveFlow {
    return { ...endsOf(key), ...this.#read().flow, since };
  }

  /** The ends of that flow. */
  ends(key: string): FlowTuple {
    const ends = endsOf(key);
    return hasPorts(ends.protocol) ? ends : { ...ends, ...this.#read().flow };
  }

  #read(): Written {
    return (this.#written ??= JSON.parse(this.#text) as Written);
  }
}

/** The kinds that the main thread has seen. */
export class FlowKinds {
  readonly #known = new TextCache<FlowKind>();
  readonly #long = new TextCache<FlowKind>();

  /** The same object for the same text, as a rule. */
  of(text: string): FlowKind {
    const known = text.length > longUnits ? this.#long : this.#known;
    let kind = known.get(text);
    if (kind === undefined) known.set(text, (kind = new FlowKind(text)));
    return kind;
  }
}

/** Writes the kinds of flows. */
export class FlowKindWriter {
  /** By what the text is made from. */
  readonly #texts = new TextCache<string>();
  #engine: Engine | null = null;

  /** The kind's text, for {@link FlowKinds}; `engine` let the flow through. */
  textOf(flow: LiveFlow, engine: Engine): string {
    if (engine !== this.#engine) this.#texts.clear();
    this.#engine = engine;
    const { source, sourcePort, destination: _to, destinationPort, since: _since, ...rest } = flow;
    const common: Common = hasPorts(flow.protocol) ? rest : { ...rest, sourcePort, destinationPort };
    const asked = JSON.stringify(common) + (engine.group(source) ?? "");
    let text = this.#texts.get(asked);
    if (text !== undefined) return text;
    text = JSON.stringify({ flow: common, end: flowEndParts(flow, engine), policy: engine.hash } satisfies Written);
    if (asked.length <= longUnits) this.#texts.set(asked, text, text.length);
    return text;
  }
}
