/**
 * YAML and JSON that other programs wrote, as a tree in which every part knows its place. More liberal than a policy file:
 * several documents, anchors and aliases are what people write for those programs. Bounded: aliases that multiply end in a
 * problem, not in memory. What is read here is never put in force; what comes out of it is loaded like any policy.
 */
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseAllDocuments } from "yaml";
import type { Node } from "yaml";
import type { Problems } from "../policy/problem.ts";
import type { Spot } from "./note.ts";

const maxCharacters = 16 * 1024 * 1024;
const maxDepth = 64;
const maxNodes = 200_000;

/** One value. A scalar's `text` is as written, without quotes; null stands for nothing. */
export type Field = Spot &
  (
    | { readonly kind: "map"; readonly entries: ReadonlyMap<string, Entry> }
    | { readonly kind: "list"; readonly items: readonly Field[] }
    | { readonly kind: "scalar"; readonly text: string }
    | { readonly kind: "null" }
  );

/** One key of a map, with the place of the key. */
export interface Entry extends Spot {
  readonly value: Field;
}

/** The documents of a text; null where it does not parse, and the problems say why. JSON is YAML. */
export function readFields(text: string, problems: Problems): Field[] | null {
  const start = () => ({ line: 1, column: 1, text: "" });
  if (text.length > maxCharacters) {
    problems.add("too_large", start, `the file has ${text.length} characters`, "Keep it under 16 MiB.");
    return null;
  }
  const lines = new LineCounter();
  let documents;
  try {
    documents = parseAllDocuments(text, {
      lineCounter: lines,
      uniqueKeys: false, // Quadratic in the parser; checked below.
      prettyErrors: false,
      schema: "core",
      version: "1.2",
      logLevel: "silent",
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    problems.add("yaml", start, "the file is nested too deeply", `Nest at most ${maxDepth} levels.`);
    return null;
  }
  if (!Array.isArray(documents)) return []; // An empty stream.
  for (const { errors } of documents) {
    for (const { pos, message } of errors) {
      const { line, col } = lines.linePos(pos[0]);
      const place = { line: Math.max(1, line), column: Math.max(1, col), text: "" };
      problems.add(
        "yaml",
        () => place,
        message.split("\n")[0]!.replace(/^./, (c) => c.toLowerCase()),
        "Correct it.",
      );
    }
  }
  if (problems.count > 0) return null;
  const reader = new Reader(lines, problems);
  const fields = documents.map(({ contents }) => reader.readDocument(contents as Node | null));
  return problems.count > 0 ? null : fields;
}

class Reader {
  readonly #lines: LineCounter;
  readonly #problems: Problems;
  readonly #anchors = new Map<string, Node>();
  #nodes = 0;

  constructor(lines: LineCounter, problems: Problems) {
    this.#lines = lines;
    this.#problems = problems;
  }

  /** Anchors are a document's own. */
  readDocument(contents: Node | null): Field {
    this.#anchors.clear();
    return this.read(contents, 0, false);
  }

  read(node: unknown, depth: number, isCopy: boolean): Field {
    const spot = this.#spot(node);
    // An alias stands for the anchor last written before it; the parser's own look-up walks the whole document.
    const { anchor } = (node ?? {}) as { anchor?: string };
    if (anchor !== undefined && !isCopy) this.#anchors.set(anchor, node as Node);
    if (++this.#nodes > maxNodes || depth > maxDepth) {
      if (this.#problems.count === 0) {
        const message =
          depth > maxDepth ? "the file is nested too deeply" : `the file has more than ${maxNodes} values`;
        this.#problems.add("too_large", () => ({ ...spot, text: "" }), message, "Translate a part of it.");
      }
      return { ...spot, kind: "null" };
    }
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (target === undefined) {
        const message = `the alias *${node.source.slice(0, 80)} has no anchor before it`;
        this.#problems.add("yaml", () => ({ ...spot, text: "" }), message, "Write out what it stands for.");
        return { ...spot, kind: "null" };
      }
      // What an alias stands for is where it is written out; the place told is that of its use.
      return { ...this.read(target, depth + 1, true), ...spot };
    }
    if (isMap(node)) return { ...spot, kind: "map", entries: this.#entries(node.items, depth, isCopy) };
    if (isSeq(node)) {
      const items: Field[] = [];
      for (const item of node.items) {
        if (this.#problems.count > 0) break;
        items.push(this.read(item, depth + 1, isCopy));
      }
      return { ...spot, kind: "list", items };
    }
    if (!isScalar(node) || node.value === null) return { ...spot, kind: "null" };
    return {
      ...spot,
      kind: "scalar",
      text: typeof node.value === "string" ? node.value : (node.source ?? ""),
    };
  }

  #entries(pairs: readonly { key: unknown; value: unknown }[], depth: number, isCopy: boolean): Map<string, Entry> {
    const entries = new Map<string, Entry>();
    for (const { key, value } of pairs) {
      if (this.#problems.count > 0) break;
      const spot = this.#spot(key);
      const name = isScalar(key) ? String(key.value) : "";
      if (entries.has(name)) {
        const place = () => ({ ...spot, text: "" });
        this.#problems.add(
          "duplicate_key",
          place,
          `the key ${name.slice(0, 80)} is written twice`,
          "Remove one of them.",
        );
      }
      const read = this.read(value, depth + 1, isCopy);
      // A key without a value has no place of its own.
      entries.set(name, { ...spot, value: (value as Node | null)?.range ? read : { ...read, ...spot } });
    }
    return entries;
  }

  #spot(node: unknown): Spot {
    const { line, col } = this.#lines.linePos((node as Node | null)?.range?.[0] ?? 0);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

/** The value at a key; null where there is none, or nothing to have keys. */
export function at(field: Field | null | undefined, ...keys: readonly string[]): Field | null {
  let here: Field | null = field ?? null;
  for (const key of keys) {
    if (here?.kind !== "map") return null;
    const next: Entry | undefined = here.entries.get(key);
    here = next === undefined || next.value.kind === "null" ? null : next.value;
  }
  return here;
}

/** The keys of a map and their values, in order. */
export function entriesOf(field: Field | null): [string, Entry][] {
  return field?.kind === "map" ? [...field.entries] : [];
}

/** The items of a list; a single value is a list of one, as Terraform's JSON has it. */
export function itemsOf(field: Field | null): readonly Field[] {
  if (field === null || field.kind === "null") return [];
  return field.kind === "list" ? field.items : [field];
}

/** A scalar's text; null where the field is none. */
export function textOf(field: Field | null): string | null {
  return field?.kind === "scalar" ? field.text : null;
}

/** Words of a text; an expression of GitHub's is a part of one, whatever is in it. */
export const words = /(?:\$\{\{[^\n]*?\}\}|\S)+/g;

/** Parts of a text, each with its place. In a block scalar (`|`, `>`) the text starts on the line below. */
export function piecesOf(field: Field, source: readonly string[], what: RegExp): (Spot & { readonly text: string })[] {
  let { line, column } = field;
  const found = [...(textOf(field) ?? "").matchAll(what)]
    .map(([piece]) => piece.trim())
    .filter((piece) => piece !== "");
  return found.map((text) => {
    const spot = find(source, text, line, column);
    if (spot !== null) ({ line, column } = spot);
    const piece = { line, column, text };
    if (spot !== null) column += text.length;
    return piece;
  });
}

/** The next place of a text, within the lines that a value may take up. */
function find(source: readonly string[], text: string, line: number, column: number): Spot | null {
  for (let at = line; at < Math.min(source.length + 1, line + 200); at++) {
    const index = source[at - 1]!.indexOf(text, at === line ? column - 1 : 0);
    if (index >= 0) return { line: at, column: index + 1 };
  }
  return null;
}
