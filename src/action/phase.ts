/** What a phase of the action is given, and what one leaves for the next. */

export interface PhaseContext {
  env: NodeJS.ProcessEnv;
  /** The installer's file, in the folder of the bundles. */
  program: string;
  say: (line: string) => void;
}

/** State that `pre` leaves as soon as it begins: without what it leaves in the end, it failed. */
export const begun = "begun";

/** What `pre` leaves for `main` and `post`. */
export interface Started {
  enabled: boolean;
  socket: string;
  mode: "enforce" | "monitor";
  degraded: string[];
  failOn: string[];
  summary: "always" | "findings" | "never";
}
