/** What every importer is given and what it fills. */
import type { Problems } from "../policy/problem.ts";
import type { Draft } from "./draft.ts";
import type { Field } from "./field.ts";
import type { Effect, Notes, Spot } from "./note.ts";

/** What the user may say about an import. */
export interface ImportOptions {
  /** Subnets for identities of the original (a service, a group, a policy) that a policy here cannot express. */
  readonly sources: ReadonlyMap<string, readonly string[]>;
  /** Take identities that have no subnets for every source, rather than leave their rules out. */
  readonly anySource: boolean;
  /** Of a workflow: only this job. Null: all. */
  readonly job: string | null;
  /** Where the original names no ports: 443 and 80 by name, rather than every port. */
  readonly web: boolean;
}

/** One import. */
export interface Context {
  /** The documents of the file. */
  readonly roots: readonly Field[];
  /** The file's lines, for the places of words inside a text. */
  readonly lines: readonly string[];
  readonly notes: Notes;
  /** What makes an import impossible. */
  readonly problems: Problems;
  readonly options: ImportOptions;
  readonly draft: Draft;
}

/** Nobody in particular: the original does not say who, or the user said not to ask. */
export const everybody = null;

/**
 * The draft's source for an identity of the original: its name, every source (null), or undefined where there is none, and
 * then the note is made. `what` names it in the note, for example `service “web”`; `lost` is what
 * leaving its rules out comes to.
 */
export function sourceFor(
  context: Context,
  name: string,
  what: string,
  spot: Spot,
  lost: Effect,
): readonly string[] | null | undefined {
  const { options, draft, notes } = context;
  const subnets = options.sources.get(name);
  if (subnets !== undefined) {
    draft.sources.set(name, subnets);
    return [name];
  }
  if (options.anySource) {
    notes.add("wider", spot, `${what} has no subnets here: its rules are for every source`);
    return everybody;
  }
  const message = `${what} has no subnets here, so its rules are left out. Add --source '${name.replaceAll("'", "'\\''")}=10.20.1.0/24'`;
  notes.add(lost, spot, `${message}, or --any-source`);
  return undefined;
}
