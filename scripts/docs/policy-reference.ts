/** `docs/policy-reference.md` and `docs/policy.schema.json`, from the schema that loads policies. */
import { policyJsonSchema } from "../../src/policy/schema.ts";
import { schemaTables } from "./json-schema.ts";

/** The schema for editors. */
export function policySchemaFile(): string {
  return `${JSON.stringify(policyJsonSchema(), null, 2)}\n`;
}

export function policyReferencePage(): string {
  return `# Policy reference

<!-- Generated from src/policy/schema.ts by \`npm run docs\`. Edit that file instead. -->

Every key of a policy file. How rules are evaluated and what endpoints look like is told in [policy.md](policy.md).
Editors that read JSON Schema complete and check a policy that starts with
\`# yaml-language-server: $schema=policy.schema.json\` (the path to [policy.schema.json](policy.schema.json)).
Keys that are not listed here are errors.

${schemaTables(policyJsonSchema())}
`;
}
