/**
 * A Terraform (or OpenTofu) plan as resources, from `terraform show -json`: values with {@link UNKNOWN} where they are decided only by
 * applying, and who refers to whom. Ids are unknown at plan time, so resources are joined by the references in `configuration`: through
 * a module's variables and outputs, and with the index that is written, or the same one where both have one. What cannot be followed (a `local`, which the plan's
 * configuration does not carry) is unresolved and never guessed.
 * Format: https://developer.hashicorp.com/terraform/internals/json-format
 */
import { pointerTo } from "./json.ts";
import type { JsonFile } from "./json.ts";
import { bareOf, indexesOf, referencesOf } from "./references.ts";
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
  /** The same one by one, "" where a module or the resource has none. */
  readonly indexes: readonly string[];
  readonly data: boolean;
  readonly type: string;
  readonly values: Fields;
  /** The configuration's `expressions` of this resource, and the module it stands in. */
  readonly expressions: unknown;
  readonly module: string;
}

/** A resource that an expression names, of which instance: the modules' indexes and its own, null where any may be meant. */
interface Target {
  readonly bare: string;
  readonly indexes: readonly (string | null)[];
  /** `each.key` or `count.index` where the expression has it; null: not, or there is none. */
  readonly key: string | null;
}

interface Targets {
  readonly targets: Map<string, Target>;
  /** Whether nothing else can be meant. */
  isWhole: boolean;
}

/** Where an expression stands: in which instance of a module, and which `each.key` or `count.index` it has there. */
interface Standing {
  readonly module: string;
  readonly indexes: readonly (string | null)[];
  readonly key: string | null;
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

  /**
   * The resources that an expression of `from` refers to, by the expression's path in the configuration; null where it names none. An
   * index that is written counts; else instances with the same one are taken where there are such, or of the same instance of a
   * module, or all of them: right mostly, and never proof. {@link surely} is for what takes something away.
   */
  referred(from: PlanResource, ...path: readonly (string | number)[]): PlanResource[] | null {
    const { targets } = this.#targets(from, path);
    if (targets.size === 0) return null;
    const found = [...targets.values()].flatMap((target) => {
      const all = this.#byBare.get(target.bare) ?? [];
      const named = all.filter((each) => isMeant(each, target));
      if (named.length > 0 && target.indexes.at(-1) !== null) return named;
      const among = named.length > 0 ? named : all;
      const same = among.filter((each) => each.index === from.index);
      if (same.length > 0) return same;
      const within = among.filter((each) => each.index !== "" && from.index.startsWith(each.index));
      return within.length > 0 ? within : among;
    });
    return [...new Set(found)];
  }

  /**
   * The one resource that an expression can mean; null where it may be another or something that is not seen here (`local.x`, a
   * variable of the root, one of two documents). Where the expression has `each.key` or `count.index`, it is taken for the index.
   */
  surely(from: PlanResource, ...path: readonly (string | number)[]): PlanResource | null {
    const { targets, isWhole } = this.#targets(from, path);
    const [target] = targets.values();
    if (target === undefined || targets.size > 1 || !isWhole) return null;
    const all = (this.#byBare.get(target.bare) ?? []).filter((each) => isMeant(each, target));
    const { key } = target;
    const meant = all.length > 1 && key !== null ? all.filter(({ indexes }) => indexes.at(-1) === key) : all;
    return meant.length === 1 ? meant[0]! : null;
  }

  #targets(from: PlanResource, path: readonly (string | number)[]): Targets {
    let expression: unknown = from.expressions;
    for (const part of path) {
      expression =
        typeof part === "number" ? (Array.isArray(expression) ? expression[part] : undefined) : own(expression, part);
    }
    const found: Targets = { targets: new Map(), isWhole: true };
    const key = from.indexes.at(-1) ?? "";
    this.#resolve(expression, { module: from.module, indexes: from.indexes.slice(0, -1), key }, found, 0);
    return found;
  }

  #resolve(expression: unknown, at: Standing, found: Targets, depth: number): void {
    if (depth > deepest || found.targets.size > 100) {
      found.isWhole = false;
      return;
    }
    const references = referencesOf(expression);
    const key = references.some(({ kind }) => kind === "key") && at.key !== "" ? at.key : null;
    for (const each of references) {
      const before = found.targets.size;
      if (each.kind === "key") continue;
      if (each.kind === "variable") {
        const { call, parent } = this.#modules.get(at.module) ?? { call: undefined, parent: null };
        const above = { module: parent ?? "", indexes: at.indexes.slice(0, -1), key: at.indexes.at(-1) ?? "" };
        if (parent !== null) this.#resolve(own(call, each.name), above, found, depth + 1);
      } else if (each.kind === "output") {
        const module = joined(at.module, `module.${each.module}`);
        const output = own(own(own(this.#modules.get(module)?.body, "outputs"), each.name), "expression");
        this.#resolve(output, { module, indexes: [...at.indexes, each.index], key: "" }, found, depth + 1);
      } else if (each.kind === "resource") {
        const bare = joined(at.module, each.bare);
        const indexes = [...at.indexes, each.index];
        if (this.#configured.has(bare)) found.targets.set(JSON.stringify([bare, indexes, key]), { bare, indexes, key });
      }
      // Also a variable whose value is written out: it may be what is taken.
      if (found.targets.size === before) found.isWhole = false;
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
    const bare = bareOf(address);
    const indexes = indexesOf(address);
    const index = indexes.join("");
    const { expressions, module } = this.#configured.get(bare) ?? { expressions: undefined, module: "" };
    const data = own(resource, "mode") === "data";
    const fields = isFields(values) ? values : {};
    const made = {
      file: this.file,
      pointer: pointer + within,
      address,
      bare,
      index,
      indexes,
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

function isMeant({ indexes }: PlanResource, target: Target): boolean {
  return target.indexes.every((wanted, i) => wanted === null || wanted === indexes[i]);
}

function joined(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
