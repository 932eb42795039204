/**
 * The proof that an edit did what was meant and nothing else: the edited text is read again and compared with what was there,
 * value by value, with anchors, aliases, tags and quoting. Only the steps that were put, moved or replaced may differ.
 */
import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Node, YAMLMap } from "yaml";
import { jobsOf } from "./jobs.ts";
import type { Source } from "./source.ts";
import type { StepWanted } from "./options.ts";

/** What happened to a list of steps. `index` is where the step stood that is now the first. */
export type ListChange =
  | { readonly kind: "inserted" }
  | { readonly kind: "moved"; readonly index: number }
  | { readonly kind: "replaced"; readonly index: number };

/** Whether `after` is `before` but for the changes, by the nodes of `before`. */
export function isOnlyChange(
  before: Source,
  after: Source,
  changes: ReadonlyMap<Node, ListChange>,
  wanted: StepWanted,
): boolean {
  const uses = `${wanted.repository}@${wanted.ref}`;
  let seen = 0;
  const same = (a: unknown, b: unknown): boolean => {
    if ((a ?? null) === null || (b ?? null) === null) return (a ?? null) === (b ?? null);
    const [x, y] = [a as Node & { anchor?: string }, b as Node & { anchor?: string }];
    if (x.anchor !== y.anchor || x.tag !== y.tag) return false;
    if (isAlias(a)) return isAlias(b) && a.source === b.source;
    if (isScalar(a)) return isScalar(b) && a.value === b.value && a.type === b.type && a.source === b.source;
    if (isMap(a)) return isMap(b) && sameMap(a, b, new Set());
    if (!isSeq(a) || !isSeq(b)) return false;
    const change = changes.get(a);
    if (change === undefined) return sameItems(a.items, b.items);
    seen++;
    const [first, ...rest] = b.items;
    if (change.kind === "inserted") return isNew(first) && sameItems(a.items, rest);
    const kept = a.items.filter((_, i) => i !== change.index);
    if (!sameItems(kept, rest)) return false;
    const was = a.items[change.index];
    if (change.kind === "moved") return same(was, first);
    return (
      isMap(was) && isMap(first) && after.textOf(after.value(first, "uses")) === uses && sameMap(was, first, replaced)
    );
  };
  const replaced = new Set(["uses", "with"]);
  const sameMap = (a: YAMLMap, b: YAMLMap, but: ReadonlySet<string>): boolean => {
    const kept = (map: YAMLMap) => map.items.filter(({ key }) => !(isScalar(key) && but.has(String(key.value))));
    const [x, y] = [kept(a), kept(b)];
    return x.length === y.length && x.every(({ key, value }, i) => same(key, y[i]!.key) && same(value, y[i]!.value));
  };
  const sameItems = (a: readonly unknown[], b: readonly unknown[]) =>
    a.length === b.length && a.every((item, i) => same(item, b[i]));
  const isNew = (node: unknown) =>
    isMap(node) && after.textOf(after.value(node, "uses")) === uses && node.items.length === 2;
  // A list reached in no walk was not what was edited.
  return same(before.root, after.root) && seen === changes.size && jobsOf(before).length === jobsOf(after).length;
}
