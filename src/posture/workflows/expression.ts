/**
 * What a GitHub expression can come to, as far as the file says: read by GitHub's own parser (@actions/expressions), every branch
 * taken. Null stands for what only GitHub can work out. Nothing is evaluated, so nothing can run away.
 */
import { Lexer, Parser } from "@actions/expressions";
import {
  ContextAccess,
  type Expr,
  FunctionCall,
  Grouping,
  IndexAccess,
  Literal,
  Logical,
} from "@actions/expressions/ast";

/** One thing an expression can be; a list where it is one (`fromJSON`). */
export type Value = string | readonly string[] | null;

/** Values of a context such as `matrix.os`; null: not known here. */
export type Lookup = (path: readonly string[]) => readonly Value[] | null;

/** Characters that GitHub allows in one expression (docs.github.com, "Actions limits"). */
const longest = 21_000;
const most = 256;

const contexts = [
  ...["github", "needs", "strategy", "matrix", "secrets", "vars", "inputs", "env", "job", "jobs", "steps", "runner"],
];
const functions = ["hashFiles", "success", "failure", "always", "cancelled"].map((name) => ({
  name,
  minArgs: 0,
  maxArgs: 255,
}));

/** The tree of an expression without its `${{ }}`; null where GitHub's parser refuses it. */
export function parseExpression(text: string): Expr | null {
  if (text.length > longest) return null;
  try {
    return new Parser(new Lexer(text).lex().tokens, contexts, functions).parse() ?? null;
  } catch {
    return null;
  }
}

/** Everything a text with `${{ }}` in it can come to. At most 256 values, then null is among them. */
export function textValues(text: string, lookup: Lookup): Value[] {
  const whole = /^\s*\$\{\{((?:(?!\}\}).)*)\}\}\s*$/s.exec(text);
  if (whole !== null) return expressionValues(whole[1]!, lookup);
  const pieces = text.split(/\$\{\{((?:(?!\}\}).)*)\}\}/s);
  let values: (string | null)[] = [""];
  for (const [i, piece] of pieces.entries()) {
    const next = i % 2 === 0 ? [piece] : expressionValues(piece, lookup);
    values = values.flatMap((before) =>
      next.map((each) => (before === null || typeof each !== "string" ? null : before + each)),
    );
    if (values.length > most) return [null];
  }
  return values;
}

/** The same for an expression without `${{ }}`, as `if:` may have it. */
export function expressionValues(text: string, lookup: Lookup): Value[] {
  const tree = parseExpression(text);
  const values = tree === null ? [null] : valuesOf(tree, lookup);
  return values.length > most ? [...values.slice(0, most), null] : values;
}

function valuesOf(tree: Expr, lookup: Lookup): Value[] {
  if (tree instanceof Grouping) return valuesOf(tree.group, lookup);
  if (tree instanceof Literal) return [tree.literal.coerceString()];
  if (tree instanceof Logical) {
    // `a && b` is b, or a false that no runner has as a label; `a || b` is either.
    const taken = tree.operator.lexeme === "&&" ? tree.args.slice(-1) : tree.args;
    return taken.flatMap((each) => valuesOf(each, lookup)).slice(0, most + 1);
  }
  if (tree instanceof FunctionCall) {
    if (tree.functionName.lexeme.toLowerCase() !== "fromjson") return [null];
    return valuesOf(tree.args[0]!, lookup).map((text) => (typeof text === "string" ? fromJson(text) : null));
  }
  const path = pathOf(tree);
  return path === null ? [null] : [...(lookup(path) ?? [null])];
}

function fromJson(text: string): Value {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "string") return value;
    if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
  } catch {
    // Then GitHub fails the job.
  }
  return null;
}

/** `matrix.os` as its names, in lower case; null where an index is no literal. */
function pathOf(tree: Expr): string[] | null {
  if (tree instanceof ContextAccess) return [tree.name.lexeme.toLowerCase()];
  if (!(tree instanceof IndexAccess) || !(tree.index instanceof Literal)) return null;
  const before = pathOf(tree.expr);
  return before === null ? null : [...before, tree.index.literal.coerceString()];
}

/** The parts of an expression that must all be true for it to be: those that `&&` joins at its top. */
export function conjuncts(tree: Expr): Expr[] {
  if (tree instanceof Grouping) return conjuncts(tree.group);
  if (tree instanceof Logical && tree.operator.lexeme === "&&") return tree.args.flatMap(conjuncts);
  return [tree];
}

export { pathOf };
