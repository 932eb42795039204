/**
 * A statement's conditions against what is known of a request. A key that is known to be absent has an empty list in the context; a key
 * that is not in the context is not known, and then the answer is `maybe`, because a condition that nobody can judge neither opens nor
 * closes anything for sure.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
import type { Condition } from "./document.ts";
import { globMatches, globOf } from "./glob.ts";
import { all, any, not, truthOf } from "./truth.ts";
import type { Truth } from "./truth.ts";

/** Values by lower-case key; an empty list: the request has no such key. */
export type Context = ReadonlyMap<string, readonly string[]>;

interface Operator {
  readonly base: string;
  readonly quantifier: "ForAllValues" | "ForAnyValue" | null;
  readonly ifExists: boolean;
}

/** The operator's parts; case does not matter to AWS. */
export function operatorOf(text: string): Operator {
  const found = /^(?:(forallvalues|foranyvalue):)?(\w*?)(ifexists)?$/i.exec(text);
  if (found === null) return { base: text.toLowerCase(), quantifier: null, ifExists: false };
  const quantifier = found[1]?.toLowerCase();
  return {
    base: found[2]!.toLowerCase(),
    quantifier: quantifier === "forallvalues" ? "ForAllValues" : quantifier === "foranyvalue" ? "ForAnyValue" : null,
    ifExists: found[3] !== undefined,
  };
}

/** All of them must hold. */
export function conditionsHold(conditions: readonly Condition[], context: Context): Truth {
  return all(conditions.map((condition) => conditionHolds(condition, context)));
}

function conditionHolds({ operator, key, values, partial }: Condition, context: Context): Truth {
  const { base, quantifier, ifExists } = operatorOf(operator);
  const actual = context.get(key);
  if (actual === undefined) return "maybe";
  if (base === "null")
    return partial
      ? "maybe"
      : any(values.map((value) => truthOf((value.toLowerCase() === "true") === (actual.length === 0))));
  const compare = comparisons.get(base);
  if (compare === undefined) return "maybe";
  const { negated, matches } = compare;
  if (actual.length === 0) {
    if (ifExists || quantifier === "ForAllValues") return "yes";
    return truthOf(negated && quantifier === null);
  }
  /** One of the request's values against all of the policy's: any of them, or none of them. */
  const one = (value: string): Truth => {
    const found = any([...values.map((wanted) => matches(wanted, value)), ...(partial ? ["maybe" as const] : [])]);
    return negated ? not(found) : found;
  };
  if (quantifier === "ForAllValues") return all(actual.map(one));
  if (quantifier === "ForAnyValue") return any(actual.map(one));
  return negated ? all(actual.map(one)) : any(actual.map(one));
}

type Compare = (wanted: string, value: string) => Truth;

const exact: Compare = (wanted, value) => globMatches(globOf(wanted, true), value);
const like: Compare = (wanted, value) => globMatches(globOf(wanted), value);
const ignoringCase: Compare = (wanted, value) => exact(wanted.toLowerCase(), value.toLowerCase());
/** Each of an ARN's six parts by itself: a `*` in one does not reach over a colon into the next. */
const arn: Compare = (wanted, value) => {
  const [patterns, parts] = [arnParts(wanted), arnParts(value)];
  if (patterns.length !== parts.length) return "no";
  return all(patterns.map((pattern, i) => like(pattern, parts[i]!)));
};
const bool: Compare = (wanted, value) => truthOf(wanted.toLowerCase() === value.toLowerCase());

/** The text parted at the first five colons outside of variables. */
function arnParts(text: string): string[] {
  const parts = text.split(/:(?![^{}]*\})/);
  return parts.length <= 6 ? parts : [...parts.slice(0, 5), parts.slice(5).join(":")];
}

/** Others (numbers, dates, addresses) ask for what is never known here. */
const comparisons: ReadonlyMap<string, { negated: boolean; matches: Compare }> = new Map([
  ["stringequals", { negated: false, matches: exact }],
  ["stringnotequals", { negated: true, matches: exact }],
  ["stringequalsignorecase", { negated: false, matches: ignoringCase }],
  ["stringnotequalsignorecase", { negated: true, matches: ignoringCase }],
  ["stringlike", { negated: false, matches: like }],
  ["stringnotlike", { negated: true, matches: like }],
  ["arnequals", { negated: false, matches: arn }],
  ["arnlike", { negated: false, matches: arn }],
  ["arnnotequals", { negated: true, matches: arn }],
  ["arnnotlike", { negated: true, matches: arn }],
  ["bool", { negated: false, matches: bool }],
]);
