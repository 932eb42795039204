/** The process in a question to a policy: what was written of it, and what the source that was named asks for. */
import type { ProcessFacts } from "./decision.ts";
import { isProcessDefect, memberOfTerm, parseAction, parseExe, parseStep } from "./process.ts";
import type { ProcessTerm } from "./process.ts";

/** As written; null: not said, so not known. */
export interface AskedProcess {
  readonly step: string | null;
  readonly action: string | null;
  readonly exe: string | null;
}

/** Why a question about a process cannot be asked. */
export interface AskedProcessDefect {
  readonly part: keyof AskedProcess;
  readonly code: "bad_process";
  readonly message: string;
  readonly fix: string;
}

/** The asked process of options or keys; null where none of them was given. */
export function askedProcess(given: { [key in keyof AskedProcess]?: string | undefined }): AskedProcess | null {
  const { step = null, action = null, exe = null } = given;
  return step === null && action === null && exe === null ? null : { step, action, exe };
}

/** What is known of the process; null: nothing, as on a gateway. `term`: what the source asks that the question names. */
export function readProcess(
  asked: AskedProcess | null,
  term: ProcessTerm | null,
): ProcessFacts | null | AskedProcessDefect {
  const member = term === null ? null : memberOfTerm(term);
  if (asked === null) return member;
  const parsers = { step: parseStep, action: parseAction, exe: parseExe };
  for (const part of ["step", "action", "exe"] as const) {
    const text = asked[part];
    const parsed = text === null ? null : parsers[part](text);
    if (parsed === null || typeof parsed === "string") continue;
    if (isProcessDefect(parsed)) return { part, code: "bad_process", ...parsed };
    if (parsed.kind === "file") continue;
    const message = `“${text}” is a pattern; a question is about one executable`;
    return { part, code: "bad_process", message, fix: "Write one that it matches." };
  }
  return {
    step: asked.step ?? member?.step ?? null,
    action: asked.action ?? member?.action ?? null,
    exe: asked.exe ?? member?.exe ?? null,
    runner: false,
  };
}

/** What is known of a process in words: `step setup, exe /usr/bin/curl`; null where nothing is. */
export function processText(facts: Omit<ProcessFacts, "runner"> | null): string | null {
  if (facts === null) return null;
  const known = (["step", "action", "exe"] as const).filter((key) => facts[key] !== null);
  return known.length === 0 ? null : known.map((key) => `${key} ${facts[key]}`).join(", ");
}

/** What is known as a question would say it. */
export function askedView(facts: ProcessFacts | null): AskedProcess | null {
  return facts === null ? null : { step: facts.step, action: facts.action, exe: facts.exe };
}

/** The options of `policy explain` that say the same. */
export function processOptions(facts: Omit<ProcessFacts, "runner"> | null): [string, string][] {
  if (facts === null) return [];
  return (["step", "action", "exe"] as const).flatMap((key): [string, string][] => {
    const value = facts[key];
    return value === null ? [] : [[`--${key}`, value]];
  });
}
