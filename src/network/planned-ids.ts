/** What an attribute of a plan's resource names: another resource's address, or the id of something that is not in the plan. */
import type { Plan, PlanResource } from "../cloud/plan.ts";
import { own, textAt } from "../cloud/value.ts";

export class Ids {
  readonly #plan: Plan;
  /** Addresses by id, of what stands already. */
  readonly #addresses = new Map<string, string>();

  constructor(plan: Plan) {
    this.#plan = plan;
    for (const { values, address, data } of plan.resources) {
      const id = textAt(values, "id");
      if (id !== null && !data) this.#addresses.set(id, address);
    }
  }

  /** The one thing named; null where nothing is, or where several could be meant. */
  of(resource: PlanResource, key: string): string | null {
    const known = textAt(resource.values, key);
    if (known !== null) return this.named(known);
    const referred = this.#plan.referred(resource, key) ?? [];
    return referred.length === 1 ? referred[0]!.address : null;
  }

  /** All things named under a key that holds a list, also inside blocks; null: some are not known. */
  all(resource: PlanResource, value: unknown, ...path: readonly (string | number)[]): string[] | null {
    const key = String(path.at(-1));
    const written = own(value, key);
    const texts = Array.isArray(written)
      ? (written as unknown[])
      : written === undefined || written === null
        ? []
        : [written];
    const known = texts.flatMap((each) => (typeof each === "string" ? [this.named(each)] : []));
    if (known.length === texts.length) return known;
    const referred = this.#plan.referred(resource, ...path);
    return referred === null ? null : [...known, ...referred.map(({ address }) => address)];
  }

  /** The address of what has this id, or the id. */
  named(id: string): string {
    return this.#addresses.get(id) ?? id;
  }
}
