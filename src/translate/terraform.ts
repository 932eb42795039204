/**
 * Resources in Terraform's JSON: configuration (`*.tf.json`), or a state or plan as `terraform show -json` prints it. Blocks are
 * a map where there is one and a list where there are several; in a configuration a reference is `${type.name.uuid}`.
 */
import { at, entriesOf, itemsOf, textOf } from "./field.ts";
import type { Field } from "./field.ts";

/** One resource. */
export interface Resource {
  readonly type: string;
  /** As configuration refers to it: `type.name`. */
  readonly address: string;
  readonly values: Field;
}

/** Every resource of a file, in order. */
export function resourcesOf(root: Field): Resource[] {
  const written = entriesOf(at(root, "resource")).flatMap(([type, { value }]) =>
    itemsOf(value).flatMap((named) =>
      entriesOf(named).flatMap(([name, { value: block }]) =>
        itemsOf(block).map((values) => ({ type, address: `${type}.${name}`, values })),
      ),
    ),
  );
  const shown = [at(root, "values", "root_module"), at(root, "planned_values", "root_module")];
  return [...written, ...shown.flatMap((module) => (module === null ? [] : ofModule(module)))];
}

function ofModule(module: Field): Resource[] {
  const own = itemsOf(at(module, "resources")).flatMap((resource) => {
    const [type, values] = [textOf(at(resource, "type")), at(resource, "values")];
    if (type === null || values === null) return [];
    const address = textOf(at(resource, "address")) ?? `${type}.${textOf(at(resource, "name"))}`;
    return [{ type, address, values }];
  });
  return [...own, ...itemsOf(at(module, "child_modules")).flatMap(ofModule)];
}

/** `type.name` of a reference such as `${aviatrix_web_group.pypi.uuid}`; null where the text is none. */
export function referenceOf(text: string): string | null {
  const match = /^(?:\$\{)?\s*((?:data\.)?[a-z][a-z0-9_]*\.[\w-]+(?:\[[^\]]*\])?)\.uuid\s*\}?$/.exec(text);
  return match?.[1] ?? null;
}
