/** Which of some rules can meet a flow to a name at an address? Whatever its source, port and protocol. For `diff.ts`. */
import { CidrTable } from "../address/cidr.ts";
import type { Address } from "../address/ip.ts";
import { LabelTrie } from "../address/trie.ts";
import type { Rule, Service } from "./model.ts";

/** A rule on the services of one of its endpoints. */
export interface Part {
  readonly rule: Rule;
  readonly services: readonly Service[];
}

const nothing: readonly Part[] = [];

/** Rules by the names and addresses of their endpoints. */
export class Places {
  readonly #names = new LabelTrie<Part[]>();
  readonly #cidrs = new CidrTable<Part[]>();

  constructor(rules: readonly Rule[]) {
    for (const rule of rules) {
      for (const { endpoint, services } of rule.targets) {
        const parts =
          endpoint.kind === "name"
            ? this.#names.getOrAdd(endpoint.pattern, () => [])
            : this.#cidrs.getOrAdd(endpoint.cidr, () => []);
        parts.push({ rule, services });
      }
    }
  }

  /** The rules have a CIDR endpoint. */
  get hasCidrs(): boolean {
    return this.#cidrs.size > 0;
  }

  /** What concerns a name (null: none). */
  byName(name: string | null): readonly Part[] {
    return name === null || this.#names.size === 0 ? nothing : this.#names.match(name).flat();
  }

  /** What concerns an address. */
  byAddress(address: Address): readonly Part[] {
    return [...this.#cidrs.covering(address)].flatMap(({ value }) => value);
  }
}
