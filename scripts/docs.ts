/**
 * Writes the documents that say what the code already says: the policy reference and the JSON Schemas from the schemas the
 * loaders use, the reason codes, the error codes, the posture's rules, the simulator's techniques, the measured tables of the baseline. `--check` writes nothing and fails where a document is stale; `npm test`
 * runs it so. Called by `npm run docs`.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { withCalibration } from "./docs/calibration.ts";
import { errorCodesPage } from "./docs/error-codes.ts";
import { policyReferencePage, policySchemaFile } from "./docs/policy-reference.ts";
import { postureRulesPage } from "./docs/posture-rules.ts";
import { reasonCodesPage } from "./docs/reason-codes.ts";
import { techniquesPage } from "./docs/techniques.ts";
import { configJsonSchema } from "../src/config/schema.ts";
import { profiles, profileText } from "../src/presets/profiles.ts";

const pathOf = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const documents: Record<string, string> = {
  "docs/config.schema.json": `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
  "docs/baseline.md": withCalibration(readFileSync(pathOf("docs/baseline.md"), "utf8")),
  "docs/error-codes.md": errorCodesPage(),
  "docs/policy-reference.md": policyReferencePage(),
  "docs/policy.schema.json": policySchemaFile(),
  "docs/posture-rules.md": postureRulesPage(),
  "docs/reason-codes.md": reasonCodesPage(),
  "docs/techniques.md": techniquesPage(),
  ...Object.fromEntries(Object.keys(profiles).map((name) => [`profiles/${name}.yaml`, profileText(name)])),
};

const check = process.argv.includes("--check");
for (const [path, text] of Object.entries(documents)) {
  const file = pathOf(path);
  if (existsSync(file) && readFileSync(file, "utf8") === text) continue;
  if (check) {
    console.error(`${path} is stale: run \`npm run docs\` and commit it.`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, text);
    console.error(`${path} written`);
  }
}
