/**
 * From single flows that two policies decide differently to the lines people read: what a wider name, prefix or plainer
 * flow already tells is left out, and ports, protocols and sources that changed together stand on one line.
 */
import type { Application, Transport } from "./decision.ts";
import { keyOf } from "./comparison.ts";
import type { Cell, Cells, Comparison, Found, Shape, Spot, Transition } from "./comparison.ts";
import { whomOf } from "./diff-sources.ts";
import type { Whom } from "./diff-sources.ts";
import type { Policy } from "./model.ts";
import { applicationsOf } from "./protocol.ts";
import type { NameClass } from "./universe.ts";

/** Applications on ports of one transport. */
export interface Spoken {
  transport: Transport;
  /** Every one the transport can carry where the rule is opaque. */
  applications: Application[];
  /** `*`: every port. Empty for icmp. */
  ports: "*" | number[];
  /** With `*`: but not these. */
  except_ports: number[];
}

/** One line: who, to where, over what. */
export interface DiffLine extends Whom {
  /** A name or pattern; null: a bare address. */
  name: string | null;
  /** Only at the addresses of this prefix; null: at any ordinary address. */
  at: string | null;
  /** Narrower names or prefixes, or names at these addresses, for which it stays as it was. */
  except: string[];
  spoken: Spoken[];
  /**
   * `unnamed`: only clients that show no name. `unbound`: only addresses that were not handed out for the name. `ech`: only
   * hellos with Encrypted Client Hello.
   */
  shape: Shape;
}

/** Lines that changed in the same way. */
export interface DiffGroup extends Transition {
  lines: DiffLine[];
}

/** The JSON of `sallyport policy diff --json`. */
export interface DiffReport {
  schema: "sallyport.diff/1";
  before: { file: string; hash: string };
  after: { file: string; hash: string };
  at: string;
  /** Some decision differs. */
  differs: boolean;
  groups: DiffGroup[];
  /** What no rule decides: refused by one policy, passed by the other. Sources null: every source. */
  defaults: ({ kind: "opens" | "closes" } & Whom)[];
  /** Rules of both policies whose `upload_limit` differs, in bytes; null: none. */
  limits: { rule: string; before: number | null; after: number | null }[];
  /** Flows looked at. */
  flows: number;
  /** The policies are too big to be compared whole: there may be more differences. */
  cut: boolean;
}

/** Turns what was found into the report. */
export function collapse(comparison: Comparison): DiffReport {
  const { before, after, now, defaults, flows, isCut, sources } = comparison;
  const groups = new Map<Transition, DiffLine[]>();
  const atlas = new Atlas(wholeNames(comparison));
  for (const spot of atlas.spots) {
    // Which of several rules decides a name at a CIDR endpoint's addresses is not told, only what they decide.
    const isQuiet = spot.name !== null && spot.address.isCovered;
    const untold = [...spot.cells.values()].flatMap(({ cell, transition }) =>
      transition === null || (isQuiet && transition.kind === "rule") || atlas.isTold(spot, cell, transition)
        ? []
        : [{ cell, transition }],
    );
    for (const same of partition(untold, ({ cell, transition }) => [transition, cell.shape])) {
      const { cell, transition } = same[0]!;
      const except = atlas.exceptions(
        spot,
        same.map((each) => each.cell),
        transition,
      );
      const lines = linesOf(
        same.map((each) => each.cell),
        comparison,
      ).map(({ sources, who, spoken }) => ({
        sources,
        who,
        name: spot.name?.text ?? null,
        at: spot.address.text,
        except,
        spoken,
        shape: cell.shape,
      }));
      groups.set(transition, [...(groups.get(transition) ?? []), ...lines]);
    }
  }
  const order = ["opens", "closes", "verdict", "rule"];
  const found = [...groups].map(([transition, lines]) => ({ ...transition, lines }));
  const limits = changedLimits(before, after);
  return {
    schema: "sallyport.diff/1",
    before: { file: before.file, hash: before.hash },
    after: { file: after.file, hash: after.hash },
    at: new Date(now).toISOString(),
    differs: found.length > 0 || defaults.length > 0 || limits.length > 0,
    groups: found.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || lineOf(a) - lineOf(b)),
    defaults: (["opens", "closes"] as const).flatMap((kind) => {
      const who = defaults.filter((each) => each.kind === kind).map((each) => each.source);
      return who.length === 0 ? [] : [{ kind, ...whomOf(who, sources) }];
    }),
    limits,
    flows,
    cut: isCut,
  };
}

function changedLimits(before: Policy, after: Policy): DiffReport["limits"] {
  const old = new Map(before.rules.map((rule) => [rule.name, rule.uploadLimit]));
  return after.rules.flatMap(({ name, uploadLimit }) => {
    const was = old.get(name);
    return was === undefined || was === uploadLimit ? [] : [{ rule: name, before: was, after: uploadLimit }];
  });
}

function lineOf({ before, after }: Transition): number {
  return after.rule?.line ?? before.rule?.line ?? 0;
}

/** The spots by place, and what the wider ones among them tell already. */
class Atlas {
  readonly spots: readonly Spot[];
  readonly #byPlace = new Map<string, Spot>();
  readonly #inside = new Map<string, Spot[]>();

  constructor(spots: readonly Spot[]) {
    this.spots = spots;
    for (const spot of spots) {
      const name = spot.name?.text ?? null;
      this.#byPlace.set(placeOf(name, spot.address.text), spot);
      for (const wider of spot.name === null ? [] : [...spot.name.within, null])
        this.#put(wider, spot.address.text, spot);
      for (const wider of spot.address.within) this.#put(name, wider, spot);
    }
  }

  #put(name: string | null, at: string | null, spot: Spot): void {
    const place = placeOf(name, at);
    const list = this.#inside.get(place);
    if (list === undefined) this.#inside.set(place, [spot]);
    else list.push(spot);
  }

  /** True where another flow, of which this one is a special case, changes in the same way. */
  isTold({ name, address }: Spot, cell: Cell, transition: Transition): boolean {
    const text = name?.text ?? null;
    const plain = { ...cell, shape: "plain" as const };
    const isSame = (name: string | null, at: string | null, like: Cell) => {
      const other = this.#byPlace.get(placeOf(name, at))?.cells.get(keyOf(like))?.transition ?? null;
      // Which monitor rules note a name on the way is not worth a line for every prefix.
      return other === transition || (at !== null && other !== null && isAlike(other, transition));
    };
    if (cell.shape !== "plain" && isSame(text, address.text, plain)) return true;
    // Denials are liberal: the rule that denies one protocol denies what poses as another, shown name or not.
    const home = address.isCovered ? address.text : null;
    const isElsewhere = cell.shape !== "plain" || address.text !== home;
    const isDenial = transition.before.rule?.action === "deny" || transition.after.rule?.action === "deny";
    const others = isElsewhere && (isDenial || transition.kind === "rule") ? applicationsOf[cell.transport] : [];
    if (others.some((application) => isSame(text, home, { ...plain, application }))) return true;
    if (name !== null && address.text !== null && (isSame(text, null, cell) || isSame(null, address.text, plain)))
      return true;
    if (address.within.some((wider) => isSame(text, wider, cell))) return true;
    return name !== null && name.within.some((wider) => isSame(wider, address.text, cell));
  }

  /** Names inside of a spot's for which the second policy does not come to what the line says, and nothing changed. */
  exceptions({ name, address }: Spot, cells: readonly Cell[], { after }: Transition): string[] {
    const inside = this.#inside.get(placeOf(name?.text ?? null, address.text)) ?? [];
    const isException = (found: Found | undefined) =>
      found !== undefined && found.transition === null && found.verdict !== after.verdict;
    return inside.flatMap((spot) => {
      if (!cells.some((cell) => isException(spot.cells.get(keyOf(cell))))) return [];
      return [spot.address.text === address.text ? spot.name!.text : spot.address.text!];
    });
  }
}

/** The same but for notes. */
function isAlike(a: Transition, b: Transition): boolean {
  const isSame = (x: Transition["before"], y: Transition["before"]) =>
    x.verdict === y.verdict && x.rule?.name === y.rule?.name && x.rule?.tier === y.rule?.tier;
  return a.kind === b.kind && isSame(a.before, b.before) && isSame(a.after, b.after);
}

function placeOf(name: string | null, at: string | null): string {
  return `${name ?? ""} ${at ?? ""}`;
}

/** Patterns that were cut by their numbers get a spot of their own for what is alike in all parts. */
function wholeNames({ names, spots }: Comparison): Spot[] {
  const parts = new Map<string, NameClass[]>();
  for (const name of names.classes)
    for (const whole of name.wholes) parts.set(whole, [...(parts.get(whole) ?? []), name]);
  const places = new Map(spots.map((spot) => [placeOf(spot.name?.text ?? null, spot.address.text), spot]));
  const out = [...spots];
  for (const { name, address } of spots) {
    for (const whole of name?.wholes ?? []) {
      const place = placeOf(whole, address.text);
      if (places.has(place)) continue;
      const cells = commonCells(parts.get(whole)!.map((part) => places.get(placeOf(part.text, address.text))?.cells));
      const spot = { name: { ...name!, text: whole, within: names.wholes.get(whole)!, wholes: [] }, address, cells };
      places.set(place, spot);
      if (cells.size > 0) out.push(spot);
    }
  }
  return out;
}

/** What every part has, with the same transition. */
function commonCells(all: readonly (Cells | undefined)[]): Cells {
  const [first] = all;
  if (first === undefined) return new Map();
  return new Map(
    [...first].filter(([key, { transition }]) => all.every((cells) => cells?.get(key)?.transition === transition)),
  );
}

/** Cells as who and what is spoken, sources with the same on one line. */
function linesOf(cells: readonly Cell[], comparison: Comparison): (Whom & Pick<DiffLine, "spoken">)[] {
  const bySource = partition(cells, (cell) => [cell.source]);
  const spoken = bySource.map((same) => ({ source: same[0]!.source, spoken: spokenBy(same, comparison) }));
  return partition(spoken, (each) => [JSON.stringify(each.spoken)]).map((same) => ({
    ...whomOf(
      same.map((each) => each.source),
      comparison.sources,
    ),
    spoken: same[0]!.spoken,
  }));
}

/** One source's cells, ports with the same applications together. */
function spokenBy(cells: readonly Cell[], { ports }: Comparison): Spoken[] {
  const byPort = partition(cells, ({ transport, port }) => [transport, port]).map((same) => ({
    transport: same[0]!.transport,
    port: same[0]!.port,
    applications: [...new Set(same.map((cell) => cell.application))],
  }));
  return partition(byPort, ({ transport, applications }) => [transport, applications.join()]).map((same) => {
    const { transport, applications } = same[0]!;
    const numbers = same.flatMap(({ port }) => (port === null || port === 0 ? [] : [port])).toSorted((a, b) => a - b);
    // A port that neither policy mentions speaks for all such.
    if (same.every(({ port }) => port !== null)) return { transport, applications, ports: numbers, except_ports: [] };
    const except_ports = ports.get(transport)!.filter((port) => !numbers.includes(port));
    return { transport, applications, ports: "*", except_ports };
  });
}

/** Elements with equal keys together, in the order in which they first come. */
function partition<T>(list: readonly T[], keys: (element: T) => readonly unknown[]): T[][] {
  interface Branch {
    next: Map<unknown, Branch>;
    list: T[] | null;
  }
  const root: Branch = { next: new Map(), list: null };
  const out: T[][] = [];
  for (const element of list) {
    let branch = root;
    for (const key of keys(element)) {
      let next = branch.next.get(key);
      if (next === undefined) branch.next.set(key, (next = { next: new Map(), list: null }));
      branch = next;
    }
    if (branch.list === null) out.push((branch.list = []));
    branch.list.push(element);
  }
  return out;
}
