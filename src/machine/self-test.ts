/**
 * The self-test from where the job is: our own process's packets are not looked at, so whoever started us, who is not in our cgroup,
 * tries the ways out, and the enforcer's own record says whether they held.
 */
import { SallyportError } from "../errors.ts";
import { selfTest, type SelfTestResult } from "../simulate/self-test.ts";

/** What the installer makes, as a line for the agent. */
export async function selfTestLine(record: string): Promise<string> {
  try {
    return JSON.stringify(await selfTest({ state: record }));
  } catch (error) {
    return JSON.stringify({ error: (error as Error).message });
  }
}

/** Such a line; undefined: none came. Throws ENFORCEMENT_LOST where the test itself could not be made. */
export function readResult(line: string | undefined): SelfTestResult {
  const fail = (why: string) => new SallyportError("ENFORCEMENT_LOST", `The self-test could not be made: ${why}.`);
  if (line === undefined) throw fail("whoever started the agent is gone");
  const result = JSON.parse(line) as SelfTestResult | { error: string };
  if ("error" in result) throw fail(result.error);
  return result;
}
