/**
 * The compiled engine: the same answers as `naive.ts` (which is the definition), at a cost that depends on the flow and
 * not on the number of rules. Gathers the few items that can concern a flow, then decides among them.
 */
import type { CidrEntry } from "../address/cidr.ts";
import type { Address } from "../address/ip.ts";
import { specialClass } from "../address/special.ts";
import type { Index } from "./compile.ts";
import { byAnyName, byBound, byCidr, byShown, Candidates } from "./candidates.ts";
import { settleConnect } from "./connect.ts";
import type { ConnectFacts, Decision, DnsFacts, Engine, NameFacts, NotYet, RuleRef, Stage } from "./decision.ts";
import { Decisions } from "./decisions.ts";
import { refusesEch } from "./ech.ts";
import { appBit, portKey } from "./items.ts";
import { Memo } from "./memo.ts";
import { isForProcess } from "./items.ts";
import type { Item, ItemList, RuleNode, SourceClass } from "./items.ts";
import { showsName } from "./protocol.ts";
import type { Reason } from "./reason.ts";

const tcpAny = portKey("tcp", null);
const udpAny = portKey("udp", null);
const icmpAny = portKey("icmp", null);
const noNodes: readonly RuleNode[] = [];
const noRules: readonly RuleRef[] = Object.freeze([]);

export class CompiledEngine implements Engine {
  readonly hash: string;
  readonly enforces: boolean;
  readonly asksProcess: boolean;
  readonly index: Index;
  readonly decisions: Decisions;
  readonly candidates = new Candidates();
  readonly #lists: ItemList[] = [];
  readonly #monitored: Item[] = [];
  readonly #sources = new Memo<SourceClass>(4096);
  readonly #destinations = new Memo<CidrEntry<RuleNode> | null>(4096);
  readonly #names = new Memo<readonly RuleNode[]>(8192);
  #stamp = 0;

  constructor(index: Index) {
    this.hash = index.hash;
    this.enforces = index.enforces;
    this.asksProcess = index.asksProcess;
    this.index = index;
    this.decisions = new Decisions(index.hash);
  }

  group(source: Address): string | null {
    return this.sourceClass(source).group;
  }

  enforcedFor(source: Address): boolean {
    return this.sourceClass(source).enforced;
  }

  cidrAllows(source: Address, destination: Address): boolean {
    const known = this.sourceClass(source);
    for (let entry = this.#covering(destination); entry !== null; entry = entry.parent) {
      this.#lists.length = 0;
      entry.value.collectLists(known, this.#lists);
      for (const list of this.#lists) if (list.allows) return true;
    }
    return false;
  }

  connect(facts: ConnectFacts): Decision | NotYet {
    return settleConnect(this, facts);
  }

  name(facts: NameFacts): Decision {
    this.gather(facts, facts.name);
    return this.decide(facts, "name");
  }

  dns({ source, name }: DnsFacts): Decision {
    const known = this.sourceClass(source);
    const { items } = this.candidates;
    items.length = 0;
    for (const node of this.nodesOf(name)) {
      this.#lists.length = 0;
      node.collectLists(known, this.#lists);
      // Who asks is not known, and what is denied to some processes is not denied to all.
      for (const list of this.#lists)
        for (const item of list.all) if (item.process === null || item.allow) items.push(item);
    }
    if (items.length > 1) items.sort((a, b) => a.order - b.order);
    this.#monitored.length = 0;
    let denied: Set<number> | null = null;
    let first: Item | null = null;
    for (const item of items) {
      if (!item.enforce) {
        this.#monitored.push(item);
      } else if (!item.allow) {
        first ??= item;
        denied ??= new Set();
        denied.add(item.key);
      } else if (denied === null || !(denied.has(item.key) || denied.has(everyPort(item.key)))) {
        return this.decisions.byRule(item.ref, "dns", this.#monitoredBefore(item.order));
      }
    }
    const open = denied === null || !(denied.has(tcpAny) && denied.has(udpAny) && denied.has(icmpAny));
    if (first === null || (!known.enforced && open)) {
      return this.decisions.byDefault(known.enforced, "default", "dns", this.#monitoredBefore(Infinity));
    }
    return this.decisions.byRule(first.ref, "dns", this.#monitoredBefore(first.order));
  }

  sourceClass(source: Address): SourceClass {
    const known = this.#sources.get(source);
    if (known !== undefined) return known;
    return this.#sources.set(source, this.index.classOf(this.index.subnets.longest(source)?.value ?? null));
  }

  /** The nodes of the patterns that match a name. */
  nodesOf(name: string): readonly RuleNode[] {
    return this.#names.get(name) ?? this.#names.set(name, this.index.names.match(name));
  }

  #covering(destination: Address): CidrEntry<RuleNode> | null {
    const known = this.#destinations.get(destination);
    return known !== undefined ? known : this.#destinations.set(destination, this.index.cidrs.longest(destination));
  }

  /** Fills `candidates` for a flow that shows `shown` (null: nothing). */
  gather(facts: ConnectFacts, shown: string | null): void {
    const candidates = this.candidates;
    const known = (candidates.source = this.sourceClass(facts.source));
    candidates.items.length = 0;
    candidates.met.length = 0;
    candidates.reachable = !facts.local && specialClass(facts.destination) === null;
    for (let entry = this.#covering(facts.destination); entry !== null; entry = entry.parent) {
      this.addItems(entry.value, known, facts, byCidr);
    }
    const stamp = ++this.#stamp;
    const { names } = facts;
    const shownNodes = shown === null ? noNodes : this.nodesOf(shown);
    const shownIsBound = shown !== null && names.includes(shown);
    for (let i = 0; i < shownNodes.length; i++) {
      const node = shownNodes[i]!;
      node.stamp = stamp;
      node.met = shownIsBound ? byShown | byBound : byShown;
    }
    for (let i = 0; i < names.length; i++) {
      const nodes = this.nodesOf(names[i]!);
      for (let k = 0; k < nodes.length; k++) {
        const node = nodes[k]!;
        if (node.stamp !== stamp) this.#addNode(node, stamp, known, facts, byBound);
        else node.met |= byBound;
      }
    }
    for (let i = 0; i < shownNodes.length; i++) {
      const node = shownNodes[i]!;
      this.#addNode(node, stamp, known, facts, node.met);
    }
  }

  /** Appends a node's items and notes where they are, for the connect stage. */
  #addNode(node: RuleNode, stamp: number, source: SourceClass, facts: ConnectFacts, met: number): void {
    node.stamp = stamp;
    node.met = met;
    node.from = this.candidates.items.length;
    this.addItems(node, source, facts, node === this.index.names.anyName ? met | byAnyName : met);
    node.to = this.candidates.items.length;
  }

  /** Appends the items of one node for a source, process, transport and port to `candidates`. */
  addItems(node: RuleNode, source: SourceClass, facts: ConnectFacts, met: number): void {
    const { items, met: mets } = this.candidates;
    const { transport, port } = facts;
    const before = items.length;
    const lists = this.#lists;
    lists.length = 0;
    node.collectLists(source, lists);
    for (let i = 0; i < lists.length; i++) {
      lists[i]!.collect(portKey(transport, port), items);
      lists[i]!.collect(portKey(transport, null), items);
    }
    if (this.asksProcess) {
      let kept = before;
      for (let i = before; i < items.length; i++) {
        if (isForProcess(items[i]!, facts.process)) items[kept++] = items[i]!;
      }
      items.length = kept;
    }
    while (mets.length < items.length) mets.push(met);
  }

  /** Decides a complete flow among the gathered candidates. */
  decide(facts: NameFacts, stage: Stage): Decision {
    const { items, met, source } = this.candidates;
    const shownIsBound = facts.name !== null && facts.names.includes(facts.name);
    this.#monitored.length = 0;
    let best: Item | null = null;
    let refused = false;
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      // Another item of the same rule may let through what this one does not.
      if (best !== null && (item.order > best.order || (item.order === best.order && !refused))) continue;
      if (!this.#matches(item, met[i]!, facts, shownIsBound)) continue;
      if (!item.enforce) this.#monitored.push(item);
      else {
        best = item;
        refused = facts.ech && item.allow && refusesEch(item.ech, kindOf(met[i]!), item.service.protocol, facts.name);
      }
    }
    const monitored = this.#monitoredBefore(best === null ? Infinity : best.order);
    if (best !== null && refused) return this.decisions.byEch(best.ref, source.enforced, stage, monitored);
    if (best !== null) return this.decisions.byRule(best.ref, stage, monitored);
    return this.decisions.byDefault(source.enforced, this.#reason(facts), stage, monitored);
  }

  #matches(item: Item, met: number, facts: NameFacts, shownIsBound: boolean): boolean {
    if (item.allow) {
      if ((item.apps & appBit[facts.application]) === 0) return false;
      if ((met & byCidr) !== 0) return true;
      if (!this.candidates.reachable) return false;
      return item.shows ? shownIsBound && (met & byShown) !== 0 : (met & byBound) !== 0;
    }
    if ((met & (byCidr | byShown)) !== 0) return true;
    return !item.shows || facts.name === null;
  }

  /** The default's reason; the order of the questions is the definition's. */
  #reason({ transport, application, name, names }: NameFacts): Reason {
    if (transport === "icmp" || transport === "other") return "protocol_denied";
    const { items, met, reachable } = this.candidates;
    const app = appBit[application];
    let mismatch = false;
    let missing = false;
    let otherProtocol = false;
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      if (!item.allow || !item.enforce) continue;
      if ((met[i]! & byCidr) !== 0) return "not_protocol";
      const accepted = (item.apps & app) !== 0;
      if ((met[i]! & byShown) !== 0 && accepted) mismatch = true;
      if ((met[i]! & byBound) === 0) continue;
      if (!accepted) otherProtocol = true;
      else if (item.service.protocol === application) missing = true;
    }
    if (!reachable) return "private_address";
    if (mismatch) return "name_mismatch";
    if (missing && name === null && showsName(application)) return "missing_name";
    if (name === null && names.length === 0) return "no_name";
    return otherProtocol ? "not_protocol" : "default";
  }

  /** The rules noted so far that come before `order`, each once, in order. */
  #monitoredBefore(order: number): readonly RuleRef[] {
    const noted = this.#monitored;
    if (noted.length === 0) return noRules;
    const out: RuleRef[] = [];
    for (const item of noted.toSorted((a, b) => a.order - b.order)) {
      if (item.order < order && out.at(-1) !== item.ref) out.push(item.ref);
    }
    return out.length === 0 ? noRules : out;
  }
}

function kindOf(met: number): "cidr" | "name" {
  return (met & byCidr) !== 0 ? "cidr" : "name";
}

/** The key for every port of the transport of `key`. */
function everyPort(key: number): number {
  return key >= icmpAny - 65536 ? icmpAny : key > tcpAny ? udpAny : tcpAny;
}
