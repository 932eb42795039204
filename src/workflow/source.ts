/**
 * A workflow's text with its YAML nodes and their places. Bounded: no alias is ever written out, so that aliases which multiply
 * cost nothing, and what is too large, too deep or says a key twice is refused. GitHub reads one document; so do we.
 */
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import type { Node, Scalar, YAMLMap } from "yaml";
import { finding } from "./finding.ts";
import type { Finding, Spot } from "./finding.ts";
import { readPlain } from "../yaml/plain.ts";

/** UTF-16 units. The largest workflows people write are a tenth of it. */
const maxCharacters = 2 * 1024 * 1024;
const maxDepth = 64;
const maxNodes = 200_000;

/** One key of a map. `node` is what stands there; `value` what an alias stands for. */
export interface Entry {
  readonly key: Scalar;
  readonly node: Node | null;
  readonly value: Node | null;
}

export class Source {
  readonly path: string;
  readonly text: string;
  readonly root: YAMLMap;
  readonly #lines: LineCounter;
  readonly #targets: ReadonlyMap<Node, Node>;

  constructor(path: string, text: string, root: YAMLMap, lines: LineCounter, targets: ReadonlyMap<Node, Node>) {
    this.path = path;
    this.text = text;
    this.root = root;
    this.#lines = lines;
    this.#targets = targets;
  }

  get hasAliases(): boolean {
    return this.#targets.size > 0;
  }

  /** What a node stands for: itself, or an alias' anchor. An alias of an alias does not exist in YAML. */
  resolve(node: unknown): Node | null {
    return isAlias(node) ? (this.#targets.get(node) ?? null) : ((node as Node | null) ?? null);
  }

  /** The entry of a map that is written in it; merge keys give none. */
  entry(map: unknown, name: string): Entry | null {
    if (!isMap(map)) return null;
    for (const { key, value } of map.items) {
      if (isScalar(key) && key.value === name)
        return { key, node: (value as Node | null) ?? null, value: this.resolve(value) };
    }
    return null;
  }

  value(map: unknown, ...names: readonly string[]): Node | null {
    let here = this.resolve(map);
    for (const name of names) here = this.entry(here, name)?.value ?? null;
    return here;
  }

  /** A scalar's text; null where there is none. */
  textOf(node: unknown): string | null {
    const value = this.resolve(node);
    if (!isScalar(value) || value.value === null) return null;
    return typeof value.value === "string" ? value.value : (value.source ?? "");
  }

  spot(node: unknown): Spot {
    return this.spotAt((node as Node | null)?.range?.[0] ?? 0);
  }

  spotAt(offset: number): Spot {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Where the line of an offset begins. */
  lineStart(offset: number): number {
    return this.text.lastIndexOf("\n", offset - 1) + 1;
  }

  /** Where the line after an offset begins; an offset at the very start of a line is that line's end before. */
  lineEnd(offset: number): number {
    if (offset > 0 && this.text[offset - 1] === "\n") return offset;
    const at = this.text.indexOf("\n", offset);
    return at < 0 ? this.text.length : at + 1;
  }
}

/** Reads a workflow; a finding where it cannot be. Never throws, whatever the text. `forEdit`: with what `dashOf` needs. */
export function readSource(path: string, text: string, forEdit = true): Source | Finding {
  const source = readYaml(path, text, forEdit);
  if ("code" in source || isMap(source.value(source.root, "jobs"))) return source;
  const spot = { line: 1, column: 1 };
  const fix = "Write jobs:, and a job below it.";
  return finding(path, null, spot, "unreadable", "it has no map of jobs", fix);
}

/** Reads a map, whatever is in it; a finding where it cannot be. Never throws, whatever the text. */
export function readYaml(path: string, text: string, forEdit = true): Source | Finding {
  const refuse = (spot: Spot, message: string, fix: string) => finding(path, null, spot, "unreadable", message, fix);
  const start = { line: 1, column: 1 };
  const tooDeep = () => refuse(start, "it is nested too deeply", `Nest at most ${maxDepth} levels.`);
  if (text.length > maxCharacters) return refuse(start, `it has ${text.length} characters`, "Keep it under 2 MiB.");
  const lone = /\r(?!\n)/.exec(text);
  if (lone !== null) {
    const before = text.slice(0, lone.index).split("\n");
    const spot = { line: before.length, column: before.at(-1)!.length + 1 };
    return refuse(spot, "a carriage return without a line feed is a line break to some readers", "Write line feeds.");
  }
  const lines = new LineCounter();
  const spotAt = (offset: number): Spot => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const sourceOf = (root: unknown): Source | Finding => {
    if (!isMap(root)) return refuse(start, "it is no map of keys", "Write on: and jobs:.");
    const targets = new Map<Node, Node>();
    const trouble = walk(root, targets);
    if (trouble !== null) return refuse(spotAt(trouble.offset), trouble.message, trouble.fix);
    return new Source(path, text, root, lines, targets);
  };
  // Its nodes have no tokens, which edits need.
  const plain = forEdit ? null : readPlain(text);
  if (plain !== null) {
    lines.lineStarts = plain.lineStarts;
    return sourceOf(plain.root);
  }
  let documents;
  try {
    documents = parseAllDocuments(text, {
      lineCounter: lines,
      keepSourceTokens: forEdit,
      uniqueKeys: false, // Quadratic in the parser; checked below.
      prettyErrors: false,
      schema: "core",
      version: "1.2",
      logLevel: "silent",
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return tooDeep();
  }
  const all = Array.isArray(documents) ? documents : [];
  for (const { errors } of all) {
    const [error] = errors;
    // The parser tells its own exhaustion as an error of the text, wherever it happened to be.
    if (error?.message.startsWith("Maximum call stack")) return tooDeep();
    if (error !== undefined) return refuse(spotAt(error.pos[0]), error.message.split("\n")[0]!, "Correct the YAML.");
  }
  if (all.length > 1)
    return refuse(spotAt(all[1]!.range[0]), "it has more than one document", "Keep one workflow a file.");
  return sourceOf(all[0]?.contents ?? null);
}

/** Finds what each alias stands for, and what keeps the tree from being used. */
function walk(
  root: Node,
  targets: Map<Node, Node>,
): { readonly offset: number; readonly message: string; readonly fix: string } | null {
  const anchors = new Map<string, Node>();
  let nodes = 0;
  const visit = (node: unknown, depth: number, near: number): ReturnType<typeof walk> => {
    const offset = (node as Node | null)?.range?.[0] ?? near;
    if (++nodes > maxNodes || depth > maxDepth) {
      const message = depth > maxDepth ? "it is nested too deeply" : `it has more than ${maxNodes} values`;
      return { offset, message, fix: "Make it smaller." };
    }
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target === undefined)
        return {
          offset,
          message: `the alias *${node.source.slice(0, 80)} has no anchor before it`,
          fix: "Write it out.",
        };
      targets.set(node, target);
      return null;
    }
    const { anchor } = (node ?? {}) as { anchor?: string };
    if (anchor !== undefined) anchors.set(anchor, node as Node);
    if (isPair(node)) return visit(node.key, depth + 1, offset) ?? visit(node.value, depth + 1, offset);
    if (!isMap(node) && !isSeq(node)) return null;
    const names = new Set<unknown>();
    for (const item of node.items) {
      if (isMap(node) && isPair(item) && isScalar(item.key)) {
        const { value } = item.key;
        const at = item.key.range?.[0] ?? offset;
        if (names.has(value))
          return { offset: at, message: `the key ${String(value).slice(0, 80)} is written twice`, fix: "Remove one." };
        names.add(value);
      }
      const found = visit(item, depth + 1, offset);
      if (found !== null) return found;
    }
    return null;
  };
  return visit(root, 0, 0);
}
