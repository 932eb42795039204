/**
 * The connect stage without enumerating completions. `naive.ts` defines it over every application and name that could
 * follow; here each class of completions is represented by the first enforcing rule it would meet, and two facts about
 * name denials stand in for all the names nobody has shown yet:
 *
 * - A name that no pattern but `**` matches meets the fewest denials, so it speaks for "could anything pass?".
 * - The first denial that some unbound name meets speaks for "could anything be refused?" and "is everything alike?".
 */
import { countNames, example } from "../address/pattern.ts";
import type { Pattern } from "../address/pattern.ts";
import type { ConnectFacts, Decision, NotYet } from "./decision.ts";
import { byAnyName, byBound, byCidr } from "./candidates.ts";
import type { CompiledEngine } from "./engine.ts";
import { appBit, isForProcess, portKey } from "./items.ts";
import type { Item } from "./items.ts";

/** A rule that decides: twice its order, plus one where it allows. Infinity: no rule, the default. Smaller is earlier. */
type First = number;
const nothing: First = Infinity;

function firstOf(item: Item): First {
  return item.order * 2 + (item.allow ? 1 : 0);
}

const holdAnswer: NotYet = Object.freeze({ answer: "not_yet", hold: true });
const passAnswer: NotYet = Object.freeze({ answer: "not_yet", hold: false });

/** The first rules met by completions, by what they depend on. Reused: an engine serves one thread. */
class Firsts {
  /** By every completion. */
  all: First = nothing;
  /** By completions that show no name, where a bound one is denied. */
  unnamed: First = nothing;
  /** By completions that show a name, whichever it is (`**`). */
  named: First = nothing;
  ssh: First = nothing;
  /** By completions of the first and second application that shows names (tls and http, or quic). */
  a: First = nothing;
  b: First = nothing;

  reset(): void {
    this.all = this.unnamed = this.named = this.ssh = this.a = this.b = nothing;
  }
}

const firsts = new Firsts();

/** Answers the connect stage for one flow. */
export function settleConnect(engine: CompiledEngine, facts: ConnectFacts): Decision | NotYet {
  const plain = () => engine.decide({ ...facts, application: "other", name: null, ech: false }, "connect");
  engine.gather(facts, null);
  if (facts.transport !== "tcp" && facts.transport !== "udp") return plain();
  const tcp = facts.transport === "tcp";
  const aBit = tcp ? appBit.tls : appBit.quic;
  const bBit = tcp ? appBit.http : 0;
  fold(engine, aBit, bBit);
  foldAnyName(engine, facts);
  const { source } = engine.candidates;
  const passes = (first: First) => (first === nothing ? !source.enforced : (first & 1) === 1);

  const { all, unnamed, named, ssh, a, b } = firsts;
  const plainFirst = Math.min(all, unnamed);
  let some = false;
  let every = true;
  let alike = true;
  const meet = (first: First): void => {
    if (passes(first)) some = true;
    else every = false;
    if (first !== plainFirst) alike = false;
  };
  meet(plainFirst);
  if (tcp) meet(Math.min(plainFirst, ssh));
  meet(Math.min(plainFirst, a));
  meet(Math.min(all, named, a));
  if (tcp) {
    meet(Math.min(plainFirst, b));
    meet(Math.min(all, named, b));
  }
  for (const name of facts.names) meetName(engine, name, aBit, bBit, meet);
  if (!some) return plain();
  if (alike && plainFirst !== nothing && isSettled(engine, facts, plainFirst)) return plain();
  if (!every || someEchRefused(engine, facts)) return holdAnswer;
  const latest = Math.min(all, named, tcp ? Math.max(a, b) : a);
  return someNameDenied(engine, facts, latest) ? holdAnswer : passAnswer;
}

/**
 * True where a completion with Encrypted Client Hello is refused although every one without passes. A rule that can refuse one
 * lets the others through, so this alone needs the question. What matches a name that is not bound matches no name at all.
 */
function someEchRefused(engine: CompiledEngine, facts: ConnectFacts): boolean {
  const { source, items } = engine.candidates;
  if (!source.enforced || !items.some((item) => item.allow && item.enforce && item.ech !== "allow")) return false;
  const application = facts.transport === "tcp" ? "tls" : "quic";
  return [null, ...facts.names].some((name) => {
    engine.gather(facts, name);
    return !engine.decide({ ...facts, application, name, ech: true }, "connect").passes;
  });
}

/** The rules that do not depend on which name is shown. */
function fold(engine: CompiledEngine, aBit: number, bBit: number): void {
  const { items, met, reachable } = engine.candidates;
  firsts.reset();
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!;
    if (!item.enforce) continue;
    const first = firstOf(item);
    const cidr = (met[i]! & byCidr) !== 0;
    if (!item.allow) {
      if (cidr || !item.shows) firsts.all = Math.min(firsts.all, first);
      else firsts.unnamed = Math.min(firsts.unnamed, first);
    } else if (cidr || (reachable && !item.shows)) {
      if (item.everyApp) firsts.all = Math.min(firsts.all, first);
      else if ((item.apps & appBit.ssh) !== 0) firsts.ssh = Math.min(firsts.ssh, first);
      else if ((item.apps & aBit) !== 0) firsts.a = Math.min(firsts.a, first);
      else if ((item.apps & bBit) !== 0) firsts.b = Math.min(firsts.b, first);
    }
  }
}

/** Denials of any name at all (`**`) meet whatever name is shown. */
function foldAnyName(engine: CompiledEngine, facts: ConnectFacts): void {
  const node = engine.index.names.anyName;
  if (node === undefined) return;
  const { items, met, source } = engine.candidates;
  const before = items.length;
  engine.addItems(node, source, facts, byBound);
  for (let i = before; i < items.length; i++) {
    const item = items[i]!;
    if (item.enforce && !item.allow) firsts.named = Math.min(firsts.named, firstOf(item));
  }
  items.length = met.length = before;
}

/** The completions that show one bound name. */
function meetName(
  engine: CompiledEngine,
  name: string,
  aBit: number,
  bBit: number,
  meet: (first: First) => void,
): void {
  const { items, reachable } = engine.candidates;
  let { a, b } = firsts;
  let denied = nothing;
  const nodes = engine.nodesOf(name);
  for (let k = 0; k < nodes.length; k++) {
    const { from, to } = nodes[k]!;
    for (let i = from; i < to; i++) {
      const item = items[i]!;
      if (!item.enforce) continue;
      const first = firstOf(item);
      if (!item.allow) denied = Math.min(denied, first);
      else if (reachable && item.shows && (item.apps & aBit) !== 0) a = Math.min(a, first);
      else if (reachable && item.shows && (item.apps & bBit) !== 0) b = Math.min(b, first);
    }
  }
  const rest = Math.min(firsts.all, denied);
  meet(Math.min(rest, a));
  if (bBit !== 0) meet(Math.min(rest, b));
}

/** All known completions are allowed by the rule `first`: do they note the same rules, and do unknown names not differ? */
function isSettled(engine: CompiledEngine, facts: ConnectFacts, first: First): boolean {
  if ((first & 1) === 0) return false;
  const order = first >> 1;
  const { items, met, reachable, source } = engine.candidates;
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!;
    // Not every completion meets an allow rule that asks for one application.
    if (item.order >= order || !item.allow || item.everyApp) continue;
    if (((met[i]! & byCidr) !== 0 || reachable) && !alwaysMatches(engine, item.order)) return false;
  }
  for (const ref of source.refs) {
    const denials = engine.index.denials.get(ref)?.all;
    if (denials === undefined) continue;
    for (const key of [portKey(facts.transport, facts.port), portKey(facts.transport, null)]) {
      for (const item of denials.at(key)) {
        if (item.order >= order) break;
        if (item.key !== key || !isForProcess(item, facts.process)) continue;
        if (!alwaysMatches(engine, item.order)) return false;
      }
    }
  }
  return true;
}

/** True where the rule matches in every completion: one of its items alone does, whatever application and name follow. */
function alwaysMatches(engine: CompiledEngine, order: number): boolean {
  const { items, met, reachable } = engine.candidates;
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!;
    if (item.order !== order) continue;
    const cidr = (met[i]! & byCidr) !== 0;
    // `**` is here only where a name is bound: it then meets the flow that shows none, too.
    const always = item.allow
      ? item.everyApp && (cidr || reachable)
      : cidr || !item.shows || (met[i]! & byAnyName) !== 0;
    if (always) return true;
  }
  return false;
}

/** True where a name that is not bound would meet an enforcing denial before `latest`. */
function someNameDenied(engine: CompiledEngine, facts: ConnectFacts, latest: First): boolean {
  for (const ref of engine.candidates.source.refs) {
    const denials = engine.index.denials.get(ref)?.enforced;
    if (denials === undefined) continue;
    for (const key of [portKey(facts.transport, facts.port), portKey(facts.transport, null)]) {
      for (const item of denials.at(key)) {
        if (firstOf(item) >= latest) break;
        if (item.key !== key || !isForProcess(item, facts.process)) continue;
        if (hasUnboundName(item.pattern!, facts.names)) return true;
      }
    }
  }
  return false;
}

function hasUnboundName(pattern: Pattern, names: readonly string[]): boolean {
  return countNames(pattern) > names.length || example(pattern, new Set(names)) !== null;
}
