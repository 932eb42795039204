/**
 * Whether SQL that somebody typed only reads the record. The statement is taken as DuckDB's own parser sees it: one SELECT, and
 * no table function in it but those that read nothing outside the statement.
 *
 * Needed besides the engine's lock (no files, no extensions, no settings), because that lock leaves holes: a SELECT from
 * `enable_logging` or `enable_profiling` makes DuckDB write files, `COPY` may write into its scratch directory, and both
 * pass under a locked configuration. So what may be called is a list, not what may not.
 */
import { SallyportError } from "../errors.ts";
import type { Engine } from "./engine.ts";
import { printable } from "../policy/wording.ts";

/** Table functions that only turn their arguments into rows. */
const harmless = new Set(["range", "generate_series", "unnest", "json_each", "json_tree"]);

/** Scalar functions with an effect beyond their value. */
const effective = new Set(["write_log", "setseed", "nextval", "set_config"]);

/** What DuckDB's parser makes of a text. */
interface Tree {
  error: boolean;
  error_type?: string;
  error_message?: string;
  statements?: unknown[];
}

/** Throws QUERY_INVALID for what does not parse or bind, and for what is more than a question. */
export async function checkSelect(engine: Engine, sql: string): Promise<void> {
  const [row] = await engine.rows("SELECT json_serialize_sql($1::VARCHAR)", [sql]);
  const tree = JSON.parse(String(row?.[0])) as Tree;
  if (tree.error) {
    const { error_message: why = "" } = tree;
    throw refused(tree.error_type === "not implemented" ? "Only a SELECT can be asked." : why);
  }
  const { length } = tree.statements ?? [];
  if (length !== 1) throw refused(`Ask one question at a time; these are ${length}.`);
  const called = callsIn(tree).find(({ name, isTable }) => (isTable ? !harmless.has(name) : effective.has(name)));
  if (called !== undefined) {
    const all = [...harmless].join(", ");
    throw refused(
      called.isTable
        ? `The table function ${called.name} cannot be used here, only ${all}.`
        : `The function ${called.name} cannot be used here.`,
    );
  }
  // After the walk: preparing binds the statement, and binding a table function may already touch what it names.
  const { count, isSelect } = await engine.kind(sql).catch((error: unknown) => {
    throw refused((error as Error).message);
  });
  if (count !== 1) throw refused(`Ask one question at a time; these are ${count}.`);
  if (!isSelect) throw refused("Only a SELECT can be asked.");
}

export function refused(why: string): SallyportError {
  return new SallyportError("QUERY_INVALID", `The SQL cannot be answered: ${shown(why)}`);
}

/** The engine's words, which may hold words of the record. */
export function shown(message: string): string {
  return message.trim().split("\n").map(printable).join("\n");
}

interface Call {
  name: string;
  isTable: boolean;
}

/** Every function that is called anywhere in the tree. Not recursive: a statement may be nested as deep as its author likes. */
function callsIn(tree: unknown): Call[] {
  const calls: Call[] = [];
  const todo: unknown[] = [tree];
  while (todo.length > 0) {
    const node = todo.pop();
    if (typeof node !== "object" || node === null) continue;
    const { type, function: called, function_name: name } = node as Record<string, unknown>;
    if (type === "TABLE_FUNCTION") calls.push({ name: nameOf(called), isTable: true });
    if (typeof name === "string") calls.push({ name: name.toLowerCase(), isTable: false });
    todo.push(...Object.values(node));
  }
  return calls;
}

function nameOf(called: unknown): string {
  const name = (called as Record<string, unknown> | null)?.["function_name"];
  return typeof name === "string" ? name.toLowerCase() : "(unknown)";
}
