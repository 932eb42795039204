/** Flow collections: `[a, b]` and `{ a: b }`, over one line or several. Called by `plain.ts`. */
import { Pair, Scalar, YAMLMap, YAMLSeq } from "yaml";
import { type Cursor, notPlain } from "./cursor.ts";
import { plainScalar, quoted } from "./scalars.ts";

const key = /[A-Za-z_][A-Za-z0-9_./-]*(?=: )/y;
const deepest = 32;

/** The collection that begins here, in a block of column `indent`; goes behind its end. */
export function readFlow(text: string, at: Cursor, indent: number, depth = 0): YAMLMap | YAMLSeq {
  if (depth > deepest) notPlain();
  const start = at.offset;
  const isMap = text[start] === "{";
  const end = isMap ? "}" : "]";
  const collection = isMap ? new YAMLMap() : new YAMLSeq();
  collection.flow = true;
  at.offset++;
  for (;;) {
    skip(text, at, indent, depth);
    if (text[at.offset] === end) break;
    if (isMap) {
      key.lastIndex = at.offset;
      const name = key.exec(text)?.[0];
      if (name === undefined) notPlain();
      const from = at.offset;
      at.offset += name.length;
      const keyNode = plainScalar(name, from, at.offset);
      at.offset++;
      at.skipSpaces();
      (collection as YAMLMap).items.push(new Pair(keyNode, item(text, at, indent, depth)));
    } else (collection as YAMLSeq).items.push(item(text, at, indent, depth));
    skip(text, at, indent, depth);
    if (text[at.offset] === ",") at.offset++;
    else if (text[at.offset] !== end) notPlain();
  }
  at.offset++;
  collection.range = [start, at.offset, at.offset];
  return collection;
}

function item(text: string, at: Cursor, indent: number, depth: number): Scalar | YAMLMap | YAMLSeq {
  const first = text[at.offset]!;
  if (first === "[" || first === "{") return ended(readFlow(text, at, indent, depth + 1), at);
  if (first === '"' || first === "'") {
    const scalar = quoted(text, at.offset);
    return ended(scalar, at);
  }
  let end = endOfScalar(text, at.offset);
  while (end > at.offset && text[end - 1] === " ") end--;
  const source = text.slice(at.offset, end);
  if (source === "" || /^[#&*!|>%@`?:-]/.test(source)) notPlain();
  return ended(plainScalar(source, at.offset, at.offset + source.length), at);
}

/** Where an unquoted scalar ends: at an indicator, a colon that is one, a comment, the line's end. Not by a regular expression: it may be long. */
function endOfScalar(text: string, from: number): number {
  for (let at = from; ; at++) {
    const here = text[at];
    if (here === undefined || ",[]{}\n\t".includes(here)) return at;
    if (here === ":" && ", []{}\n\t".includes(text[at + 1] ?? "\n")) return at;
    if (here === "#" && text[at - 1] === " ") return at;
  }
}

/** Goes behind it; spaces after it are its own. */
function ended<T extends Scalar | YAMLMap | YAMLSeq>(value: T, at: Cursor): T {
  at.offset = value.range![1];
  at.skipSpaces();
  value.range![2] = at.offset;
  return value;
}

/** Over spaces and to further lines, which must be indented; but for the outermost bracket that closes. */
function skip(text: string, at: Cursor, indent: number, depth: number): void {
  at.skipSpaces();
  while (text[at.offset] === "\n") {
    at.jump(at.offset + 1);
    at.skipSpaces();
    const column = at.offset - at.lineStart;
    const closes = depth === 0 && column === indent && "]}".includes(text[at.offset] ?? "\n");
    if (column <= indent && !closes) notPlain();
  }
}
