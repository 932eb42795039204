/**
 * A tree of YAML that was read already, as GitHub's workflow parser wants to be handed one: event by event. Its own reader would
 * read the text a second time, which costs more than all that it then does. Aliases are written out, as it does; whoever makes one
 * has seen to it that this ends (`writtenOut` in `validate.ts`). Lines and columns are worked out where they are asked for.
 */
import type { ObjectReader } from "@actions/workflow-parser/templates/object-reader";
import {
  BooleanToken,
  type LiteralToken,
  MappingToken,
  NullToken,
  NumberToken,
  SequenceToken,
  StringToken,
} from "@actions/workflow-parser/templates/tokens/index";
import { isMap, isPair, isScalar, isSeq } from "yaml";
import type { Node, Scalar } from "yaml";
import type { Source } from "../../workflow/source.ts";

interface Position {
  readonly line: number;
  readonly column: number;
}

/** Where a token stands: half of all tokens are never asked. */
class Range {
  readonly #source: Source;
  readonly #range: readonly number[];
  #start: Position | null = null;

  constructor(source: Source, range: readonly number[]) {
    this.#source = source;
    this.#range = range;
  }

  get start(): Position {
    return (this.#start ??= this.#source.spotAt(this.#range[0]!));
  }

  get end(): Position {
    return this.#source.spotAt(this.#range[1]!);
  }
}

/** What comes next: a scalar, a key, or where a collection begins or ends. */
type Event = { readonly kind: "literal" | "key" | "map" | "list"; readonly node: Node | null } | "map-end" | "list-end";

export class TreeReader implements ObjectReader {
  readonly #source: Source;
  readonly #file: number;
  readonly #lists: ReadonlySet<Node>;
  readonly #passesOver: (item: Node | null) => boolean;
  readonly #events: Event[] = [];
  #at = 0;

  /**
   * `passesOver`: items of these lists are left out where it says so. Throws RangeError where aliases nest deeper than the stack.
   */
  constructor(source: Source, file: number, lists: ReadonlySet<Node>, passesOver: (item: Node | null) => boolean) {
    this.#source = source;
    this.#file = file;
    this.#lists = lists;
    this.#passesOver = passesOver;
    this.#write(source.root);
  }

  allowLiteral(): LiteralToken | undefined {
    const event = this.#events[this.#at];
    if (event === undefined || typeof event === "string") return undefined;
    if (event.kind !== "literal" && event.kind !== "key") return undefined;
    this.#at++;
    const range = this.#rangeOf(event.node);
    const value = isScalar(event.node) ? event.node.value : null;
    if (event.kind === "key")
      return new StringToken(this.#file, range, isScalar(event.node) ? String(value) : "", undefined);
    if (typeof value === "number") return new NumberToken(this.#file, range, value, undefined);
    if (typeof value === "boolean") return new BooleanToken(this.#file, range, value, undefined);
    if (typeof value !== "string") return new NullToken(this.#file, range, undefined);
    const { text, header } = this.#written(event.node as Scalar);
    return new StringToken(this.#file, range, value, undefined, text, header);
  }

  allowSequenceStart(): SequenceToken | undefined {
    const node = this.#begins("list");
    return node === undefined ? undefined : new SequenceToken(this.#file, this.#rangeOf(node), undefined);
  }

  allowSequenceEnd(): boolean {
    return this.#ends("list-end");
  }

  allowMappingStart(): MappingToken | undefined {
    const node = this.#begins("map");
    return node === undefined ? undefined : new MappingToken(this.#file, this.#rangeOf(node), undefined);
  }

  allowMappingEnd(): boolean {
    return this.#ends("map-end");
  }

  validateStart(): void {
    if (this.#at !== 0) throw new Error("It was read before.");
  }

  validateEnd(): void {
    if (this.#at !== this.#events.length) throw new Error("It does not end where it should.");
  }

  #write(given: unknown): void {
    const node = this.#source.resolve(given);
    if (isMap(node)) {
      this.#events.push({ kind: "map", node });
      for (const pair of node.items) {
        if (!isPair(pair)) continue;
        this.#events.push({ kind: "key", node: this.#source.resolve(pair.key) });
        this.#write(pair.value);
      }
      this.#events.push("map-end");
    } else if (isSeq(node)) {
      this.#events.push({ kind: "list", node });
      const mayPass = this.#lists.has(node);
      for (const item of node.items) {
        if (!mayPass || !this.#passesOver(this.#source.resolve(item))) this.#write(item);
      }
      this.#events.push("list-end");
    } else this.#events.push({ kind: "literal", node });
  }

  #begins(kind: "map" | "list"): Node | null | undefined {
    const event = this.#events[this.#at];
    if (event === undefined || typeof event === "string" || event.kind !== kind) return undefined;
    this.#at++;
    return event.node;
  }

  #ends(kind: "map-end" | "list-end"): boolean {
    if (this.#events[this.#at] !== kind) return false;
    this.#at++;
    return true;
  }

  #rangeOf(node: Node | null): Range | undefined {
    const range = node?.range;
    return range === null || range === undefined ? undefined : new Range(this.#source, range);
  }

  /** A scalar as it is written; of a block scalar what is behind its header, which the parser wants apart. */
  #written({ range, type }: Scalar): { text: string | undefined; header: string | undefined } {
    if (range === null || range === undefined) return { text: undefined, header: undefined };
    const text = this.#source.text.slice(range[0], range[1]);
    if (type !== "BLOCK_LITERAL" && type !== "BLOCK_FOLDED") return { text, header: undefined };
    const line = text.indexOf("\n") + 1;
    return { text: text.slice(line), header: /^[|>][-+\d]*/.exec(text)?.[0] };
  }
}
