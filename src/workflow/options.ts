/** What the step is to be, for adding and for checking. */
import type { Job, Step } from "./jobs.ts";
import type { Source } from "./source.ts";

export interface StepWanted {
  /** `owner/repository`. */
  readonly repository: string;
  /** A commit's 40 hexadecimal digits, or a tag that somebody chose knowingly. */
  readonly ref: string;
  /** Behind the ref, as a comment: which version the commit is. */
  readonly comment: string | null;
  /** Null: audit for a new step, and for one that is replaced what it had. */
  readonly mode: "audit" | "block" | null;
  readonly policy: string | null;
}

/** What a composite action of the repository's own has in it. */
export interface LocalAction {
  /** Firewalls that are steps of it, by what people call them. */
  readonly firewalls: readonly string[];
  /** Other local actions that it uses, as it writes them. */
  readonly uses: readonly string[];
}

export interface Scope {
  /** `owner/repository` in lower case: whose step is ours. */
  readonly repository: string;
  /** Jobs whose runner only GitHub can work out are taken for Linux. */
  readonly assumeLinux: boolean;
  /** Jobs that need no step: `job`, or `file.yml#job`. */
  readonly except: ReadonlySet<string>;
  /** Paths of all workflows at hand, as `.github/workflows/x.yml`. */
  readonly paths: ReadonlySet<string>;
  /** The repository's own actions at hand, by their folders. */
  readonly actions?: ReadonlyMap<string, LocalAction>;
}

export function isExcepted({ except }: Scope, { path }: Source, { id }: Job): boolean {
  return except.has(id) || except.has(`${path.slice(path.lastIndexOf("/") + 1)}#${id}`) || except.has(`${path}#${id}`);
}

export function isOurs({ repository }: Pick<Scope, "repository">, { action }: Step): boolean {
  return action === repository.toLowerCase();
}
