/**
 * A JSON Schema (draft 2020-12, as our schema library writes it) as tables for people: one section for each kind of
 * object, one row for each key.
 */

export interface JsonSchema {
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  description?: string;
  default?: unknown;
  examples?: unknown[];
  pattern?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  minimum?: number;
  maximum?: number;
}

interface Section {
  /** How the object is reached: `rules[]`, `sources.<name>`. */
  path: string;
  schema: JsonSchema;
}

/** Markdown: a heading and a table for every kind of object in the schema, breadth first. */
export function schemaTables(root: JsonSchema): string {
  const sections: Section[] = [{ path: "", schema: root }];
  // `sections` grows while it is walked: a table adds the objects that its rows mention.
  for (const { path, schema } of sections) {
    for (const [key, value] of Object.entries(schema.properties ?? {})) {
      sections.push(...objectsIn(value, path === "" ? key : `${path}.${key}`, root));
    }
    if (sections.length > 1000) throw new Error("the schema is recursive; it cannot be written out as tables");
  }

  // Objects of one shape share a section, whatever their paths; shapes that one path may take follow each other.
  const byShape = Map.groupBy(sections, ({ schema }) => JSON.stringify(schema));
  const byPaths = Map.groupBy(byShape.values(), (same) => [...new Set(same.map(({ path }) => path))].join("` and `"));
  return [...byPaths]
    .map(([paths, shapes]) => {
      const tables = shapes.map((same) => table(same[0]!.schema, root, paths !== ""));
      return `## ${paths === "" ? "The file" : `\`${paths}\``}\n\n${tables.join("\n\nOr:\n\n")}`;
    })
    .join("\n\n");
}

function table(schema: JsonSchema, root: JsonSchema, described: boolean): string {
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(([key, value]) => {
    const cells = [`\`${key}\``, typeText(value, root), presence(value, required.has(key)), meaning(value, root)];
    return `| ${cells.map(cell).join(" | ")} |`;
  });
  const intro = described && schema.description ? `${schema.description}\n\n` : "";
  return `${intro}| key | type | | meaning |\n|---|---|---|---|\n${rows.join("\n")}`;
}

function follow(schema: JsonSchema, root: JsonSchema): JsonSchema {
  if (schema.$ref === undefined) return schema;
  if (schema.$ref === "#") return root;
  const target = root.$defs?.[schema.$ref.replace("#/$defs/", "")];
  if (target === undefined) throw new Error(`the schema refers to ${schema.$ref}, which it does not hold`);
  return follow(target, root);
}

const alternatives = (schema: JsonSchema) => schema.anyOf ?? schema.oneOf ?? schema.allOf;

/** The objects with keys of their own inside a value, with their paths. */
function objectsIn(value: JsonSchema, path: string, root: JsonSchema): Section[] {
  const schema = follow(value, root);
  if (schema.properties) return [{ path, schema }];
  const found: Section[] = [];
  for (const option of alternatives(schema) ?? []) found.push(...objectsIn(option, path, root));
  if (schema.items) found.push(...objectsIn(schema.items, `${path}[]`, root));
  if (typeof schema.additionalProperties === "object") {
    found.push(...objectsIn(schema.additionalProperties, `${path}.<name>`, root));
  }
  return found;
}

function typeText(value: JsonSchema, root: JsonSchema): string {
  const schema = follow(value, root);
  const options = alternatives(schema);
  if (options) return [...new Set(options.map((option) => typeText(option, root)))].join(" or ");
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum) return schema.enum.map((option) => `\`${String(option)}\``).join(", ");
  if (schema.items) return `list of ${typeText(schema.items, root)}`;
  if (schema.properties) return "object";
  if (typeof schema.additionalProperties === "object") {
    return `map of name to ${typeText(schema.additionalProperties, root)}`;
  }
  const type = [schema.type ?? "any"].flat().join(" or ");
  if (schema.minimum !== undefined && schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER) {
    return `${type} (${schema.minimum} to ${schema.maximum})`;
  }
  return type;
}

function presence(schema: JsonSchema, required: boolean): string {
  if (schema.default !== undefined) return `default \`${JSON.stringify(schema.default)}\``;
  return required ? "required" : "";
}

function meaning(value: JsonSchema, root: JsonSchema): string {
  return value.description ?? follow(value, root).description ?? "";
}

/** Text that may stand in a table's cell. */
const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll(/\s*\n\s*/g, " ");
