/** Edits of a text by offsets, and the unified diff that they come to. Exact and linear: nothing is compared that was not edited. */

/** The text from `from` up to `to` becomes `text`. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Applies edits that do not overlap; at one place, in the order given. */
export function applyEdits(text: string, edits: readonly Edit[], base = 0): string {
  let out = "";
  let at = 0;
  for (const edit of inOrder(edits)) {
    out += text.slice(at, edit.from - base) + edit.text;
    at = edit.to - base;
  }
  return out + text.slice(at);
}

function inOrder(edits: readonly Edit[]): Edit[] {
  return edits.toSorted((a, b) => a.from - b.from || a.to - b.to);
}

/** Lines `start` (from 0) and on, as many as `before`, become `after`. */
interface Change {
  start: number;
  before: string[];
  after: string[];
}

const around = 3;

/** `diff -u`, with the paths `a/…` and `b/…`; empty where the edits change nothing. */
export function unifiedDiff(path: string, text: string, edits: readonly Edit[]): string {
  const lines = linesOf(text);
  const changes = changesOf(text, edits).filter(({ before, after }) => before.length + after.length > 0);
  if (changes.length === 0) return "";
  const hunks: Change[][] = [];
  for (const change of changes) {
    const last = hunks.at(-1)?.at(-1);
    if (last !== undefined && change.start - (last.start + last.before.length) <= 2 * around)
      hunks.at(-1)!.push(change);
    else hunks.push([change]);
  }
  const out = [`--- a/${path}\n`, `+++ b/${path}\n`];
  let shift = 0;
  for (const hunk of hunks) {
    const start = Math.max(0, hunk[0]!.start - around);
    const end = Math.min(lines.length, hunk.at(-1)!.start + hunk.at(-1)!.before.length + around);
    const grown = hunk.reduce((sum, { before, after }) => sum + after.length - before.length, 0);
    out.push(`@@ -${start + 1},${end - start} +${start + 1 + shift},${end - start + grown} @@\n`);
    let at = start;
    for (const { start: from, before, after } of hunk) {
      out.push(...lines.slice(at, from).map((line) => ` ${line}`));
      out.push(...before.map((line) => `-${line}`), ...after.map((line) => `+${line}`));
      at = from + before.length;
    }
    out.push(...lines.slice(at, end).map((line) => ` ${line}`));
    shift += grown;
  }
  return out.map((line) => (line.endsWith("\n") ? line : `${line}\n\\ No newline at end of file\n`)).join("");
}

function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** Edits widened to whole lines and joined where they share one; lines that stay the same at either end are left out. */
function changesOf(text: string, edits: readonly Edit[]): Change[] {
  const groups: { from: number; to: number; edits: Edit[] }[] = [];
  for (const edit of inOrder(edits)) {
    const from = text.lastIndexOf("\n", edit.from - 1) + 1;
    const isBetween = edit.to === from && (edit.text === "" || edit.text.endsWith("\n"));
    const next = text.indexOf("\n", edit.to);
    const isWhole = edit.to > 0 && text[edit.to - 1] === "\n" && (edit.text === "" || edit.text.endsWith("\n"));
    const to = isBetween || isWhole ? edit.to : next < 0 ? text.length : next + 1;
    const last = groups.at(-1);
    if (last !== undefined && from < last.to) {
      last.to = Math.max(last.to, to);
      last.edits.push(edit);
    } else groups.push({ from, to, edits: [edit] });
  }
  let line = 0;
  let counted = 0;
  return groups.map(({ from, to, edits: mine }) => {
    for (; counted < from; counted++) if (text[counted] === "\n") line++;
    const before = linesOf(text.slice(from, to));
    const after = linesOf(applyEdits(text.slice(from, to), mine, from));
    let start = line;
    while (before.length > 0 && before[0] === after[0]) {
      before.shift();
      after.shift();
      start++;
    }
    while (before.length > 0 && before.at(-1) === after.at(-1)) {
      before.pop();
      after.pop();
    }
    return { start, before, after };
  });
}
