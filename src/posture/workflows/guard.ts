/** Conditions that hold forks off. */
import { Binary, type Expr, Unary } from "@actions/expressions/ast";
import type { Job } from "../../workflow/jobs.ts";
import type { Source } from "../../workflow/source.ts";
import { conjuncts, parseExpression, pathOf } from "./expression.ts";

/**
 * True where `if:` can only hold for branches of the repository itself. It counts only where a stranger cannot edit it. `event`: by
 * which the job runs.
 */
export function guardOf(source: Source, { map }: Pick<Job, "map">, { event }: { readonly event: string }): boolean {
  const condition = source.textOf(source.value(map, "if"));
  if (condition === null) return false;
  const inner = /^\s*\$\{\{(.*)\}\}\s*$/s.exec(condition)?.[1] ?? condition;
  if (inner.includes("${{")) return false;
  const tree = parseExpression(inner);
  return tree !== null && conjuncts(tree).some((part) => isGuard(part, event));
}

const head = "github.event.pull_request.head.repo";

function isGuard(tree: Expr, event: string): boolean {
  // An event without a pull request has null there, and !null is true. That null equals no repository's name.
  if (tree instanceof Unary)
    return event.startsWith("pull_request") && tree.operator.lexeme === "!" && nameOf(tree.expr) === `${head}.fork`;
  if (!(tree instanceof Binary) || tree.operator.lexeme !== "==") return false;
  const names = [nameOf(tree.left), nameOf(tree.right)];
  return names.includes(`${head}.full_name`) && names.includes("github.repository");
}

function nameOf(tree: Expr): string | null {
  return pathOf(tree)?.join(".").toLowerCase() ?? null;
}
