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
  const replaced = new Set(["uses", "with"]);
  const isNew = (node: unknown) =>
    isMap(node) && after.textOf(after.value(node, "uses")) === uses && node.items.length === 2;
  const own = (a: unknown, b: unknown): boolean | null => {
    const change = isSeq(a) ? changes.get(a) : undefined;
    if (change === undefined || !isSeq(a)) return null;
    if (!isSeq(b) || !sameHead(a, b)) return false;
    seen++;
    const [first, ...rest] = b.items;
    if (change.kind === "inserted") return isNew(first) && sameItems(a.items, rest, own);
    const kept = a.items.filter((_, i) => i !== change.index);
    if (!sameItems(kept, rest, own)) return false;
    const was = a.items[change.index];
    if (change.kind === "moved") return sameNode(was, first, own);
    return (
      isMap(was) &&
      isMap(first) &&
      after.textOf(after.value(first, "uses")) === uses &&
      sameEntries(was, first, replaced, own)
    );
  };
  // A list reached in no walk was not what was edited.
  return (
    sameNode(before.root, after.root, own) && seen === changes.size && jobsOf(before).length === jobsOf(after).length
  );
}

/** Decides over two nodes where something was to change; null: they must say the same. */
export type Exception = (before: unknown, after: unknown) => boolean | null;

/** Whether two nodes say the same, with anchors, aliases, tags and quoting; `own` is asked first. */
export function sameNode(a: unknown, b: unknown, own: Exception): boolean {
  const decided = own(a, b);
  if (decided !== null) return decided;
  if ((a ?? null) === null || (b ?? null) === null) return (a ?? null) === (b ?? null);
  if (!sameHead(a, b)) return false;
  if (isAlias(a)) return isAlias(b) && a.source === b.source;
  if (isScalar(a)) return isScalar(b) && a.value === b.value && a.type === b.type && a.source === b.source;
  if (isMap(a)) return isMap(b) && sameEntries(a, b, new Set(), own);
  return isSeq(a) && isSeq(b) && sameItems(a.items, b.items, own);
}

/** Anchor and tag. */
export function sameHead(a: unknown, b: unknown): boolean {
  const [x, y] = [a as Node & { anchor?: string }, b as Node & { anchor?: string }];
  return x.anchor === y.anchor && x.tag === y.tag;
}

/** The entries of two maps, in order, but for some keys. */
export function sameEntries(a: YAMLMap, b: YAMLMap, but: ReadonlySet<string>, own: Exception): boolean {
  const kept = (map: YAMLMap) => map.items.filter(({ key }) => !(isScalar(key) && but.has(String(key.value))));
  const [x, y] = [kept(a), kept(b)];
  return (
    x.length === y.length &&
    x.every(({ key, value }, i) => sameNode(key, y[i]!.key, own) && sameNode(value, y[i]!.value, own))
  );
}

function sameItems(a: readonly unknown[], b: readonly unknown[], own: Exception): boolean {
  return a.length === b.length && a.every((item, i) => sameNode(item, b[i], own));
}
