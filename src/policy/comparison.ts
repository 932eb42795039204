/** What comparing two policies finds, flow by flow: made by `diff.ts`, turned into lines by `diff-lines.ts`. */
import type { Application, Decision, Transport } from "./decision.ts";
import type { Policy } from "./model.ts";
import type { AddressClass, NameClass, Names, SourceClass, Sources } from "./universe.ts";

/**
 * How a flow carries its name. `plain`: the name is bound to the address, and shown where the protocol shows one (or
 * there is no name at all). `unnamed`: bound, not shown. `unbound`: shown, not bound. `ech`: plain, with Encrypted Client
 * Hello.
 */
export type Shape = "plain" | "unnamed" | "unbound" | "ech";

/** What one policy says of a flow, as far as a difference goes. */
export interface Side {
  verdict: Decision["verdict"];
  /** Null: the default. */
  rule: { name: string; tier: number; action: "allow" | "deny"; line: number } | null;
  /** Names of the monitor rules that were noted. */
  monitored: string[];
}

/** One kind of difference: opens and closes are about what passes, the others are not. */
export interface Transition {
  kind: "opens" | "closes" | "verdict" | "rule";
  before: Side;
  after: Side;
}

/** One flow that was looked at. */
export interface Cell {
  readonly source: SourceClass;
  readonly transport: Transport;
  /** Null: a port that neither policy mentions. 0 for icmp. */
  readonly port: number | null;
  readonly application: Application;
  readonly shape: Shape;
}

/** What was found for one flow: transition null where both policies decide alike. */
export interface Found {
  readonly cell: Cell;
  readonly transition: Transition | null;
  /** What the second policy says. */
  readonly verdict: Decision["verdict"];
}

/** What was found at one place, by {@link keyOf}. */
export type Cells = ReadonlyMap<string, Found>;

/** A name, or none, at an address class. */
export interface Spot {
  readonly name: NameClass | null;
  readonly address: AddressClass;
  readonly cells: Cells;
}

/** Everything that `collapse` turns into lines. */
export interface Comparison {
  readonly before: Policy;
  readonly after: Policy;
  readonly now: number;
  readonly sources: Sources;
  readonly names: Names;
  readonly spots: readonly Spot[];
  /** Source classes for which what no rule decides is treated differently. */
  readonly defaults: readonly { readonly source: SourceClass; readonly kind: "opens" | "closes" }[];
  /** Ports that some rule mentions, for each transport. */
  readonly ports: ReadonlyMap<Transport, readonly number[]>;
  readonly flows: number;
  readonly isCut: boolean;
}

/** The key of a cell at its spot; the same flow at another spot has the same. */
export function keyOf({ source, transport, port, application, shape }: Cell): string {
  return `${source.label}|${transport}|${port}|${application}|${shape}`;
}
