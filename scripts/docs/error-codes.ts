/** `docs/error-codes.md`, from the table of errors. */
import { errorTable } from "../../src/errors.ts";

const exits: Record<number, string> = {
  1: "our failure, or a check that found something",
  2: "usage, or a policy that does not load",
  4: "enforcement could not be set up; nothing was run",
};

export function errorCodesPage(): string {
  const rows = Object.entries(errorTable).map(([code, { exit, help }]) => `| \`${code}\` | ${exit} | ${help} |`);
  const meanings = Object.entries(exits).map(([exit, meaning]) => `| ${exit} | ${meaning} |`);
  return `# Error codes

<!-- Generated from src/errors.ts by \`npm run docs\`. Edit that file instead. -->

Every failure that a user can cause has a code. The message says what happened, the help what to do next. Codes and exit
codes are stable: scripts may rely on them, not on the wording.

| code | exit | what to do |
|---|---|---|
${rows.join("\n")}

## Exit codes

| exit | meaning |
|---|---|
| 0 | fine; for \`sallyport run\`, the command's own exit code is passed on |
| ${meanings.slice(0, 2).join("\n").slice(2)}
| 3 | \`sallyport run --fail-on deny\`: something was refused |
${meanings.slice(2).join("\n")}
`;
}
