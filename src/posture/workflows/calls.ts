/**
 * Which workflow a job calls, by one name for each: `.github/workflows/x.yml` in the repository itself, and
 * `owner/repository/.github/workflows/x.yml@ref` elsewhere.
 */

/** Levels of workflows that GitHub connects, the first caller counted ("Reusing workflow configurations"). */
export const mostLevels = 10;
/** Workflows that GitHub lets one workflow call, all levels together (the same page). */
export const mostCalled = 50;

export interface Elsewhere {
  /** `owner/repository`. */
  readonly repository: string;
  readonly path: string;
  readonly ref: string;
}

const elsewhere = /^([\w.-]+\/[\w.-]+)\/(\.github\/workflows\/[^@\s]+\.ya?ml)@(\S+)$/;

/** Where a name leads that is not of the repository itself; null: it is of it. */
export function elsewhereOf(name: string): Elsewhere | null {
  const [, repository, path, ref] = elsewhere.exec(name) ?? [];
  return ref === undefined || ref.includes("${{") ? null : { repository: repository!, path: path!, ref };
}

/**
 * The name of what `uses` calls, read in the workflow named `from`; null: no workflow. `./` and `$/` (the repository itself, July
 * 2026) are the caller's own repository, at the caller's own commit.
 */
export function calledFrom(from: string, uses: string): string | null {
  const here = /^(?:\.|\$)\/(\.github\/workflows\/[^@\s]+)$/.exec(uses)?.[1];
  if (here === undefined) return elsewhereOf(uses) === null ? null : uses;
  const home = elsewhereOf(from);
  return home === null ? here : `${home.repository}/${here}@${home.ref}`;
}

/** Names that texts may call elsewhere, by a quick look: more than they do, so that these can be read first. */
export function likelyCalls(from: string, text: string): string[] {
  const found = [...text.matchAll(/\buses["']?\s*:\s*["']?([^\s"'#]+\.ya?ml(?:@[^\s"'#,}]+)?)/g)];
  return [...new Set(found.flatMap((match) => calledFrom(from, match[1]!) ?? []))];
}

/** Why a called workflow's jobs say nothing here. `why`: what came of reading it, by name. */
export function unreadText(name: string | null, why: ReadonlyMap<string, string>): string {
  const reason = name === null ? undefined : why.get(name);
  if (reason !== undefined) return `whose jobs were not read: ${reason}`;
  return name === null || elsewhereOf(name) !== null ? "whose jobs were not read" : "which is not here";
}
