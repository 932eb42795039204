/**
 * A Terraform (or OpenTofu) plan as resources, from `terraform show -json`: values with {@link UNKNOWN} where they are decided only by
 * applying, and who refers to whom. Ids are unknown at plan time, so resources are joined by the references in `configuration`: through
 * a module's variables and outputs, and with the same index where both have one. What cannot be followed (a `local`, which the plan's
 * configuration does not carry) is unresolved and never guessed.
 * Format: https://developer.hashicorp.com/terraform/internals/json-format
 */
import { pointerTo } from "./json.ts";
import type { JsonFile } from "./json.ts";
import { isFields, listAt, own, textAt, UNKNOWN } from "./value.ts";
import type { Fields } from "./value.ts";

export interface PlanResource {
  readonly file: string;
  readonly pointer: string;
  /** With module path and index: `module.net.aws_subnet.runner[0]`. */
  readonly address: string;
  /** The address without any index, as references name it. */
  readonly bare: string;
  /** The indexes of all modules on the way and of the resource itself: `[0]`, `["a"][1]` or "". */
  readonly index: string;
  readonly data: boolean;
  readonly type: string;
  readonly values: Fields;
  /** The configuration's `expressions` of this resource, and the module it stands in. */
  readonly expressions: unknown;
  readonly module: string;
}

const deepest = 64;
/** More resources than any plan that is read by people. */
const mostResources = 100_000;

/** True where the value is a plan's JSON. */
export function isPlan(value: unknown): boolean {
  return (
    textAt(value, "format_version") !== null &&
    (isFields(own(value, "planned_values")) || own(value, "resource_changes") !== undefined)
  );
}

/** `after` with every place that `after_unknown` marks replaced by {@link UNKNOWN}. */
export function withUnknown(after: unknown, unknown: unknown, depth = 0): unknown {
  if (unknown === true || depth > deepest) return UNKNOWN;
  if (Array.isArray(unknown)) {
    const values: readonly unknown[] = Array.isArray(after) ? after : [];
    const length = Math.max(values.length, unknown.length);
    return Array.from({ length }, (_, i) => withUnknown(values[i], unknown[i], depth + 1));
  }
  if (isFields(unknown)) {
    const keys = new Set([...(isFields(after) ? Object.keys(after) : []), ...Object.keys(unknown)]);
    return Object.fromEntries(
      [...keys].map((key) => [key, withUnknown(own(after, key), own(unknown, key), depth + 1)]),
    );
  }
  return after;
}

/** All resources that exist after the plan is applied, and what refers to what. */
export class Plan {
  readonly file: string;
  readonly resources: PlanResource[] = [];
  readonly #configured = new Map<string, { expressions: unknown; module: string }>();
  /** Modules by path without indexes: their configuration, their call's expressions and the path of who calls. */
  readonly #modules = new Map<string, { body: unknown; call: unknown; parent: string | null }>();
  readonly #byBare = new Map<string, PlanResource[]>();

  constructor({ file, value }: JsonFile) {
    this.file = file;
    this.#readModule(own(own(value, "configuration"), "root_module"), "", null, null, 0);
    const changes = listAt(value, "resource_changes");
    for (const [i, each] of changes.entries()) {
      const change = own(each, "change");
      const actions = listAt(change, "actions");
      if (actions.length === 1 && (actions[0] === "delete" || actions[0] === "forget")) continue;
      this.#add(
        each,
        withUnknown(own(change, "after"), own(change, "after_unknown")),
        pointerTo("/resource_changes", i),
        "/change/after",
      );
    }
    this.#readValues(own(own(value, "planned_values"), "root_module"), "/planned_values/root_module", 0);
    this.#readValues(
      own(own(own(value, "prior_state"), "values"), "root_module"),
      "/prior_state/values/root_module",
      0,
      true,
    );
  }

  /** The resources of the given types. */
  of(...types: readonly string[]): PlanResource[] {
    return this.resources.filter(({ type, data }) => !data && types.includes(type));
  }

  /** The resources that an expression of `from` refers to, by the expression's path in the configuration; null where it names none. */
  referred(from: PlanResource, ...path: readonly (string | number)[]): PlanResource[] | null {
    let expression: unknown = from.expressions;
    for (const part of path) {
      expression =
        typeof part === "number" ? (Array.isArray(expression) ? expression[part] : undefined) : own(expression, part);
    }
    const found = new Set<string>();
    this.#resolve(expression, from.module, found, 0);
    if (found.size === 0) return null;
    return [...found].flatMap((bare) => this.#instances(bare, from.index));
  }

  /** Instances with the same index where there are such, or of the same instance of a module; else all of them. */
  #instances(bare: string, index: string): PlanResource[] {
    const all = this.#byBare.get(bare) ?? [];
    const same = all.filter((each) => each.index === index);
    if (same.length > 0) return same;
    const within = all.filter((each) => each.index !== "" && index.startsWith(each.index));
    return within.length > 0 ? within : all;
  }

  #resolve(expression: unknown, module: string, found: Set<string>, depth: number): void {
    if (depth > deepest || found.size > 100) return;
    for (const reference of listAt(expression, "references")) {
      if (typeof reference !== "string") continue;
      const parts = reference.replaceAll(/\[[^\]]*\]/g, "").split(".");
      const [head, second, third] = parts;
      if (head === "var" && second !== undefined) {
        const { call, parent } = this.#modules.get(module) ?? { call: undefined, parent: null };
        if (parent !== null) this.#resolve(own(call, second), parent, found, depth + 1);
      } else if (head === "module" && second !== undefined && third !== undefined) {
        const inner = joined(module, `module.${second}`);
        const output = own(own(own(this.#modules.get(inner)?.body, "outputs"), third), "expression");
        this.#resolve(output, inner, found, depth + 1);
      } else {
        const bare = joined(module, parts.slice(0, head === "data" ? 3 : 2).join("."));
        if (this.#configured.has(bare)) found.add(bare);
      }
    }
  }

  #readModule(body: unknown, path: string, call: unknown, parent: string | null, depth: number): void {
    if (depth > deepest || !isFields(body) || this.#modules.size > 10_000) return;
    this.#modules.set(path, { body, call, parent });
    for (const each of listAt(body, "resources")) {
      const address = textAt(each, "address");
      if (address !== null)
        this.#configured.set(joined(path, address), { expressions: own(each, "expressions"), module: path });
    }
    const calls = own(body, "module_calls");
    if (!isFields(calls)) return;
    for (const [name, each] of Object.entries(calls)) {
      const inner = joined(path, `module.${name}`);
      this.#readModule(own(each, "module"), inner, own(each, "expressions"), path, depth + 1);
    }
  }

  #readValues(module: unknown, pointer: string, depth: number, dataOnly = false): void {
    if (depth > deepest) return;
    for (const [i, each] of listAt(module, "resources").entries()) {
      if (dataOnly && own(each, "mode") !== "data") continue;
      this.#add(each, own(each, "values"), pointerTo(pointerTo(pointer, "resources"), i), "/values");
    }
    for (const [i, each] of listAt(module, "child_modules").entries())
      this.#readValues(each, pointerTo(pointerTo(pointer, "child_modules"), i), depth + 1, dataOnly);
  }

  readonly #known = new Set<string>();

  #add(resource: unknown, values: unknown, pointer: string, within: string): void {
    const address = textAt(resource, "address");
    const type = textAt(resource, "type");
    if (address === null || type === null || this.#known.has(address) || this.resources.length >= mostResources) return;
    this.#known.add(address);
    const bare = address.replaceAll(/\[(?:"(?:[^"\\]|\\.)*"|[^\]"]*)\]/g, "");
    const index = [...address.matchAll(/\[(?:"(?:[^"\\]|\\.)*"|[^\]"]*)\]/g)].map(([each]) => each).join("");
    const { expressions, module } = this.#configured.get(bare) ?? { expressions: undefined, module: "" };
    const data = own(resource, "mode") === "data";
    const fields = isFields(values) ? values : {};
    const made = {
      file: this.file,
      pointer: pointer + within,
      address,
      bare,
      index,
      data,
      type,
      values: fields,
      expressions,
      module,
    };
    this.resources.push(made);
    const same = this.#byBare.get(bare);
    if (same === undefined) this.#byBare.set(bare, [made]);
    else same.push(made);
  }
}

function joined(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
