/**
 * Which sources have used up which rules' `upload_limit`, as the data path knows it: what such a rule would let through is
 * refused (threat T9). The rule decides all the same: no later one is asked.
 */
import type { Address } from "../address/ip.ts";
import type { Decision, Engine, NotYet } from "../policy/decision.ts";
import { budgetHolder } from "./uploads.ts";

/** A rule's name, and who has used up its budget ({@link budgetHolder}). */
export type OverdrawnEntry = readonly [rule: string, holder: string];

const hold: NotYet = { answer: "not_yet", hold: true };

export class Overdrawn {
  readonly #rules = new Map<string, Set<string>>();

  constructor(entries: readonly OverdrawnEntry[] = []) {
    for (const [rule, holder] of entries) {
      const rules = this.#rules.get(holder);
      if (rules === undefined) this.#rules.set(holder, new Set([rule]));
      else rules.add(rule);
    }
  }

  /** The decision about a source's flow, with what it has used up. Refused as the default would: monitor only tells. */
  applied(decision: Decision, source: Address, engine: Engine): Decision;
  applied(decision: Decision | NotYet, source: Address, engine: Engine): Decision | NotYet;
  applied(decision: Decision | NotYet, source: Address, engine: Engine): Decision | NotYet {
    if (this.#rules.size === 0) return decision;
    const rules = this.#rules.get(budgetHolder(source));
    if (rules === undefined) return decision;
    const enforced = engine.enforcedFor(source);
    // Some rule that could still decide refuses now, so no byte may leave before it is known which.
    if (decision.answer === "not_yet") return enforced ? hold : decision;
    if (decision.answer === "deny" || decision.rule === null || !rules.has(decision.rule.name)) return decision;
    const verdict = enforced ? "deny" : "would_deny";
    return { ...decision, answer: "deny", verdict, enforced, passes: !enforced, reason: "upload_limit" };
  }
}
