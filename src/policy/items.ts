/**
 * The compiled engine's index: for each endpoint pattern or prefix a node, in it per source reference the items that can
 * concern a flow, found by transport and port. An item is one rule on one service. Because a node is found by the flow's
 * name or address, a reference by its source, and a list by its port, a lookup does not depend on how many rules there are.
 */
import type { Pattern } from "../address/pattern.ts";
import type { Application, ProcessFacts, RuleRef, Transport } from "./decision.ts";
import { carriesEch } from "./ech.ts";
import type { EchChoice, Service } from "./model.ts";
import { meetsProcess } from "./process.ts";
import type { ProcessTerm } from "./process.ts";
import { accepts, applicationsOf, showsName, transportOf } from "./protocol.ts";

/** A bit for each application, so that an item can say which it accepts. */
export const appBit: Readonly<Record<Application, number>> = { tls: 1, http: 2, ssh: 4, quic: 8, other: 16 };

const transportNumber: Readonly<Record<Transport, number>> = { tcp: 0, udp: 1, icmp: 2, other: 3 };
const anyPort = 65536;

/** One number for a transport and a port (null: every port). */
export function portKey(transport: Transport, port: number | null): number {
  return transportNumber[transport] * 65537 + (port === null ? anyPort : port);
}

/** One rule on one service. */
export interface Item {
  /** The rule's place in the order of evaluation. */
  readonly order: number;
  readonly ref: RuleRef;
  readonly allow: boolean;
  readonly enforce: boolean;
  readonly service: Service;
  readonly key: number;
  /** {@link appBit}s of the applications an allow rule accepts. */
  readonly apps: number;
  /** Accepts whatever application the transport can carry (tcp, udp, icmp). */
  readonly everyApp: boolean;
  /** The protocol's first bytes show a name (tls, http, quic); otherwise bound names speak for the flow. */
  readonly shows: boolean;
  /** What the rule says of Encrypted Client Hello. */
  readonly ech: EchChoice;
  /** In the index of name denials: what it matches. Null elsewhere, where the node says it. */
  readonly pattern: Pattern | null;
  /** What its source asks of the process; null: nothing. */
  readonly process: ProcessTerm | null;
}

/** True where the item is for the process. */
export function isForProcess({ process, allow }: Item, facts: ProcessFacts | null): boolean {
  return process === null || meetsProcess(process, allow, facts);
}

/** Makes the item of a rule's service. */
export function makeItem(order: number, ref: RuleRef, service: Service, ech: EchChoice): Item {
  const transport = transportOf(service.protocol);
  let apps = 0;
  let everyApp = true;
  for (const application of Object.keys(appBit) as Application[]) {
    if (accepts(service.protocol, transport, application)) apps |= appBit[application];
    else if (applicationsOf[transport].includes(application)) everyApp = false;
  }
  return {
    order,
    ref,
    allow: ref.action === "allow",
    enforce: ref.mode === "enforce",
    service,
    key: portKey(transport, service.port),
    apps,
    everyApp,
    shows: showsName(service.protocol),
    ech: carriesEch(service.protocol) ? ech : "allow",
    pattern: null,
    process: null,
  };
}

const few = 8;
const none: readonly Item[] = [];

/** Items in order of evaluation, found by {@link portKey}. */
export class ItemList {
  readonly all: Item[] = [];
  #byKey: Map<number, Item[]> | null = null;
  /** Some item is an allow rule in enforce mode. */
  allows = false;

  /** Appends; `order` never decreases. An enforcing item that an earlier one always decides before is left out. */
  add(item: Item): void {
    if (item.pattern === null && item.enforce && this.#isDead(item)) return;
    this.all.push(item);
    if (item.allow && item.enforce) this.allows = true;
    if (this.#byKey !== null) this.#insert(this.#byKey, item);
    else if (this.all.length > few) {
      this.#byKey = new Map();
      for (const each of this.all) this.#insert(this.#byKey, each);
    }
  }

  /** Appends the items for exactly this key to `out`. */
  collect(key: number, out: Item[]): void {
    if (this.#byKey === null) {
      for (const item of this.all) if (item.key === key) out.push(item);
    } else for (const item of this.#byKey.get(key) ?? none) out.push(item);
  }

  /** Items in order, among them all for this key; the caller skips others. */
  at(key: number): readonly Item[] {
    return this.#byKey === null ? this.all : (this.#byKey.get(key) ?? none);
  }

  #insert(map: Map<number, Item[]>, item: Item): void {
    const list = map.get(item.key);
    if (list === undefined) map.set(item.key, [item]);
    else list.push(item);
  }

  #isDead(item: Item): boolean {
    const everywhere = portKey(transportOf(item.service.protocol), null);
    const decidesFirst = (earlier: Item) =>
      (earlier.key === item.key || earlier.key === everywhere) &&
      earlier.enforce &&
      earlier.allow === item.allow &&
      earlier.service.protocol === item.service.protocol;
    if (this.#byKey === null) return this.all.some(decidesFirst);
    return this.at(item.key).some(decidesFirst) || this.at(everywhere).some(decidesFirst);
  }
}

/** The items of one endpoint, by source reference. */
export class RuleNode {
  readonly #refs: number[] = [];
  readonly #lists: ItemList[] = [];
  #map: Map<number, ItemList> | null = null;
  /** Scratch of the engine: the last question that came here, how its names led here, and where its items then are. */
  stamp = 0;
  met = 0;
  from = 0;
  to = 0;

  add(ref: number, item: Item): void {
    let list = this.get(ref);
    if (list === undefined) {
      list = new ItemList();
      this.#refs.push(ref);
      this.#lists.push(list);
      if (this.#map !== null) this.#map.set(ref, list);
      else if (this.#refs.length > few) this.#map = new Map(this.#refs.map((r, i) => [r, this.#lists[i]!]));
    }
    list.add(item);
  }

  get(ref: number): ItemList | undefined {
    if (this.#map !== null) return this.#map.get(ref);
    const refs = this.#refs;
    for (let i = 0; i < refs.length; i++) if (refs[i] === ref) return this.#lists[i];
    return undefined;
  }

  /** Appends the lists that concern a source to `out`; walks the smaller of the two sets. */
  collectLists(source: SourceClass, out: ItemList[]): void {
    const refs = source.refs;
    if (refs.length <= this.#refs.length || refs.length <= few) {
      for (let i = 0; i < refs.length; i++) {
        const list = this.get(refs[i]!);
        if (list !== undefined) out.push(list);
      }
      return;
    }
    for (let i = 0; i < this.#refs.length; i++) if (source.has(this.#refs[i]!)) out.push(this.#lists[i]!);
  }
}

/** What the policy knows of a source address: computed once for each most specific subnet. */
export class SourceClass {
  /** References that hold the address; 0, every source, is always the first. */
  readonly refs: readonly number[];
  /** Name of the first declared source that holds it. */
  readonly group: string | null;
  /** The default refuses. */
  readonly enforced: boolean;
  #set: Set<number> | null = null;

  constructor(refs: readonly number[], group: string | null, enforced: boolean) {
    this.refs = refs;
    this.group = group;
    this.enforced = enforced;
  }

  has(ref: number): boolean {
    this.#set ??= new Set(this.refs);
    return this.#set.has(ref);
  }
}
