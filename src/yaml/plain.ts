/**
 * YAML as people write it, read several times as fast as by the library: block maps and lists, one-line and quoted scalars, `|` blocks,
 * flow collections, comments. The nodes are the library's own, as it would make them (a test holds both against each other); they have
 * no `commentBefore` and no `spaceBefore`. Whatever is anything else, and whatever is wrong, is not read here at all: null, and the
 * library says what it is. Pure.
 */
import { Pair, Scalar, YAMLMap, YAMLSeq } from "yaml";
import { readFlow } from "./flow.ts";
import { Cursor, NotPlain, notPlain } from "./cursor.ts";
import { plainScalar, quoted } from "./scalars.ts";

type Value = Scalar | YAMLMap | YAMLSeq;

/** Deeper than any file of ours may be, and far from the end of the stack. */
const deepest = 64;
/** YAML's own limit for what stands before a colon (section 7.4.2 of YAML 1.2.2), which the library keeps. */
const longestKey = 1024;
const key = /[A-Za-z_][A-Za-z0-9_./-]*(?=:(?: |\n|$))/y;
/** A byte order mark, carriage returns, and what no printable text has. */
// oxlint-disable-next-line no-control-regex
const odd = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/;

export interface PlainDocument {
  readonly root: YAMLMap;
  /** Where each line begins, for the library's `LineCounter`. */
  readonly lineStarts: number[];
}

/** The map that the text is; null where the library has to read it. */
export function readPlain(text: string): PlainDocument | null {
  if (odd.test(text)) return null;
  try {
    const reader = new Reader(text);
    return { root: reader.document(), lineStarts: reader.lineStarts() };
  } catch (error) {
    if (error instanceof NotPlain) return null;
    throw error;
  }
}

class Reader {
  readonly #text: string;
  readonly #at: Cursor;
  #depth = 0;
  #comment = -1;

  constructor(text: string) {
    this.#text = text;
    this.#at = new Cursor(text);
  }

  document(): YAMLMap {
    const at = this.#at;
    at.toContent();
    if (at.isOver || at.indent !== 0 || this.#isItem()) notPlain();
    const root = this.#map(0);
    if (!at.isOver) notPlain();
    return root;
  }

  lineStarts(): number[] {
    const starts = [0];
    for (let at = this.#text.indexOf("\n"); at >= 0; at = this.#text.indexOf("\n", at + 1)) starts.push(at + 1);
    return starts;
  }

  /** A block map whose keys begin in this column; the first one is here. */
  #map(indent: number): YAMLMap {
    const at = this.#at;
    const text = this.#text;
    const map = new YAMLMap();
    const start = at.offset;
    if (++this.#depth > deepest) notPlain();
    let end = start;
    do {
      key.lastIndex = at.offset;
      const name = key.exec(text)?.[0];
      if (name === undefined || name.length > longestKey) notPlain();
      const from = at.offset;
      const colon = from + name.length;
      const keyNode = plainScalar(name, from, colon);
      at.offset = colon + 1;
      const value = this.#value(indent, true);
      end = value.range![2];
      map.items.push(new Pair(keyNode, value));
    } while (this.#goesOn(indent) && !this.#isItem());
    // A list in the column of its own map's keys would have been the value of the last one.
    if (!at.isOver && at.indent === indent && this.#isItem()) notPlain();
    map.range = [start, end, end];
    this.#depth--;
    return map;
  }

  /** A block list whose dashes are in this column; the first one is here. */
  #list(indent: number): YAMLSeq {
    const at = this.#at;
    const list = new YAMLSeq();
    const start = at.offset;
    if (++this.#depth > deepest) notPlain();
    let end = start;
    do {
      at.offset++;
      const value = this.#value(indent, false);
      end = value.range![2];
      list.items.push(value);
    } while (this.#goesOn(indent) && this.#isItem());
    // In the column of the map that it is in: the library counts a comment there to the list.
    if (!at.isOver && at.indent === indent && at.comments > 0) notPlain();
    list.range = [start, end, end];
    this.#depth--;
    return list;
  }

  /** Whether another item begins here; what stands further in belongs to nothing that was read. */
  #goesOn(indent: number): boolean {
    const at = this.#at;
    if (!at.isOver && at.indent > indent) notPlain();
    return !at.isOver && at.indent === indent;
  }

  #isItem(): boolean {
    const { offset } = this.#at;
    return this.#text[offset] === "-" && (this.#text[offset + 1] ?? "\n").trim() === "";
  }

  /** What stands behind the colon or dash, of a map or list in column `indent`. Ends at the next content. */
  #value(indent: number, inMap: boolean): Value {
    const at = this.#at;
    const text = this.#text;
    const begun = at.offset;
    at.skipSpaces();
    const first = text[at.offset] ?? "\n";
    if (first === "\n" || (first === "#" && at.offset > begun)) return this.#below(indent, inMap);
    if (at.offset === begun) notPlain();
    if (first === "|" || first === ">") return this.#block(indent);
    if (first === "[" || first === "{") {
      const collection = readFlow(text, at, indent);
      this.#endLine(collection);
      return collection;
    }
    if (first === '"' || first === "'") {
      const scalar = quoted(text, at.offset);
      at.offset = scalar.range![1];
      this.#endLine(scalar);
      return scalar;
    }
    if (!inMap) {
      const column = at.offset - at.lineStart;
      if (this.#isItem()) return this.#list(column);
      key.lastIndex = at.offset;
      if (key.test(text)) return this.#map(column);
    }
    const scalar = this.#plain();
    this.#endLine(scalar);
    return scalar;
  }

  /** Nothing on the line: it stands on the lines below, or there is nothing. */
  #below(indent: number, inMap: boolean): Value {
    const at = this.#at;
    const text = this.#text;
    const from = at.offset;
    const hasComment = text[from] === "#";
    at.toContent();
    const isInside = !at.isOver && at.indent > indent;
    const isList = !at.isOver && this.#isItem();
    if (isInside || (inMap && isList && at.indent === indent)) {
      if (isList) return this.#list(at.indent);
      key.lastIndex = at.offset;
      // A scalar on a line of its own.
      if (!key.test(text)) notPlain();
      return this.#map(at.indent);
    }
    // A comment here may be the library's idea of the value's.
    if (!inMap || hasComment || at.comments > 0) notPlain();
    const nothing = new Scalar(null);
    [nothing.source, nothing.type] = ["", "PLAIN"];
    nothing.range = [from, from, from];
    return nothing;
  }

  #plain(): Scalar {
    const text = this.#text;
    const from = this.#at.offset;
    const lineEnd = this.#at.lineEnd;
    let end = lineEnd;
    const comment = this.#commentFrom(from);
    if (comment < end) end = comment;
    while (text[end - 1] === " ") end--;
    const source = text.slice(from, end);
    if (/^[,[\]{}#&*!|>'"%@`?:]|^-(?=\s|$)|:(?=\s|$)|\t/.test(source)) notPlain();
    this.#at.offset = end;
    return plainScalar(source, from, end);
  }

  /** Where the next comment could begin; looked for once, however many scalars come before it. */
  #commentFrom(offset: number): number {
    if (this.#comment >= offset) return this.#comment;
    const found = this.#text.indexOf(" #", offset);
    return (this.#comment = found < 0 ? this.#text.length : found);
  }

  /** To the next content, over spaces, a comment and the line's end, all of which are the value's. */
  #endLine(value: Value): void {
    const at = this.#at;
    const end = at.offset;
    at.skipSpaces();
    if (this.#text[at.offset] === "#") {
      if (at.offset === end) notPlain();
      value.comment = this.#text.slice(at.offset + 1, at.lineEnd) || " ";
      if (value.comment.includes("\t")) notPlain();
      at.offset = at.lineEnd;
    }
    if (at.offset < this.#text.length && this.#text[at.offset] !== "\n") notPlain();
    value.range![2] = Math.min(at.offset + 1, this.#text.length);
    at.toContent();
  }

  /** A `|` or `>` block: of the latter only lines that become one. */
  #block(parent: number): Scalar {
    const at = this.#at;
    const text = this.#text;
    const from = at.offset;
    const header = text.slice(from, at.lineEnd);
    const folded = header[0] === ">";
    const strips = header[1] === "-";
    // Spaces alone: what else passes for white space is none to YAML.
    if (!/^[|>]-? *$/.test(header) || at.lineEnd === text.length) notPlain();
    const lines: string[] = [];
    let indent = -1;
    let end = at.lineEnd + 1;
    let kept = 0;
    for (let start = end; start < text.length;) {
      let stop = text.indexOf("\n", start);
      if (stop < 0) stop = text.length;
      let content = start;
      while (content < stop && text[content] === " ") content++;
      const spaces = content - start;
      if (content === stop) {
        // More spaces than the block's own: they count, and may not come before or after it.
        if (indent < 0 ? spaces > parent + 1 : spaces > indent) notPlain();
        lines.push("");
      } else {
        if (indent < 0 || spaces < indent) {
          if (text[content] === "\t") notPlain();
          if (spaces <= parent) break;
          if (indent >= 0) notPlain();
          indent = spaces;
        }
        if (folded && (spaces > indent || text[content] === "\t" || text[stop - 1] === " " || lines.length > kept))
          notPlain();
        lines.push(text.slice(start + indent, stop));
        kept = lines.length;
        end = Math.min(stop + 1, text.length);
      }
      start = stop + 1;
    }
    if (kept === 0) notPlain();
    lines.length = kept;
    const value = lines.join(folded ? " " : "\n") + (strips ? "" : "\n");
    const scalar = new Scalar(value);
    scalar.source = value;
    scalar.type = folded ? "BLOCK_FOLDED" : "BLOCK_LITERAL";
    scalar.range = [from, end, end];
    at.jump(end);
    at.toContent();
    return scalar;
  }
}
