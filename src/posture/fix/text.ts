/** A plan to set things right for people: patches and settings with before and after, what is left, and which rights it takes. */
import { unifiedDiff } from "../../workflow/edit.ts";
import { oneLine } from "../finding.ts";
import { changeName, valueText } from "./change.ts";
import type { Change, FileChange, Left, Plan, PlannedSetting, Reason } from "./change.ts";

/** No line break at the end. `most`: how many of what is left are written out. */
export function planText(plan: Plan, most: number): string {
  const { files, settings, left } = plan;
  const needs = [...new Set(settings.map((each) => each.needs))];
  const parts = [
    ...files.map(({ path, reasons, after, diff }) =>
      [
        `${plain(path)}:`,
        ...reasons.map((each) => `  answers ${reasonText(each)}`),
        ...after.map((each) => `  opens ${reasonText(each)}`),
        printable(diff).trimEnd(),
      ].join("\n"),
    ),
    ...settings.map((each) =>
      [
        `${plain(changeName(each))}:`,
        ...each.reasons.map((reason) => `  answers ${reasonText(reason, 100_000)}`),
        ...usersText(each),
      ].join("\n"),
    ),
    ...(left.length === 0 ? [] : [leftText(left, most)]),
    ...(needs.length === 0 ? [] : [`To apply it, the token needs:\n${needs.map((each) => `  ${each}`).join("\n")}`]),
    countText(plan),
  ];
  return parts.join("\n\n");
}

/** All of them: whoever is missing loses the runners. */
function usersText({ users }: PlannedSetting): string[] {
  if (users === undefined) return [];
  const { before, after } = users;
  const names = oneLine(
    `${after.length === 1 ? "1 repository" : `${after.length} repositories`}: ${after.join(", ")}`,
    1_000_000,
  );
  return [`  who may use it before: ${plain(before)}`, `  who may use it after:  ${names}`];
}

function countText({ files, settings, left }: Plan): string {
  const counted = (n: number, word: string) => `${n} ${word}${n === 1 ? "" : "s"}`;
  return `Plan: ${counted(files.length, "file")}, ${counted(settings.length, "setting")}; ${left.length} left to people`;
}

function leftText(left: readonly Left[], most: number): string {
  const rows = left.slice(0, most).map((each) => `  ${reasonText(each)}\n      ${plain(each.fix)}`);
  const more = left.length > most ? [`  … ${left.length - most} more (--all shows them)`] : [];
  return ["Left to people:", ...rows, ...more].join("\n");
}

/** `most`: characters; of a setting all of it is shown, since all of it is set. */
function reasonText({ rule, subject, text }: Reason, most = 400): string {
  return oneLine(`${rule} ${subject}: ${text}`, most);
}

const plain = (text: string) => oneLine(text, 400);

/** A patch without what a terminal would obey. */
function printable(text: string): string {
  // A line break of its own would write over what stands before it.
  return text.replaceAll(/(?![\t\n]|\r\n)[\p{Cc}\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, "\uFFFD");
}

/**
 * What would be taken back, whole: an undo file may have been edited, and what it would put back is what counts, not its name. No
 * line break at the end.
 */
export function backText(changes: readonly Change[]): string {
  const parts = changes.map((change) => {
    if (change.kind === "file") return printable(diffOf(change)).trimEnd();
    const rows = Object.keys(change.to)
      .filter((field) => JSON.stringify(change.from[field]) !== JSON.stringify(change.to[field]))
      .map(
        (field) =>
          `  ${oneLine(`${field}: ${valueText(change.from[field])} → ${valueText(change.to[field])}`, 100_000)}`,
      );
    return [`${plain(changeName(change))}:`, ...rows].join("\n");
  });
  return [...parts, changes.map((change) => `would take back ${plain(changeName(change))}`).join("\n")].join("\n\n");
}

/** As one piece, from the first difference to the last. */
function diffOf({ path, from, to }: FileChange): string {
  const most = Math.min(from.length, to.length);
  let start = 0;
  while (start < most && from[start] === to[start]) start++;
  let same = 0;
  while (same < most - start && from[from.length - 1 - same] === to[to.length - 1 - same]) same++;
  const edit = { from: start, to: from.length - same, text: to.slice(start, to.length - same) };
  return unifiedDiff(plain(path), from, [edit]);
}

const words = {
  done: "done",
  already: "nothing to do",
  changed: "NOT DONE",
  failed: "NOT DONE",
  unclear: "NOT CLEAR",
  "not-tried": "NOT TRIED",
} as const;

/** What became of each change. `end`: a line behind them; empty: none. */
export function outcomeText(outcomes: readonly OutcomeSaid[], end: string): string {
  const rows = outcomes.map(
    ({ name, state, why }) => `${words[state].padEnd(13)}  ${plain(name)}${why === "" ? "" : `: ${plain(why)}`}`,
  );
  return [...rows, ...(end === "" ? [] : [end])].join("\n");
}

interface OutcomeSaid {
  readonly name: string;
  readonly state: keyof typeof words;
  readonly why: string;
}
