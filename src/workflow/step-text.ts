/** The step as text: what `workflow add` puts first in a job. */
import { yamlText } from "../policy/wording.ts";
import type { StepWanted } from "./options.ts";

/** `sallyport/sallyport@… # v1`. */
export function usesText({ repository, ref, comment }: StepWanted): string {
  return `${repository}@${ref}${comment === null ? "" : ` # ${comment}`}`;
}

/** The whole step, its dash behind `indent`. */
export function stepText(wanted: StepWanted, indent: string, eol: string): string {
  const lines = [
    `- uses: ${usesText(wanted)}`,
    "  with:",
    `    egress-policy: ${wanted.mode ?? "audit"}`,
    ...(wanted.policy === null ? [] : [`    policy: ${yamlText(wanted.policy)}`]),
  ];
  return lines.map((line) => `${indent}${line}${eol}`).join("");
}
