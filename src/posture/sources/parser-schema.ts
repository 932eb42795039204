/** The schema of GitHub's workflow parser, from its own package: plain Node cannot import the JSON that it imports itself. */
import { readFileSync } from "node:fs";
import { validatorOf } from "../workflows/validate.ts";
import type { Validator } from "../workflows/validate.ts";

export function githubValidator(wholly = false): Validator {
  const file = new URL("workflow-v1.0.min.json", import.meta.resolve("@actions/workflow-parser"));
  return validatorOf(readFileSync(file, "utf8"), wholly);
}
