/** What the checks are told of a repository, whoever read it: a disk or GitHub's API. Texts and settings, no handles. */
import type { Where } from "./finding.ts";

export interface TextFile {
  /** As the repository names it. */
  readonly path: string;
  readonly text: string;
}

/** A file that is there and could not be read. */
export interface UnreadFile {
  readonly path: string;
  readonly why: string;
}

export interface RepositoryFacts {
  /** `owner/name`; null: a folder that nobody gave a name. */
  readonly name: string | null;
  /** Null: not known. */
  readonly visibility: "public" | "private" | "internal" | null;
  readonly workflows: readonly TextFile[];
  readonly unread: readonly UnreadFile[];
  /** Workflows elsewhere that these call, by their names (`workflows/calls.ts`), and those that could not be read. */
  readonly called: readonly TextFile[];
  readonly notCalled: readonly UnreadFile[];
  /** Everything else that checks look at, by path: CODEOWNERS, policies, lockfile, composite actions. */
  readonly files: ReadonlyMap<string, string>;
  /** Paths in `.github`, to see a misnamed policy. */
  readonly paths: readonly string[];
  /** Infrastructure code and scripts that speak of runners. */
  readonly infrastructure: readonly TextFile[];
  /** What of `files` was not looked for, and why: then its absence says nothing. */
  readonly notRead: string | null;
}

/** What the checks are told besides. */
export interface Frame {
  readonly now: Date;
  /** `owner/repository` in lower case: whose step is ours. */
  readonly own: string;
  /** How many days a control may only watch before that counts for more. */
  readonly auditDays: number;
  /** When a line was last changed; null: no history is at hand. */
  readonly changed: (file: string, line: number) => Date | null;
  /** Labels of GitHub's larger runners, in lower case; null: nobody asked. */
  readonly largerRunners: ReadonlySet<string> | null;
}

/** Subjects of a named repository begin with its name. */
export function subjectIn({ name }: Pick<RepositoryFacts, "name">, text: string): string {
  return name === null ? text : `${name}: ${text}`;
}

export function inFile(path: string, line: number | null, column: number | null, part: string | null = null): Where {
  return { kind: "file", path, line, column, part };
}
