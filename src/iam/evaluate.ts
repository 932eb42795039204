/**
 * AWS's evaluation of identity policies for one request: an explicit deny anywhere wins; else every layer (the policies, the
 * permissions boundary, service control policies) must allow; else it is denied. With three answers: `maybe` is for what depends on
 * conditions, variables or documents that are not known. A layer that was not given does not limit: what is found here stands unless
 * somebody shows the layer that refuses it.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
import { conditionsHold } from "./condition.ts";
import type { Context } from "./condition.ts";
import type { Patterns, Policy, Statement } from "./document.ts";
import { globMatches } from "./glob.ts";
import { all, any, not } from "./truth.ts";
import type { Truth } from "./truth.ts";

export interface Request {
  /** `service:Action`, any case. */
  readonly action: string;
  /** An ARN, or `*` for an action that knows no resources. */
  readonly resource: string;
  readonly context: Context;
}

/** Policies of which one must allow: a principal's own, its boundary, one level of an organisation. */
export type Layer = readonly Policy[];

/** Whether the request is allowed: `maybe` where it depends on what is not known. */
export function decide(layers: readonly Layer[], request: Request): Truth {
  const action = request.action.toLowerCase();
  let denied: Truth = "no";
  const allowed = layers.map((layer) => {
    let allows: Truth = "no";
    for (const { statements, partial } of layer) {
      for (const statement of statements) {
        const applies = statementApplies(statement, action, request);
        if (applies === "no") continue;
        if (statement.effect === "Deny") denied = any([denied, applies]);
        else allows = any([allows, applies]);
      }
      // What was not read could allow; that it could as well refuse does not take back what is certain otherwise.
      if (partial !== null) allows = any([allows, "maybe"]);
    }
    return allows;
  });
  return all([...allowed, not(denied)]);
}

/** Whether the statement says something of the request; `action` is in lower case. */
export function statementApplies(statement: Statement, action: string, { resource, context }: Request): Truth {
  const named = patternsHold(statement.actions, action);
  if (named === "no") return "no";
  const meant = statement.resources === null ? "yes" : patternsHold(statement.resources, resource);
  if (meant === "no") return "no";
  return all([named, meant, conditionsHold(statement.conditions, context)]);
}

function patternsHold({ not: inverted, globs, partial }: Patterns, value: string): Truth {
  let found: Truth = partial ? "maybe" : "no";
  for (const glob of globs) {
    found = any([found, globMatches(glob, value)]);
    if (found === "yes") break;
  }
  return inverted ? not(found) : found;
}
