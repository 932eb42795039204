/**
 * GitHub's `actions.lock` (public preview, October 2026): which `owner/repo@ref` of which workflow is locked to a commit. What
 * is not known of it locks nothing. Never throws.
 */
import { isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";

/** By workflow path: `owner/repo@ref`, the first part in lower case. Null: there is no lockfile that can be read. */
export function lockedUses(text: string | null): Map<string, ReadonlySet<string>> | null {
  if (text === null || text.length > 4 * 1024 * 1024) return null;
  try {
    const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
    if (document.errors.length > 0 || !isMap(document.contents)) return null;
    const dependencies = document.contents.get("dependencies", true) as unknown;
    const workflows = document.contents.get("workflows", true) as unknown;
    if (!isMap(dependencies) || !isMap(workflows)) return null;
    const locked = new Set(
      dependencies.items.flatMap(({ key, value }) => {
        const commit: unknown = isMap(value) ? value.get("commit") : null;
        const isCommit = typeof commit === "string" && /^(?:sha1-[0-9a-f]{40}|sha256-[0-9a-f]{64})$/i.test(commit);
        return isScalar(key) && isCommit ? [plain(String(key.value))] : [];
      }),
    );
    return new Map(
      workflows.items.flatMap(({ key, value }) => {
        if (!isScalar(key) || isAlias(value) || !isSeq(value)) return [];
        const uses = value.items.flatMap((item) => (isScalar(item) ? [plain(String(item.value))] : []));
        return [[String(key.value), new Set(uses.filter((use) => locked.has(use)))] as const];
      }),
    );
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function plain(use: string): string {
  const at = use.indexOf("@");
  return at < 0 ? use : `${use.slice(0, at).toLowerCase()}${use.slice(at)}`;
}
