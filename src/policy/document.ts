/**
 * YAML text to a plain value whose every part knows its place in the file. Only what a reviewer can read at the spot is
 * accepted: no anchors, aliases, merge keys or tags (they hide what a rule says, and nested aliases expand without
 * bound), no duplicate keys, string keys only, one document.
 */
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";
import type { Node, Pair } from "yaml";
import { readPlain } from "../yaml/plain.ts";
import type { Place, Problems } from "./problem.ts";

/** Larger files are refused before they are parsed. */
export const maxPolicyCharacters = 8 * 1024 * 1024;
const maxDepth = 16;

export type Path = readonly (string | number)[];

/** A parsed file. */
export interface Document {
  /** Maps, lists, strings, numbers, booleans and null. */
  readonly value: unknown;
  /** Where the value at `path` is; with `key`, where its key is. The nearest parent's place where there is none. */
  place(path: Path, key?: boolean): Place;
  /** Line and column of each item of a top-level list, in order; cheaper than `place` for long lists. */
  itemPositions(key: string): { line: number; column: number }[];
}

/** Parses `text`; null when it is not YAML. What the language refuses of YAML is reported, and reading goes on. */
export function readDocument(text: string, problems: Problems): Document | null {
  const start: Place = { line: 1, column: 1, text: "" };
  if (text.length > maxPolicyCharacters) {
    problems.add("too_large", () => start, `the file has ${text.length} characters`, "Keep it under 8 MiB.");
    return null;
  }
  const lines = new LineCounter();
  const placeAt = (offset: number, end: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col), text: snippet(text, offset, end) };
  };
  const root = readNodes(text, lines, problems, start, placeAt);
  if (root === undefined) return null;
  const value = new Reader(problems, placeAt, text).read(root, 0);
  return {
    value,
    place: (path, key = false) => {
      const node = find(root, path, key);
      return node?.range ? placeAt(node.range[0], node.range[1]) : start;
    },
    itemPositions: (key) => {
      const list = find(root, [key], false);
      if (!isSeq(list)) return [];
      return list.items.map((item) => {
        const { line, col } = lines.linePos((item as Node).range?.[0] ?? 0);
        return { line, column: col };
      });
    },
  };
}

/** The text's nodes, null for an empty text; undefined where it is no YAML, which is reported. */
function readNodes(
  text: string,
  lines: LineCounter,
  problems: Problems,
  start: Place,
  placeAt: (offset: number, end: number) => Place,
): Node | null | undefined {
  const plain = readPlain(text);
  if (plain !== null) {
    lines.lineStarts = plain.lineStarts;
    return plain.root;
  }
  let parsed;
  try {
    parsed = parseDocument(text, {
      lineCounter: lines,
      uniqueKeys: false, // Quadratic in the parser; checked below with a set.
      prettyErrors: false,
      schema: "core",
      version: "1.2",
      keepSourceTokens: false,
      logLevel: "error", // "silent" would also silence a second document.
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    problems.add("yaml", () => start, "the YAML is nested too deeply", `Nest at most ${maxDepth} levels.`);
    return undefined;
  }
  for (const error of [...parsed.errors, ...parsed.warnings]) {
    const at = placeAt(error.pos[0], error.pos[1]);
    problems.add("yaml", () => at, yamlMessage(error.message), yamlFix(text, error.pos[0]));
  }
  return problems.count > 0 ? undefined : parsed.contents;
}

/** Turns nodes into plain values and refuses what the language leaves out. */
class Reader {
  readonly #problems: Problems;
  readonly #placeAt: (offset: number, end: number) => Place;
  readonly #text: string;

  constructor(problems: Problems, placeAt: (offset: number, end: number) => Place, text: string) {
    this.#problems = problems;
    this.#placeAt = placeAt;
    this.#text = text;
  }

  read(node: unknown, depth: number): unknown {
    if (node === null || node === undefined) return null;
    if (depth > maxDepth) {
      this.#refuse(node, "yaml", "the YAML is nested too deeply", `Nest at most ${maxDepth} levels.`);
      return null;
    }
    if (isAlias(node)) {
      const start = node.range?.[0] ?? 0;
      this.#refuse(node, "yaml_alias", "an unquoted `*` starts a YAML alias", yamlFix(this.#text, start));
      return `*${node.source}`;
    }
    const { anchor, tag } = node as { anchor?: string; tag?: string };
    if (anchor !== undefined) {
      this.#refuse(
        node,
        "yaml_alias",
        `the anchor &${anchor} is refused`,
        "Write the value out; sources and destinations can be named.",
      );
    }
    if (isScalar(node)) {
      if (tag !== undefined) this.#refuse(node, "yaml_alias", `the tag ${tag} is refused`, "Remove the tag.");
      return node.value;
    }
    if (tag !== undefined) this.#refuse(node, "yaml_alias", `the tag ${tag} is refused`, "Remove the tag.");
    if (isSeq(node)) return node.items.map((item) => this.read(item, depth + 1));
    if (isMap(node)) return this.#readMap(node.items, depth);
    return null;
  }

  #readMap(pairs: Pair[], depth: number): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    for (const pair of pairs) {
      const key = isScalar(pair.key) ? pair.key.value : undefined;
      if (typeof key !== "string" && typeof key !== "number") {
        this.#refuse(pair.key ?? pair.value, "yaml", "a key must be a plain word", "Quote the key if it is meant so.");
      } else if (key === "__proto__") {
        this.#refuse(pair.key, "unknown_key", "the key __proto__ is refused", "Choose another name.");
      } else if (key === "<<") {
        this.#refuse(pair.key, "yaml_alias", "merge keys are refused", "Write the keys out.");
      } else if (Object.hasOwn(out, key)) {
        this.#refuse(pair.key, "duplicate_key", `the key ${key} is written twice`, "Remove one of them.");
      } else {
        this.read(pair.key, depth + 1);
        out[key] = this.read(pair.value, depth + 1);
      }
    }
    return out;
  }

  #refuse(
    node: unknown,
    code: "yaml" | "yaml_alias" | "duplicate_key" | "unknown_key",
    message: string,
    fix: string,
  ): void {
    const range = (node as Node | null)?.range ?? [0, 0];
    this.#problems.add(code, () => this.#placeAt(range[0], range[1]), message, fix);
  }
}

/** The node at a path, or its nearest parent. */
function find(root: Node | null, path: Path, key: boolean): Node | null {
  let node = root;
  for (let i = 0; i < path.length; i++) {
    const step = path[i]!;
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find((p) => isScalar(p.key) && String(p.key.value) === String(step));
      next = key && i === path.length - 1 ? pair?.key : (pair?.value ?? pair?.key);
    } else if (isSeq(node)) next = node.items[step as number];
    if (next === null || next === undefined) return node;
    node = next as Node;
  }
  return node;
}

/** The first line of the offending text, at most 120 characters, without control characters. */
function snippet(text: string, start: number, end: number): string {
  let stop = text.indexOf("\n", start);
  if (stop < 0 || stop > end) stop = end > start ? end : stop < 0 ? text.length : stop;
  const cut = text.slice(start, Math.min(stop, start + 120)).trim();
  // What is shown must not drive a terminal.
  return cut.replaceAll(/[\p{Cc}\p{Cf}]/gu, "\u{fffd}");
}

function yamlMessage(message: string): string {
  const first = message.split("\n")[0]!;
  return first.charAt(0).toLowerCase() + first.slice(1);
}

function yamlFix(text: string, offset: number): string {
  const word = /^[*&][^\s,\]}]*/.exec(text.slice(offset, offset + 300))?.[0];
  return word?.startsWith("*") ? `Put the pattern in quotes: "${word}".` : "Correct the YAML here.";
}
