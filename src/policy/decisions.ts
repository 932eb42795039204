/** Decisions without monitored rules, made once and shared: most packets' answers allocate nothing. */
import type { Decision, RuleRef, Stage } from "./decision.ts";
import type { Reason } from "./reason.ts";

const noRules: readonly RuleRef[] = Object.freeze([]);

/** Makes and keeps the decisions of one policy. */
export class Decisions {
  readonly #policy: string;
  readonly #byRule: Record<Stage, Map<RuleRef, Decision>> = { dns: new Map(), connect: new Map(), name: new Map() };
  readonly #byDefault = new Map<string, Decision>();

  constructor(policy: string) {
    this.#policy = policy;
  }

  /** The answer of an enforcing rule. */
  byRule(rule: RuleRef, stage: Stage, monitored: readonly RuleRef[]): Decision {
    if (monitored.length > 0) return this.#rule(rule, stage, monitored);
    const known = this.#byRule[stage];
    let decision = known.get(rule);
    if (decision === undefined) known.set(rule, (decision = this.#rule(rule, stage, noRules)));
    return decision;
  }

  /** An allow rule's answer to Encrypted Client Hello that it does not let through. */
  byEch(rule: RuleRef, enforced: boolean, stage: Stage, monitored: readonly RuleRef[]): Decision {
    return Object.freeze({ ...this.#default(enforced, "ech", stage, monitored), tier: rule.tier, rule });
  }

  /** The answer of tier 3. */
  byDefault(enforced: boolean, reason: Reason, stage: Stage, monitored: readonly RuleRef[]): Decision {
    if (monitored.length > 0) return this.#default(enforced, reason, stage, monitored);
    const key = (enforced ? "enforce " : "monitor ") + stage + reason;
    let decision = this.#byDefault.get(key);
    if (decision === undefined) this.#byDefault.set(key, (decision = this.#default(enforced, reason, stage, noRules)));
    return decision;
  }

  #rule(rule: RuleRef, stage: Stage, monitored: readonly RuleRef[]): Decision {
    return Object.freeze({
      answer: rule.action,
      verdict: rule.action,
      enforced: true,
      passes: rule.action === "allow",
      reason: "rule",
      stage,
      tier: rule.tier,
      rule,
      monitored,
      policy: this.#policy,
    });
  }

  #default(enforced: boolean, reason: Reason, stage: Stage, monitored: readonly RuleRef[]): Decision {
    return Object.freeze({
      answer: "deny",
      verdict: enforced ? "deny" : "would_deny",
      enforced,
      passes: !enforced,
      reason,
      stage,
      tier: 3,
      rule: null,
      monitored,
      policy: this.#policy,
    });
  }
}
