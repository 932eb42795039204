/** The files that a job's policy is made of, asked for all at once and as soon as it is known which. */
import { fetchFile } from "./contents.ts";
import type { JobContext } from "./event.ts";
import { type Inputs, usualPolicy } from "./inputs.ts";

/** Each resolves with a text, or null where there is no such file. */
export interface PolicyFiles {
  /** The trusted ref's. */
  trusted: Promise<string | null>;
  /** What a pull request makes of it; null where nothing is proposed. */
  proposed: Promise<string | null> | null;
}

/** What cannot be had rejects with POLICY_UNREADABLE when somebody waits for it. */
export function policyFiles(inputs: Pick<Inputs, "policy" | "token">, context: JobContext): PolicyFiles {
  const path = inputs.policy ?? usualPolicy;
  const { api, trusted, proposed } = context;
  const ask = (ref: typeof trusted) => {
    const text = fetchFile(api, ref, path, inputs.token);
    text.catch(() => {});
    return text;
  };
  return { trusted: ask(trusted), proposed: proposed === null ? null : ask(proposed) };
}
