/** Policy files as commands meet them: read, loaded, their problems shown; and how a report is printed. */
import { readFileSync } from "node:fs";
import { styleText } from "node:util";
import { InvalidArgumentError, Option } from "commander";
import { SallyportError } from "../errors.ts";
import { problemsText } from "../policy/check.ts";
import { isPolicyProblems, type LoadedPolicy, loadPolicy, type PolicyProblems } from "../policy/load.ts";
import { parseTime } from "../policy/resolve.ts";

/** What every command that looks at a policy takes. */
export interface Shared {
  json?: true;
  at: Date;
}

export function atOption(): Option {
  return new Option("--at <time>", "as of this date or RFC 3339 time, for rules that expire or start to enforce")
    .argParser((text: string) => {
      const time = parseTime(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);
      if (time === null) throw new InvalidArgumentError("Write 2027-01-31 or 2027-01-31T12:00:00Z.");
      return new Date(time);
    })
    .default(new Date(), "now");
}

/** Null where the policy does not load; then its problems are shown and the exit code is set. */
export function load(file: string, options: Shared): { loaded: LoadedPolicy; text: string } | null {
  const text = read(file);
  const loaded = loadPolicy(text, file, options.at);
  if (!isPolicyProblems(loaded)) return { loaded, text };
  showProblems(loaded, text, options.json === true);
  return null;
}

/** Problems of a file for people on stderr, or as JSON on stdout; the exit code is 2. */
export function showProblems({ problems }: PolicyProblems, text: string, asJson: boolean): void {
  if (asJson) console.log(JSON.stringify({ schema: "sallyport.problems/1", problems }));
  else console.error(problemsText(problems, text, "error"));
  process.exitCode = 2;
}

/** The file's text; `-` is standard input. Throws POLICY_UNREADABLE. */
export function read(file: string): string {
  try {
    // By number: a socket cannot be opened by the name of /dev/stdin.
    return readFileSync(file === "-" || file === "/dev/stdin" ? 0 : file, "utf8");
  } catch (error) {
    throw new SallyportError("POLICY_UNREADABLE", `${file}: ${(error as Error).message}`, { file }, error);
  }
}

const colours = [
  [/^(?:ALLOW|ok {4})/gm, "green"],
  [/^(?:DENY|FAIL)|\berror(?=:)/gm, "red"],
  [/^WOULD DENY|\bwarning(?=:)/gm, "yellow"],
  [/^ {4}\+ .*$/gm, "green"],
  [/^ {4}- .*$/gm, "red"],
] as const;

/** Prints a report; colour only on a terminal, and not where NO_COLOR says so. */
export function say(text: string): void {
  const isPlain = text.startsWith("{") || !process.stdout.isTTY;
  const paint = (text: string): string =>
    colours.reduce((painted, [what, colour]) => painted.replaceAll(what, (found) => styleText(colour, found)), text);
  console.log(isPlain ? text : paint(text));
}
