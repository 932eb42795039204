/**
 * From a policy to the engine that decides packets. Linear in the combinations of source, endpoint and port that the rules
 * write down; the result is immutable to its users and depends on nothing but the policy and the time given.
 */
import { CidrTable } from "../address/cidr.ts";
import { LabelTrie } from "../address/trie.ts";
import type { Engine, RuleRef } from "./decision.ts";
import { CompiledEngine } from "./engine.ts";
import { ItemList, RuleNode, SourceClass, makeItem } from "./items.ts";
import type { Item } from "./items.ts";
import { appliesAt, asksProcessAt, enforcesAt, modeAt } from "./model.ts";
import type { Endpoint, Policy, Rule, Source } from "./model.ts";

/** The reference that stands for every source. */
const everySource = 0;
const everybody: readonly null[] = [null];

/** All that the engine looks things up in. */
export interface Index {
  readonly hash: string;
  readonly enforces: boolean;
  /** Some item asks for a process. */
  readonly asksProcess: boolean;
  readonly names: LabelTrie<RuleNode>;
  readonly cidrs: CidrTable<RuleNode>;
  /** Deny rules on names, by source reference: which of them could a name shown later meet? */
  readonly denials: ReadonlyMap<number, Denials>;
  classOf(entry: SubnetClass | null): SourceClass;
  readonly subnets: CidrTable<SubnetClass>;
}

/** Deny rules on names for one source reference: all, and those in enforce mode. */
export interface Denials {
  readonly all: ItemList;
  readonly enforced: ItemList;
}

/** What is known of a subnet before any address in it was asked about. */
export interface SubnetClass {
  /** Positions in the list of distinct sources. */
  readonly sources: number[];
  parent: SubnetClass | null;
  settled: SourceClass | null;
}

/** The engine for a policy as it stands at `now` (milliseconds since the epoch). */
export function compile(policy: Policy, now: number): Engine {
  const steps = compiling(policy, now);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** The same in steps, one for each endpoint, for a thread that has other things to do in between. */
export function* compiling(policy: Policy, now: number): Generator<void, Engine> {
  return new CompiledEngine(yield* buildIndex(policy, now));
}

function* buildIndex(policy: Policy, now: number): Generator<void, Index> {
  const rules = policy.rules.filter((rule) => appliesAt(rule, now));
  const sources = distinctSources(policy, rules);
  const refs = new Map(sources.map((source, i) => [source, i + 1]));
  const names = new LabelTrie<RuleNode>();
  const cidrs = new CidrTable<RuleNode>();
  const denials = new Map<number, Denials>();
  const nodes = new Map<Endpoint, RuleNode>();
  const newNode = () => new RuleNode();
  const refOfSource = (source: Source | null) => (source === null ? everySource : refs.get(source)!);
  for (const [order, rule] of rules.entries()) {
    const ref = refOf(rule, now);
    const from = rule.from ?? everybody;
    for (const { endpoint, services } of rule.targets) {
      yield;
      let node = nodes.get(endpoint);
      if (node === undefined) {
        node =
          endpoint.kind === "name" ? names.getOrAdd(endpoint.pattern, newNode) : cidrs.getOrAdd(endpoint.cidr, newNode);
        nodes.set(endpoint, node);
      }
      for (const service of services) {
        const item = makeItem(order, ref, service, rule.ech);
        for (const source of from) node.add(refOfSource(source), itemFor(item, source));
        if (item.allow || endpoint.kind !== "name") continue;
        for (const source of from) {
          const denial = { ...itemFor(item, source), pattern: endpoint.pattern };
          const at = refOfSource(source);
          let lists = denials.get(at);
          if (lists === undefined) denials.set(at, (lists = { all: new ItemList(), enforced: new ItemList() }));
          lists.all.add(denial);
          if (denial.enforce) lists.enforced.add(denial);
        }
      }
    }
  }
  const enforces = enforcesAt(policy, now);
  const asksProcess = asksProcessAt(policy, now);
  return { hash: policy.hash, enforces, asksProcess, names, cidrs, denials, ...sourceClasses(policy, sources) };
}

function itemFor(item: Item, source: Source | null): Item {
  return source === null || source.process === null ? item : { ...item, process: source.process };
}

/** Declared sources first, in their order, then the inline ones that rules use. */
function distinctSources(policy: Policy, rules: readonly Rule[]): Source[] {
  const all = new Set(policy.sources);
  for (const { from } of rules) for (const source of from ?? []) all.add(source);
  return [...all];
}

function refOf(rule: Rule, now: number): RuleRef {
  const { name, tier, action, reason, line, column } = rule;
  return Object.freeze({ name, tier, mode: modeAt(rule, now), action, reason, line, column });
}

function sourceClasses(policy: Policy, sources: readonly Source[]): Pick<Index, "subnets" | "classOf"> {
  const subnets = new CidrTable<SubnetClass>();
  const anywhere = sources.flatMap((source, i) => (source.subnets === null ? [i] : []));
  for (const [i, source] of sources.entries()) {
    for (const subnet of source.subnets ?? []) {
      const known = subnets.getOrAdd(subnet, () => ({ sources: [], parent: null, settled: null })).sources;
      if (known.at(-1) !== i) known.push(i);
    }
  }
  for (const entry of subnets.entries()) entry.value.parent = entry.parent?.value ?? null;
  const enforceFor = new Set(policy.default.enforceFor);
  const everywhere = policy.default.mode === "enforce";
  const settle = (found: readonly number[]): SourceClass => {
    const positions = anywhere.length === 0 ? found : [...found, ...anywhere].toSorted((a, b) => a - b);
    const first = positions.find((i) => sources[i]!.declared && sources[i]!.process === null);
    const group = first === undefined ? null : sources[first]!.name;
    const enforced = everywhere || positions.some((i) => enforceFor.has(sources[i]!));
    return new SourceClass([everySource, ...positions.map((i) => i + 1)], group, enforced);
  };
  const nobody = settle([]);
  const classOf = (entry: SubnetClass | null): SourceClass => {
    if (entry === null) return nobody;
    if (entry.settled === null) {
      const positions = new Set<number>();
      for (let at: SubnetClass | null = entry; at !== null; at = at.parent)
        for (const i of at.sources) positions.add(i);
      entry.settled = settle([...positions].toSorted((a, b) => a - b));
    }
    return entry.settled;
  };
  return { subnets, classOf };
}
