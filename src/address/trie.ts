/**
 * A trie of labels, from the top-level domain down, from name patterns to values. A lookup costs the labels of the name,
 * not the number of patterns. It must agree with `matchesPattern` on every pattern and name; a property test holds it.
 */
import { WildLabels } from "./labels.ts";
import type { Pattern } from "./pattern.ts";

interface Node<T> {
  literals: Map<string, Node<T>> | null;
  wilds: WildLabels<Node<T>> | null;
  /** For the pattern that ends here. */
  value: T | undefined;
  /** For `**` in front of the labels that lead here: one or more labels must remain. */
  deep: T | undefined;
}

/** Patterns to values of one type that is never undefined. */
export class LabelTrie<T> {
  readonly #root: Node<T> = newNode();
  #size = 0;

  /** Number of distinct patterns. */
  get size(): number {
    return this.#size;
  }

  /** The value of exactly this pattern; `make` supplies it the first time. */
  getOrAdd(pattern: Pattern, make: () => T): T {
    let node = this.#root;
    for (let i = pattern.labels.length - 1; i >= 0; i--) {
      const label = pattern.labels[i]!;
      if (label.kind === "literal") {
        node.literals ??= new Map();
        let next = node.literals.get(label.text);
        if (next === undefined) node.literals.set(label.text, (next = newNode()));
        node = next;
      } else {
        node.wilds ??= new WildLabels();
        node = node.wilds.getOrAdd(label, newNode);
      }
    }
    const known = pattern.deep ? node.deep : node.value;
    if (known !== undefined) return known;
    const value = make();
    this.#size++;
    if (pattern.deep) node.deep = value;
    else node.value = value;
    return value;
  }

  /** The value of bare `**`, or undefined. */
  get anyName(): T | undefined {
    return this.#root.deep;
  }

  /** The values of all patterns that match a canonical name, in no particular order. */
  match(name: string): T[] {
    const out: T[] = [];
    this.matchInto(name, out);
    return out;
  }

  /** As {@link match}, appended to an array of the caller's (the hot path keeps one). */
  matchInto(name: string, out: T[]): void {
    walk(this.#root, name, name.length, out);
  }

  /** The values of patterns that are certain to match every name that `pattern` matches, itself included. */
  covering(pattern: Pattern): T[] {
    const out: T[] = [];
    const step = (node: Node<T>, left: number): void => {
      if (node.deep !== undefined && (left > 0 || pattern.deep)) out.push(node.deep);
      if (left === 0) {
        if (node.value !== undefined && !pattern.deep) out.push(node.value);
        return;
      }
      const label = pattern.labels[left - 1]!;
      const visit = (next: Node<T>): void => step(next, left - 1);
      if (label.kind === "literal") {
        const next = node.literals?.get(label.text);
        if (next !== undefined) visit(next);
        node.wilds?.match(label.text, visit);
      } else node.wilds?.covering(label, visit);
    };
    step(this.#root, pattern.labels.length);
    return out;
  }
}

function newNode<T>(): Node<T> {
  return { literals: null, wilds: null, value: undefined, deep: undefined };
}

/** `end`: the labels of `name` before this index are still to be matched; there is at least one. */
function walk<T>(from: Node<T>, name: string, end: number, out: T[]): void {
  let node = from;
  for (;;) {
    if (node.deep !== undefined) out.push(node.deep);
    if (node.literals === null && node.wilds === null) return;
    const dot = name.lastIndexOf(".", end - 1);
    const label = name.slice(dot + 1, end);
    if (node.wilds !== null) {
      node.wilds.match(label, (next) => {
        if (dot >= 0) walk(next, name, dot, out);
        else if (next.value !== undefined) out.push(next.value);
      });
    }
    const next = node.literals?.get(label);
    if (next === undefined) return;
    if (dot < 0) {
      if (next.value !== undefined) out.push(next.value);
      return;
    }
    node = next;
    end = dot;
  }
}
