/** Reading policy files for commands, and showing what is wrong with them. */
import { readFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { problemsText } from "../policy/check.ts";
import type { PolicyProblems } from "../policy/load.ts";

/** A file's text, of standard input for `-`; a failure with its path where it cannot be read. */
export function readPolicyFile(file: string): string {
  try {
    // What stands behind /dev/stdin may be a socket, which cannot be opened by that name.
    return readFileSync(file === "-" || file === "/dev/stdin" ? 0 : file, "utf8");
  } catch (error) {
    throw new SallyportError("POLICY_UNREADABLE", `${file}: ${(error as Error).message}`, { file }, error);
  }
}

/** Problems of a file for people on stderr, or as JSON on stdout; the exit code is 2. */
export function showProblems({ problems }: PolicyProblems, text: string, asJson: boolean): void {
  if (asJson) console.log(JSON.stringify({ schema: "sallyport.problems/1", problems }));
  else console.error(problemsText(problems, text, "error"));
  process.exitCode = 2;
}
