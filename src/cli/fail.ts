/** How a failure is shown, and the exit code it means. */
import { SallyportError } from "../errors.ts";

/** Prints a failure for people; returns the exit code. */
export function fail(error: unknown): number {
  if (error instanceof SallyportError) {
    console.error(`sallyport: ${error.message}\n  ${error.help} (${error.code})`);
    return error.exitCode;
  }
  console.error(`sallyport: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  console.error("  This is a defect of ours; please report it with the text above. (INTERNAL)");
  return 1;
}
