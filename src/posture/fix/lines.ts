/**
 * The small edits of a workflow: permissions written out, uses pinned to a commit that somebody named, and continue-on-error off
 * the egress control's step. Edits at places, the rest byte for byte, and what came out is read again and proven. Pure.
 */
import { isMap, isScalar } from "yaml";
import type { Node, Scalar, YAMLMap } from "yaml";
import { applyEdits, unifiedDiff } from "../../workflow/edit.ts";
import type { Edit } from "../../workflow/edit.ts";
import { jobsOf, withBeside } from "../../workflow/jobs.ts";
import type { Step } from "../../workflow/jobs.ts";
import { sameEntries, sameHead, sameNode } from "../../workflow/proof.ts";
import type { Exception } from "../../workflow/proof.ts";
import { readSource } from "../../workflow/source.ts";
import type { Source } from "../../workflow/source.ts";
import { productOf } from "../workflows/control.ts";

export interface LinesWanted {
  /** Write `permissions: { contents: read }` at the top. */
  readonly permissions: boolean;
  /** Commits by `job` and the text of `uses:`, as {@link useKey} makes them. */
  readonly pins: ReadonlyMap<string, string>;
  /** Jobs whose first control's step is to lose its continue-on-error. */
  readonly strict: ReadonlySet<string>;
  /** `owner/repository` in lower case: whose step is ours. */
  readonly own: string;
}

export interface LinesEdited {
  /** The same as before where nothing could be done. */
  readonly text: string;
  readonly diff: string;
  /** What was wanted and could not be done safely, in words. */
  readonly refused: readonly string[];
}

const forgiving = "continue-on-error";

/** `uses` null: the job's control, whatever it is. */
export function useKey(job: string, uses: string | null): string {
  return JSON.stringify([job, uses]);
}

/** Never throws, whatever the text. */
export function editLines(path: string, text: string, wanted: LinesWanted): LinesEdited {
  const source = readSource(path, text);
  if ("code" in source) return { text, diff: "", refused: [source.message] };
  const work = new Lines(source);
  if (wanted.permissions) work.permit();
  for (const { id, call, steps } of jobsOf(source)) {
    for (const uses of [call, ...withBeside(source, steps).map((step) => step.uses)]) {
      const commit = uses === null ? undefined : wanted.pins.get(useKey(id, source.textOf(uses)?.trim() ?? ""));
      if (uses !== null && commit !== undefined) work.pin(uses, commit);
    }
    if (!wanted.strict.has(id)) continue;
    // The first is what the finding is about.
    const first = steps.find((step) => productOf(step, wanted.own) !== null);
    if (first !== undefined) work.makeStrict(first);
  }
  if (work.edits.length === 0) return { text, diff: "", refused: work.refused };
  const out = applyEdits(text, work.edits);
  const again = readSource(path, out);
  if ("code" in again || !sameNode(source.root, again.root, work.exception))
    return { text, diff: "", refused: [...work.refused, "the edit would change more than it is for"] };
  return { text: out, diff: unifiedDiff(path, text, work.edits), refused: work.refused };
}

class Lines {
  readonly edits: Edit[] = [];
  readonly refused: string[] = [];
  readonly #source: Source;
  readonly #texts = new Map<Node, string>();
  readonly #falses = new Set<Node>();
  readonly #without = new Set<YAMLMap>();
  #permits = false;

  constructor(source: Source) {
    this.#source = source;
  }

  /** Before `jobs:` and the comments right above it. */
  permit(): void {
    const { text, root } = this.#source;
    const entry = this.#source.entry(root, "jobs");
    const at = entry?.key.range?.[0] ?? 0;
    const start = this.#source.lineStart(at);
    const indent = text.slice(start, at);
    if (entry === null || root.flow === true || !/^ *$/.test(indent) || this.#source.entry(root, "<<") !== null) {
      this.refused.push("no line can be put before jobs:");
      return;
    }
    let from = start;
    while (from > 0) {
      const above = text.lastIndexOf("\n", from - 2) + 1;
      if (!text.startsWith(`${indent}#`, above)) break;
      from = above;
    }
    // Comments up to the top are the file's.
    if (from === 0) from = start;
    const eol = text[text.indexOf("\n", start) - 1] === "\r" ? "\r\n" : "\n";
    const above = text.slice(text.lastIndexOf("\n", from - 2) + 1, from);
    const gap = from > 0 && above.trim() === "" ? eol : "";
    const lines = `${indent}permissions:${eol}${indent}  contents: read${eol}${gap}`;
    this.edits.push({ from, to: from, text: lines });
    this.#permits = true;
  }

  /** The name that was there becomes a comment, where the line has none. */
  pin(uses: Scalar, commit: string): void {
    if (this.#texts.has(uses)) return;
    const { text } = this.#source;
    const [from, to] = uses.range ?? [0, 0];
    const raw = text.slice(from, to);
    const said = (this.#source.textOf(uses) ?? "").trim();
    const [, whole, ref] = /^(.+)@([^@]+)$/.exec(said) ?? [];
    if (whole === undefined || raw.includes("\n") || raw.split(said).length !== 2) {
      this.refused.push(`${said} is not written plainly on one line`);
      return;
    }
    const pinned = `${whole}@${commit}`;
    this.edits.push({ from, to, text: raw.replace(said, () => pinned) });
    this.#texts.set(
      uses,
      String(uses.value).replace(said, () => pinned),
    );
    const rest = text.slice(to, this.#source.lineEnd(to));
    if (rest.trim() === "" && /^[\w./+-]+$/.test(ref!)) this.edits.push({ from: to, to, text: ` # ${ref}` });
  }

  /** Takes the line out, or says false where it has no line of its own. */
  makeStrict({ map }: Step): void {
    const source = this.#source;
    const entry = source.entry(map, forgiving);
    if (map === null || entry === null || this.#without.has(map)) return;
    const [from, to] = [entry.key.range?.[0] ?? 0, entry.value?.range?.[1] ?? 0];
    const node = entry.node;
    if (!isScalar(node) || node.anchor !== undefined || source.text.slice(from, to).includes("\n")) {
      this.refused.push(`${forgiving} is not written plainly on one line`);
      return;
    }
    if (this.#falses.has(node)) return;
    const start = source.lineStart(from);
    if (map.flow !== true && /^ *$/.test(source.text.slice(start, from)) && map.items.length > 1) {
      this.edits.push({ from: start, to: source.lineEnd(to), text: "" });
      this.#without.add(map);
      return;
    }
    this.edits.push({ from: node.range![0], to: node.range![1], text: "false" });
    this.#falses.add(node);
  }

  /** What was meant to differ does, and so. */
  readonly exception: Exception = (a, b) => {
    if (a === this.#source.root && this.#permits) return isMap(a) && isMap(b) && this.#isPermitted(a, b);
    if (isScalar(a) && this.#texts.has(a))
      return isScalar(b) && sameHead(a, b) && b.type === a.type && b.value === this.#texts.get(a);
    if (isScalar(a) && this.#falses.has(a)) return isScalar(b) && b.value === false;
    if (isMap(a) && this.#without.has(a)) {
      if (!isMap(b) || !sameHead(a, b) || b.items.length !== a.items.length - 1) return false;
      return sameEntries(a, b, new Set([forgiving]), this.exception);
    }
    return null;
  };

  #isPermitted(a: YAMLMap, b: YAMLMap): boolean {
    const given = b.items.find(({ key }) => isScalar(key) && key.value === "permissions")?.value;
    if (!isMap(given) || given.items.length !== 1 || b.items.length !== a.items.length + 1) return false;
    const { key, value } = given.items[0]!;
    if (!isScalar(key) || key.value !== "contents" || !isScalar(value) || value.value !== "read") return false;
    return sameHead(a, b) && sameEntries(a, b, new Set(["permissions"]), this.exception);
  }
}
