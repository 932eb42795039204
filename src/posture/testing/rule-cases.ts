/**
 * For every check one thing that it says and one that it does not: `rules.test.ts` runs them, and `docs/posture-rules.md` names them.
 * `fires` comes to the worst that the check can say (`check-catalogue.ts`), `quiet` to something better of the same rule.
 */
import type { RuleId } from "../catalogue.ts";
import type { Finding } from "../finding.ts";

export interface Given {
  /** For people. */
  readonly text: string;
  readonly make: () => readonly Finding[];
}

export interface RuleCase {
  readonly rule: RuleId;
  /** As `allChecks` names it. */
  readonly check: string;
  readonly fires: Given;
  readonly quiet: Given;
}

/** One case; `fires` and `quiet` are each a text and what makes the findings. */
export function ruleCase(
  rule: RuleId,
  check: string,
  fires: readonly [string, Given["make"]],
  quiet: readonly [string, Given["make"]],
): RuleCase {
  const given = ([text, make]: readonly [string, Given["make"]]): Given => ({ text, make });
  return { rule, check, fires: given(fires), quiet: given(quiet) };
}
