/** The steps of a GitHub workflow (or composite action) that use a given action, with their inputs. */
import { at, entriesOf, itemsOf, textOf } from "./field.ts";
import type { Entry, Field } from "./field.ts";
import type { Spot } from "./note.ts";

/** One step that uses the action. */
export interface Step extends Spot {
  /** The job's id; `runs` in a composite action. */
  readonly job: string;
  /** Inputs by their name in lower case, as GitHub compares them. */
  readonly inputs: ReadonlyMap<string, Entry>;
  /** Its environment as far as the file says: the workflow's, the job's, its own. */
  readonly env: ReadonlyMap<string, Entry>;
}

/** Every use of `owner/name` (any ref, any path in it), in the order of the file. */
export function stepsUsing(root: Field, action: string): Step[] {
  const outer = entriesOf(at(root, "env"));
  const lists: [string, Field | null, [string, Entry][]][] = entriesOf(at(root, "jobs")).map(([job, { value }]) => [
    job,
    at(value, "steps"),
    [...outer, ...entriesOf(at(value, "env"))],
  ]);
  lists.push(["runs", at(root, "runs", "steps"), []]);
  return lists.flatMap(([job, steps, env]) =>
    itemsOf(steps).flatMap((step) => {
      const uses = textOf(at(step, "uses"))?.toLowerCase() ?? "";
      if (!uses.startsWith(`${action}@`) && !uses.startsWith(`${action}/`)) return [];
      const { line, column } = at(step, "uses")!;
      const inputs = entriesOf(at(step, "with")).map(([name, entry]) => [name.toLowerCase(), entry] as const);
      return [{ job, line, column, inputs: new Map(inputs), env: new Map([...env, ...entriesOf(at(step, "env"))]) }];
    }),
  );
}

/** An input's text; null where it is not given or says nothing. */
export function inputOf(step: Step, name: string): string | null {
  const text = textOf(step.inputs.get(name)?.value ?? null);
  return text === null || text.trim() === "" ? null : text.trim();
}
