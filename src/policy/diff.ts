/**
 * What two policies decide differently: not a comparison of texts but of decisions, over flows that speak for all
 * (`universe.ts`). What it promises: every flow to one name or to a bare address whose verdict or rule differs, on any
 * port and for any protocol, is told by some line; at the addresses of CIDR endpoints, every flow to a name whose verdict
 * differs. What it does not: a flow to an address that was handed out for several names at once is looked at name by name,
 * and where the default refuses a flow before and after, no line says which rule had left its hello's sealed name to it.
 * Where rules ask for processes, one process speaks for all that no rule tells apart, the unknown ones included. Big policies
 * are compared up to a bound, and the report says so.
 */
import { formatPattern } from "../address/pattern.ts";
import type { Pattern } from "../address/pattern.ts";
import { changedRules } from "./align.ts";
import { compile } from "./compile.ts";
import type { Application, Decision, Engine, Transport } from "./decision.ts";
import { carriesEch } from "./ech.ts";
import { keyOf } from "./comparison.ts";
import type { Cell, Cells, Comparison, Found, Shape, Side, Spot, Transition } from "./comparison.ts";
import { collapse } from "./diff-lines.ts";
import type { DiffReport } from "./diff-lines.ts";
import { isFrom } from "./model.ts";
import type { Policy, Rule } from "./model.ts";
import { Places } from "./places.ts";
import { applicationsOf, showsName, transportOf } from "./protocol.ts";
import { overlap } from "./overlap.ts";
import { entryFor, fronts } from "./sinks.ts";
import { addressClasses, isWild, liveRules, nameClasses, sourceClasses } from "./universe.ts";
import type { AddressClass, NameClass, SourceClass, Sources } from "./universe.ts";

/** How many flows are looked at, unless told otherwise; some seconds. */
const maxFlows = 500_000;

/** Compares two policies as they stand at `now` (milliseconds since the epoch), looking at `limit` flows at most. */
export function diffPolicies(before: Policy, after: Policy, now: number, limit: number = maxFlows): DiffReport {
  const a = { ...before, rules: liveRules(before, now) };
  const b = { ...after, rules: liveRules(after, now) };
  return collapse(new Comparer(a, b, now, limit).compare());
}

type Members = ReadonlySet<SourceClass>;

class Comparer {
  readonly #a: Policy;
  readonly #b: Policy;
  readonly #now: number;
  readonly #limit: number;
  readonly #engines: readonly [Engine, Engine];
  readonly #rules: readonly Rule[];
  readonly #changed: readonly Rule[];
  /** Where rules of either policy apply, where changed ones do, and where enforced denials do. */
  readonly #everywhere: Places;
  readonly #changes: Places;
  readonly #denials: Places;
  readonly #sources: Sources;
  readonly #everybody: ReadonlySet<SourceClass>;
  /** Allow rules and deny rules are not for the same processes of a source: what is not known only a deny rule is for. */
  readonly #members = { allow: new Map<Rule["from"], Members>(), deny: new Map<Rule["from"], Members>() };
  readonly #ports: ReadonlyMap<Transport, readonly number[]>;
  readonly #transitions = new Map<string, Transition>();
  #flows = 0;
  #cells = 0;
  #isCut = false;

  constructor(a: Policy, b: Policy, now: number, limit: number) {
    this.#a = a;
    this.#b = b;
    this.#now = now;
    this.#limit = limit;
    this.#engines = [compile(a, now), compile(b, now)];
    this.#rules = [...a.rules, ...b.rules];
    const changed = changedRules(a.rules, b.rules);
    this.#changed = [...changed.a, ...changed.b];
    this.#everywhere = new Places(this.#rules);
    this.#changes = new Places(this.#changed);
    // An allow rule that refuses Encrypted Client Hello is a denial of that.
    const isDenial = ({ action, mode, ech }: Rule) => mode === "enforce" && (action === "deny" || ech === "deny");
    this.#denials = new Places(this.#rules.filter(isDenial));
    this.#sources = sourceClasses(a, b);
    this.#isCut = this.#sources.isCut;
    this.#everybody = new Set(this.#sources.classes);
    this.#ports = mentionedPorts(this.#rules);
  }

  compare(): Comparison {
    const { spots, names } = this.#spots();
    const [a, b] = this.#engines;
    const defaults = this.#sources.classes.flatMap((source) => {
      const [was, is] = [a.enforcedFor(source.address), b.enforcedFor(source.address)];
      return was === is ? [] : [{ source, kind: was ? ("opens" as const) : ("closes" as const) }];
    });
    return {
      before: this.#a,
      after: this.#b,
      now: this.#now,
      sources: this.#sources,
      names,
      spots,
      defaults,
      ports: this.#ports,
      flows: this.#flows,
      isCut: this.#isCut,
    };
  }

  /**
   * Names at ordinary addresses first, then bare addresses, then names at the addresses of CIDR endpoints. What rules on
   * names and rules on CIDRs make of those last together is the earlier of what each makes alone, so without a denial
   * among them the verdict is told already.
   */
  #spots(): Pick<Comparison, "spots" | "names"> {
    if (this.#changed.length === 0) return { spots: [], names: { classes: [], wholes: new Map(), isCut: false } };
    const changed = new Set(patternsOf(this.#changed).keys());
    const isEvery = this.#changes.hasCidrs;
    const patterns = new Map([...patternsOf(this.#rules), ...frontsIn(this.#rules, this.#changed, isEvery)]);
    const names = nameClasses(patterns, (text) => isEvery || changed.has(text));
    this.#isCut ||= names.isCut;
    const isChanged = ({ name }: NameClass) => this.#changes.byName(name).length > 0;
    const isDenied = ({ name }: NameClass) => this.#denials.byName(name).length > 0 || entryFor(fronts, name) !== null;
    const { classes } = names;
    const some = classes.filter(isChanged);
    const [denied, someDenied] = [classes.filter(isDenied), some.filter(isDenied)];
    const spots: Spot[] = [];
    const visit = (name: NameClass | null, address: AddressClass): void => {
      const cells = this.#look(name, address);
      if (cells.size > 0) spots.push({ name, address, cells });
    };
    const addresses = addressClasses(this.#a, this.#b);
    const covered = addresses.filter(({ isCovered }) => isCovered);
    // Where CIDR endpoints cover every address, that is the only place to see what a name rule does.
    const hasOrdinary = addresses.some(({ text }) => text === null);
    for (const address of addresses) if (!address.isCovered) for (const name of some) visit(name, address);
    for (const address of covered) visit(null, address);
    for (const address of covered) {
      const isHere = this.#changes.byAddress(address.address).length > 0;
      const isDeniedHere = !hasOrdinary || this.#denials.byAddress(address.address).length > 0;
      const together = isHere ? (isDeniedHere ? classes : denied) : isDeniedHere ? some : someDenied;
      for (const name of together) visit(name, address);
    }
    return { spots, names };
  }

  /** Asks both policies about every flow there that some changed rule can meet. */
  #look(name: NameClass | null, address: AddressClass): Cells {
    const cells = new Map<string, Found>();
    const parts = [...this.#changes.byName(name?.name ?? null), ...this.#changes.byAddress(address.address)];
    if (parts.length === 0) return cells;
    const groups = this.#alike(name, address);
    for (const { rule, services } of parts) {
      for (const service of services) {
        const transport = transportOf(service.protocol);
        const ports =
          service.port !== null ? [service.port] : [...this.#ports.get(transport)!, transport === "icmp" ? 0 : null];
        for (const port of ports) {
          for (const sources of groups) {
            const source = sources[0]!;
            const first: Cell = { source, transport, port, application: applicationsOf[transport][0]!, shape: "plain" };
            if (!this.#membersOf(rule).has(source) || cells.has(keyOf(first))) continue;
            if (this.#flows >= this.#limit || this.#cells >= 4 * this.#limit) {
              this.#isCut = true;
              return cells;
            }
            this.#ask(name, address, first, sources, cells);
          }
        }
      }
    }
    return cells;
  }

  /** The source classes, those together that no rule there tells apart. */
  #alike(name: NameClass | null, address: AddressClass): SourceClass[][] {
    const here = [...this.#everywhere.byName(name?.name ?? null), ...this.#everywhere.byAddress(address.address)];
    const members = [...new Set(here.map(({ rule }) => this.#membersOf(rule)))];
    const groups = new Map<string, SourceClass[]>();
    for (const source of this.#sources.classes) {
      const enforced = this.#engines.map((engine) => engine.enforcedFor(source.address));
      const key = [...enforced, ...members.map((set) => set.has(source))].map(Number).join("");
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [source]);
      else group.push(source);
    }
    return [...groups.values()];
  }

  #membersOf(rule: Rule): Members {
    if (rule.from === null) return this.#everybody;
    const known = this.#members[rule.action];
    let members = known.get(rule.from);
    if (members === undefined) {
      const inside = this.#sources.classes.filter(({ address, process }) => isFrom(rule, address, process));
      known.set(rule.from, (members = new Set(inside)));
    }
    return members;
  }

  /** One flow in every application and shape; the answers hold for all of `sources`. */
  #ask(
    name: NameClass | null,
    address: AddressClass,
    first: Cell,
    sources: readonly SourceClass[],
    cells: Map<string, Found>,
  ): void {
    for (const application of applicationsOf[first.transport]) {
      for (const shape of shapesOf(name, application)) {
        this.#flows++;
        const found = this.#compareOne(name, address, { ...first, application, shape });
        for (const source of sources) {
          const cell = { ...found.cell, source };
          this.#cells++;
          cells.set(keyOf(cell), { ...found, cell });
        }
      }
    }
  }

  #compareOne(name: NameClass | null, address: AddressClass, cell: Cell): Found {
    const { source, transport, port, application, shape } = cell;
    const isShown = name !== null && shape !== "unnamed" && showsName(application);
    const facts = {
      source: source.address,
      process: source.process,
      destination: address.address,
      local: false,
      transport,
      port: port ?? unmentioned(this.#ports.get(transport)!),
      names: name === null || shape === "unbound" ? [] : [name.name],
      application,
      name: isShown ? name.name : null,
      ech: shape === "ech",
    };
    const [before, after] = this.#engines.map((engine) => engine.name(facts));
    return { cell, transition: this.#transition(before!, after!), verdict: after!.verdict };
  }

  /** Null where both say the same, or where only the default's own mode differs: that is told once, for everything. */
  #transition(a: Decision, b: Decision): Transition | null {
    const [before, after] = [sideOf(a), sideOf(b)];
    const isSameRule = before.rule?.name === after.rule?.name && before.rule?.tier === after.rule?.tier;
    const isSameNotes = before.monitored.join("\n") === after.monitored.join("\n");
    // What the default's mode alone decides: nothing matched, or an allow rule did that does not let the flow through.
    const isDefault = a.reason !== "rule" && b.reason !== "rule";
    if (isSameNotes && (isDefault || (isSameRule && before.verdict === after.verdict))) return null;
    const kind = isDefault
      ? "rule"
      : a.passes !== b.passes
        ? b.passes
          ? "opens"
          : "closes"
        : a.verdict !== b.verdict
          ? "verdict"
          : "rule";
    // One object for each, so that what is the same can be told by identity.
    const key = JSON.stringify([kind, before, after]);
    let transition = this.#transitions.get(key);
    if (transition === undefined) this.#transitions.set(key, (transition = { kind, before, after }));
    return transition;
  }
}

/** A protocol that shows names can fail to, or show one that was never resolved, or seal the one that is meant. */
function shapesOf(name: NameClass | null, application: Application): readonly Shape[] {
  const named: readonly Shape[] = name !== null && showsName(application) ? ["plain", "unnamed", "unbound"] : ["plain"];
  return application !== "other" && carriesEch(application) ? [...named, "ech"] : named;
}

function sideOf({ verdict, rule, monitored }: Decision): Side {
  const by = rule === null ? null : { name: rule.name, tier: rule.tier, action: rule.action, line: rule.line };
  return { verdict, rule: by, monitored: monitored.map((each) => each.name) };
}

function patternsOf(rules: readonly Rule[]): Map<string, Pattern> {
  const out = new Map<string, Pattern>();
  for (const { targets } of rules) {
    for (const { endpoint } of targets)
      if (endpoint.kind === "name") out.set(formatPattern(endpoint.pattern), endpoint.pattern);
  }
  return out;
}

/**
 * Patterns of the known fronts' names within wildcards of rules that say nothing of Encrypted Client Hello, changed ones or such
 * as decide behind a change: there, they decide otherwise than for their other names.
 */
function frontsIn(rules: readonly Rule[], changed: readonly Rule[], isEvery: boolean): Map<string, Pattern> {
  const out = new Map<string, Pattern>();
  const silent = [...patternsOf(rules.filter(leavesEchOpen)).values()].filter(isWild);
  const wild = [...patternsOf(changed).values()].filter(isWild);
  if (silent.length === 0) return out;
  for (const front of fronts.keys()) {
    // One below another has nothing to add.
    if (entryFor(fronts, front.slice(front.indexOf(".") + 1)) !== null) continue;
    const labels = front.split(".").map((text) => ({ kind: "literal" as const, text }));
    for (const pattern of [
      { deep: false, labels },
      { deep: true, labels },
    ]) {
      const takesIn = (each: Pattern) => !isBelow(each, front) && overlap(each, pattern).length > 0;
      if (silent.some(takesIn) && (isEvery || wild.some(takesIn))) out.set(formatPattern(pattern), pattern);
    }
  }
  return out;
}

function leavesEchOpen({ action, ech, targets }: Rule): boolean {
  const meetsEch = targets.some(({ services }) => services.some(({ protocol }) => carriesEch(protocol)));
  return action === "allow" && ech === null && meetsEch;
}

/** A wildcard within a front's names is a front's as a whole. */
function isBelow(pattern: Pattern, front: string): boolean {
  return `.${formatPattern(pattern)}`.endsWith(`.${front}`);
}

function mentionedPorts(rules: readonly Rule[]): Map<Transport, number[]> {
  const ports = { tcp: new Set<number>(), udp: new Set<number>(), icmp: new Set<number>() };
  for (const { targets } of rules) {
    for (const { services } of targets) {
      for (const { port, protocol } of services) if (port !== null) ports[transportOf(protocol)].add(port);
    }
  }
  return new Map(
    Object.entries(ports).map(([transport, set]) => [transport as Transport, [...set].toSorted((a, b) => a - b)]),
  );
}

function unmentioned(ports: readonly number[]): number {
  let port = 1024;
  while (ports.includes(port)) port++;
  return port;
}
