/** A plan to set things right for people: patches and settings with before and after, what is left, and which rights it takes. */
import { oneLine } from "../finding.ts";
import { changeName } from "./change.ts";
import type { Left, Plan, Reason } from "./change.ts";

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
      [`${plain(changeName(each))}:`, ...each.reasons.map((reason) => `  answers ${reasonText(reason)}`)].join("\n"),
    ),
    ...(left.length === 0 ? [] : [leftText(left, most)]),
    ...(needs.length === 0 ? [] : [`To apply it, the token needs:\n${needs.map((each) => `  ${each}`).join("\n")}`]),
    countText(plan),
  ];
  return parts.join("\n\n");
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

function reasonText({ rule, subject, text }: Reason): string {
  return plain(`${rule} ${subject}: ${text}`);
}

const plain = (text: string) => oneLine(text, 400);

/** A patch without what a terminal would obey. */
function printable(text: string): string {
  return text.replaceAll(/(?![\t\n\r])[\p{Cc}\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, "\uFFFD");
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
