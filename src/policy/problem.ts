/**
 * What is wrong with a policy file: always with its place, the offending text and the fix. Loading collects all of them
 * rather than stopping at the first. Warnings have the same shape and do not keep a policy from loading.
 */

/** Every kind of problem and warning of policies, with its title for documents and reports. */
export const problemTitles = {
  yaml: "Not valid YAML",
  yaml_alias: "Anchors, aliases, merge keys and tags are refused",
  too_large: "The file is too large",
  duplicate_key: "A key is written twice",
  schema: "A value has the wrong form",
  unknown_key: "A key that does not exist",
  unknown_reference: "A name that is not declared",
  duplicate_name: "Two rules have one name",
  bad_name: "A name with characters that are not allowed",
  bad_endpoint: "Not an endpoint",
  bad_cidr: "Not a CIDR prefix",
  bad_date: "Not a date",
  bad_size: "Not an amount of data",
  bad_process: "Not a step, an action or an executable",
  protocol_needed: "The protocol must be said",
  port_needed: "The port must be said",
  empty: "A list without an entry",
  not_in_version: "Not in this version",
  unreachable: "A rule that can never decide",
  expired: "A rule that has expired",
  promoted: "A rule whose monitor time has passed",
  opaque_name: "A name that only DNS vouches for",
  any_name: "A rule for any name",
  public_suffix: "A wildcard over names that strangers register",
  reaches_special: "A CIDR rule that reaches private or metadata addresses",
  exfiltration_host: "A host where anybody can leave data",
  frontable_host: "A host whose front many tenants share",
  ech_allowed: "A front's host where Encrypted Client Hello is let through",
  writable_exe: "An executable in a folder that a job can write to",
  needs_process: "A rule that asks for a process",
  missing_reason: "A wide rule without a reason",
  unused: "A source that no rule names",
} as const;

/** Further ones, of configuration files. */
export const configProblemTitles = {
  bad_address: "Not an address, a path or a header that can be used",
  secret_in_file: "A secret is written into the file",
  missing_secret: "A secret or a certificate that cannot be read",
  bad_duration: "Not a length of time",
  bad_key: "A key that cannot sign",
} as const;

export type PolicyProblemCode = keyof typeof problemTitles;
export type ProblemCode = PolicyProblemCode | keyof typeof configProblemTitles;

/** One problem or warning. `line` and `column` are 1-based; `text` is the offending source text (first line of it). */
export interface Problem {
  file: string;
  line: number;
  column: number;
  code: ProblemCode;
  message: string;
  text: string;
  fix: string;
}

/** One line for terminals and logs: `file:line:column: message (fix)`. */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.message}. ${problem.fix}`;
}

/** How many problems of one file are kept; the last one says how many were not. */
const maxProblems = 200;

/** Where in the file something is. */
export interface Place {
  line: number;
  column: number;
  text: string;
}

/** Collects the problems of one file, bounded. */
export class Problems {
  readonly #file: string;
  readonly #list: Problem[] = [];
  #more = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** `place` is a function because finding a position costs, and only problems need it. */
  add(code: ProblemCode, place: () => Place, message: string, fix: string): void {
    if (this.#list.length >= maxProblems) this.#more++;
    else this.#list.push({ file: this.#file, ...place(), code, message, fix });
  }

  get count(): number {
    return this.#list.length;
  }

  /** All problems in the order of the file. */
  get list(): Problem[] {
    const sorted = this.#list.toSorted((a, b) => a.line - b.line || a.column - b.column);
    if (this.#more > 0) {
      const last = sorted.at(-1)!;
      sorted.push({ ...last, message: `${this.#more} more problems are not shown`, text: "", fix: "Fix these first." });
    }
    return sorted;
  }
}

/** The candidate nearest to `word` in spelling, if it is near enough to have been meant. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = Math.min(4, Math.ceil(word.length / 2));
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= bestDistance || candidate.length > 100) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(row[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
