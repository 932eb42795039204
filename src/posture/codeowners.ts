/**
 * CODEOWNERS: who owns a path. GitHub looks in `.github/`, the root and `docs/`, in this order, and takes the last pattern that
 * fits (docs.github.com, "About code owners"). Patterns are gitignore's without `!`, `[ ]` and `\#`.
 */

export const codeownersPaths = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

export interface Owned {
  readonly file: string;
  readonly line: number;
  readonly pattern: string;
  /** Empty: a pattern that takes owners away. */
  readonly owners: readonly string[];
}

/** What CODEOWNERS says of a path; null: nothing, or there is no such file. */
export function ownersOf(files: ReadonlyMap<string, string>, path: string): Owned | null {
  const file = codeownersPaths.find((each) => files.has(each));
  if (file === undefined) return null;
  let found: Owned | null = null;
  // GitHub reads no CODEOWNERS of more than 3 MB.
  const lines = files
    .get(file)!
    .slice(0, 3 * 1024 * 1024)
    .split(/\r?\n/);
  for (const [i, line] of lines.entries()) {
    const [pattern, ...owners] = line
      .replace(/(?:^|\s)#.*$/, "")
      .trim()
      .split(/\s+/);
    if (pattern === undefined || pattern === "" || /[![\]\\]/.test(pattern)) continue;
    if (fits(pattern, path))
      found = { file, line: i + 1, pattern, owners: owners.filter((each) => each.includes("@")) };
  }
  return found;
}

/** By steps over the parts of the path, so that no pattern costs more than its length times the path's. */
function fits(pattern: string, path: string): boolean {
  const isAnchored = pattern.replace(/\/$/, "").includes("/");
  const isFolder = pattern.endsWith("/");
  const wanted = pattern.replace(/^\//, "").replace(/\/$/, "").split("/");
  const parts = path.split("/");
  const patterns = isAnchored ? wanted : ["**", ...wanted];
  // Reached: how many parts of the path a prefix of the pattern can have taken.
  let reached = new Set([0]);
  for (const each of patterns) {
    const next = new Set<number>();
    for (const at of reached) {
      if (each === "**") for (let i = at; i <= parts.length; i++) next.add(i);
      else if (at < parts.length && fitsPart(each, parts[at]!)) next.add(at + 1);
    }
    reached = next;
  }
  if (reached.has(parts.length)) return !isFolder || wanted.at(-1) === "**";
  // A folder owns what is in it; `docs/*` owns files of docs, and nothing below its folders.
  return wanted.at(-1) !== "*" && [...reached].some((at) => at > 0 && at < parts.length);
}

function fitsPart(pattern: string, part: string): boolean {
  const [first, ...rest] = pattern.split("*");
  if (rest.length === 0) return pattern === part;
  if (!part.startsWith(first!)) return false;
  let at = first!.length;
  for (const [i, piece] of rest.entries()) {
    const found = i === rest.length - 1 ? part.length - piece.length : part.indexOf(piece, at);
    if (found < at || !part.startsWith(piece, found)) return false;
    at = found + piece.length;
  }
  return true;
}
