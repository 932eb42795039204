/**
 * GitHub's `actions.lock` (public preview, October 2026): which `owner/repo@ref` of which workflow is locked to a commit. What
 * is not known of it locks nothing. Never throws.
 */
import { isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";
import type { YAMLMap, YAMLSeq } from "yaml";

export interface Lock {
  /** By workflow path: `owner/repo@ref`, the first part in lower case. */
  readonly uses: ReadonlyMap<string, ReadonlySet<string>>;
  /**
   * Of which what they use in turn is locked, too: entries as `gh actions-lock` writes them, which lists under `uses` what a composite
   * action uses and leaves that out of others. A line with a commit alone says nothing of that.
   */
  readonly whole: ReadonlySet<string>;
}

/** Null: there is no lockfile that can be read. */
export function readLock(text: string | null): Lock | null {
  if (text === null || text.length > 4 * 1024 * 1024) return null;
  try {
    const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
    if (document.errors.length > 0 || !isMap(document.contents)) return null;
    const dependencies = document.contents.get("dependencies", true) as unknown;
    const workflows = document.contents.get("workflows", true) as unknown;
    if (!isMap(dependencies) || !isMap(workflows)) return null;
    const entries = dependencies.items.flatMap(({ key, value }) => {
      if (!isScalar(key) || !isMap(value)) return [];
      const commit: unknown = value.get("commit");
      const isCommit = typeof commit === "string" && /^(?:sha1-[0-9a-f]{40}|sha256-[0-9a-f]{64})$/i.test(commit);
      return isCommit ? [[plain(String(key.value)), usedBy(value)] as const] : [];
    });
    const locked = new Set(entries.map(([use]) => use));
    const uses = workflows.items.flatMap(({ key, value }) => {
      if (!isScalar(key) || isAlias(value) || !isSeq(value)) return [];
      const listed = textsOf(value).map(plain);
      return [[String(key.value), new Set(listed.filter((use) => locked.has(use)))] as const];
    });
    return { uses: new Map(uses), whole: wholeOf(entries) };
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** What an entry says its action uses in turn; null: it does not say so as the tool does. */
function usedBy(entry: YAMLMap): string[] | null {
  if (!["owner_id", "repo_id"].every((key) => Number.isSafeInteger(entry.get(key)))) return null;
  const list: unknown = entry.get("uses", true);
  if (list === undefined) return [];
  const texts = isSeq(list) ? textsOf(list) : [];
  return isSeq(list) && texts.length === list.items.length ? texts.map(plain) : null;
}

/** Those of which all that they use is among them: without whatever is open, and what uses it, and so on. */
function wholeOf(entries: readonly (readonly [string, string[] | null])[]): Set<string> {
  const whole = new Set(entries.map(([use]) => use));
  const usedIn = Map.groupBy(
    entries.flatMap(([user, uses]) => (uses ?? []).map((use) => ({ use, user }))),
    ({ use }) => use,
  );
  // Of two entries for one action either may count.
  const open = new Set([
    ...entries.flatMap(([use, uses]) => (uses === null ? [use] : [])),
    ...[...usedIn.keys()].filter((use) => !whole.has(use)),
  ]);
  // What is added meanwhile is walked, too.
  for (const each of open) for (const { user } of usedIn.get(each) ?? []) open.add(user);
  return whole.difference(open);
}

function textsOf(list: YAMLSeq): string[] {
  return list.items.flatMap((item) => (isScalar(item) ? [String(item.value)] : []));
}

function plain(use: string): string {
  const at = use.indexOf("@");
  return at < 0 ? use : `${use.slice(0, at).toLowerCase()}${use.slice(at)}`;
}
