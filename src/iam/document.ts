/**
 * An IAM policy document as statements, from whatever somebody put there: an object, JSON in a string, the percent-encoded JSON of the
 * API, or the blocks of Terraform's `aws_iam_policy_document`. A part that cannot be read makes the document `partial`: what it allows
 * is then at least what is here, and never proof that it allows no more.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
 */
import type { Place } from "../cloud/evidence.ts";
import { pointerTo } from "../cloud/json.ts";
import { isFields, listAt, own, textAt, textsAt, UNKNOWN } from "../cloud/value.ts";
import { globOf } from "./glob.ts";
import type { Glob } from "./glob.ts";

export interface Condition {
  /** As written: `ForAnyValue:StringLikeIfExists`. */
  readonly operator: string;
  readonly key: string;
  readonly values: readonly string[];
  /** Some of the values are not known yet. */
  readonly partial: boolean;
}

export interface Patterns {
  /** True for `NotAction`, `NotResource`, `NotPrincipal`. */
  readonly not: boolean;
  readonly globs: readonly Glob[];
  /** Some of the texts are not known yet. */
  readonly partial: boolean;
}

export interface Principals {
  readonly not: boolean;
  /** `AWS`, `Service`, `Federated`, `CanonicalUser`; `*` alone is `{ AWS: ["*"] }` here. */
  readonly byType: ReadonlyMap<string, readonly string[]>;
  readonly partial: boolean;
}

export interface Statement {
  readonly sid: string | null;
  readonly effect: "Allow" | "Deny";
  /** Lower case: actions know no case. */
  readonly actions: Patterns;
  /** Null in a trust policy. */
  readonly resources: Patterns | null;
  readonly principals: Principals | null;
  readonly conditions: readonly Condition[];
  readonly place: Place;
}

export interface Policy {
  readonly name: string;
  readonly statements: readonly Statement[];
  /** Why the document may say more than its statements here; null: it was read whole. */
  readonly partial: string | null;
  readonly place: Place;
}

/** AWS allows far less; what is over it is not read, and said. */
const mostStatements = 2000;
const mostValues = 5000;

/** A policy in JSON of any of its forms. Never throws. */
export function readPolicyDocument(name: string, document: unknown, place: Place): Policy {
  let value = document;
  if (typeof value === "string") {
    value = parsed(value);
    if (value === undefined) return { name, statements: [], partial: "is not a policy in JSON", place };
  }
  if (!isFields(value)) return { name, statements: [], partial: "is not known", place };
  const inText = typeof document === "string";
  const written = own(value, "Statement");
  if (written === undefined) return { name, statements: [], partial: "has no Statement", place };
  const list: readonly unknown[] = Array.isArray(written) ? written : [written];
  const statements: Statement[] = [];
  let partial: string | null = list.length > mostStatements ? `has more than ${mostStatements} statements` : null;
  for (const [i, each] of list.slice(0, mostStatements).entries()) {
    const pointer = pointerTo(place.pointer, "Statement");
    // A document inside a string has no places of its own.
    const at = inText ? place : { file: place.file, pointer: Array.isArray(written) ? pointerTo(pointer, i) : pointer };
    const statement = statementOf(each, at);
    if (typeof statement === "string") partial ??= `statement ${i + 1} ${statement}`;
    else statements.push(statement);
  }
  return { name, statements, partial, place };
}

function parsed(text: string): unknown {
  for (const decode of [(each: string) => each, decodeURIComponent]) {
    try {
      return JSON.parse(decode(text)) as unknown;
    } catch {
      // The other form, or neither.
    }
  }
  return undefined;
}

function statementOf(value: unknown, place: Place): Statement | string {
  if (value === UNKNOWN) return "is known only after apply";
  if (!isFields(value)) return "is no object";
  if (own(value, "Effect") === UNKNOWN) return "has an Effect that is known only after apply";
  const effect = textAt(value, "Effect");
  if (effect !== "Allow" && effect !== "Deny") return "has no Effect";
  const actions = patternsOf(value, "Action", (text) => text.toLowerCase());
  if (actions === null) return "has no Action";
  return {
    sid: textAt(value, "Sid"),
    effect,
    actions,
    resources: patternsOf(value, "Resource", (text) => text),
    principals: principalsOf(value),
    conditions: conditionsOf(own(value, "Condition")),
    place,
  };
}

function patternsOf(value: unknown, key: string, form: (text: string) => string): Patterns | null {
  for (const [name, inverted] of [
    [key, false],
    [`Not${key}`, true],
  ] as const) {
    const written = own(value, name);
    if (written === undefined) continue;
    const texts = textsAt(value, name).slice(0, mostValues);
    const count = Array.isArray(written) ? written.length : 1;
    return { not: inverted, globs: texts.map((text) => globOf(form(text))), partial: count !== texts.length };
  }
  return null;
}

function principalsOf(value: unknown): Principals | null {
  for (const [name, inverted] of [
    ["Principal", false],
    ["NotPrincipal", true],
  ] as const) {
    const written = own(value, name);
    if (written === undefined) continue;
    if (written === "*") return { not: inverted, byType: new Map([["AWS", ["*"]]]), partial: false };
    if (!isFields(written)) return { not: inverted, byType: new Map(), partial: true };
    const types = Object.keys(written);
    const byType = new Map(types.map((type) => [type, textsAt(written, type).slice(0, mostValues)] as const));
    const partial = types.some((type) => {
      const texts = own(written, type);
      return (Array.isArray(texts) ? texts.length : 1) !== byType.get(type)!.length;
    });
    return { not: inverted, byType, partial };
  }
  return null;
}

function conditionsOf(value: unknown): Condition[] {
  if (value === undefined) return [];
  // What cannot be read holds perhaps: it neither opens nor closes anything for sure.
  const unreadable = { operator: "", key: "", values: [], partial: true };
  if (!isFields(value)) return [unreadable];
  return Object.entries(value).flatMap(([operator, keys]): Condition[] => {
    if (!isFields(keys)) return [unreadable];
    return Object.keys(keys).map((key) => {
      const written = own(keys, key);
      const list: readonly unknown[] = Array.isArray(written) ? written.slice(0, mostValues) : [written];
      const values = list.filter(
        (each) => typeof each === "string" || typeof each === "boolean" || typeof each === "number",
      );
      return { operator, key: key.toLowerCase(), values: values.map(String), partial: values.length !== list.length };
    });
  });
}

/**
 * The document that Terraform's `data.aws_iam_policy_document` will write, as far as its blocks are known: lower case, in lists. What
 * is not known stays {@link UNKNOWN}, so that who reads the document says so: a condition that is left out would make a deny of all.
 */
export function policyOfBlocks(values: unknown): unknown {
  const written = own(values, "statement");
  return { Statement: written === UNKNOWN ? UNKNOWN : listAt(values, "statement").map(statementOfBlock) };
}

function statementOfBlock(block: unknown): unknown {
  if (!isFields(block)) return block;
  const listed = (name: string, from: string): Record<string, unknown> => {
    const written = own(block, from);
    if (Array.isArray(written) ? written.length === 0 : written !== UNKNOWN) return {};
    return { [name]: written };
  };
  // Blocks of one kind are one in the document, and their values one list (of conditions since 5.14 of the provider).
  const joined = (name: string, from: string, group: (blocks: readonly unknown[]) => unknown): object => {
    const written = own(block, from);
    if (written === UNKNOWN) return { [name]: UNKNOWN };
    return Array.isArray(written) && written.length > 0 ? { [name]: group(written) } : {};
  };
  const types = (blocks: readonly unknown[]) =>
    Object.fromEntries(byText(blocks, "type", "unknown", "identifiers").map(([type, list]) => [typeName(type), list]));
  const tests = (blocks: readonly unknown[]) =>
    Object.fromEntries(
      [...Map.groupBy(blocks, (each) => textAt(each, "test") ?? "")].map(([test, list]) => [
        test,
        Object.fromEntries(byText(list, "variable", "", "values")),
      ]),
    );
  const effect = own(block, "effect");
  return {
    Effect: effect === UNKNOWN ? UNKNOWN : (textAt(block, "effect") ?? "Allow"),
    ...listed("Action", "actions"),
    ...listed("NotAction", "not_actions"),
    ...listed("Resource", "resources"),
    ...listed("NotResource", "not_resources"),
    ...joined("Principal", "principals", types),
    ...joined("NotPrincipal", "not_principals", types),
    ...joined("Condition", "condition", tests),
  };
}

const typeName = (type: string) => (type === "*" ? "AWS" : type);

/** The values of blocks in one list for each text under `key`; a list that is not known is one value that is not. */
function byText(blocks: readonly unknown[], key: string, without: string, values: string): [string, unknown[]][] {
  const groups = Map.groupBy(blocks, (each) => textAt(each, key) ?? without);
  return [...groups].map(([text, list]) => [
    text,
    list.flatMap((each) => {
      const written = own(each, values);
      return Array.isArray(written) ? (written as unknown[]) : [UNKNOWN];
    }),
  ]);
}
