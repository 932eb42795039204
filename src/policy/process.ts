/**
 * Who on a machine: what a source asks of the process behind a connection (`process: { step, action, exe }`), and whether a
 * process is such a one. Only an enforcer on the job's own machine knows processes; to a gateway all of them are unknown.
 *
 * Matching is as strict or as liberal as the rule's action wants it (ADR 0003): an allow rule takes what is known and equal, a
 * deny rule also what is not known. Of a process whose step is known everything about the step is: no action then means
 * that it has none. The runner itself is in no step.
 */
import type { ProcessFacts } from "./decision.ts";

/** What the executable must be: one file, files of one folder by the beginning of their names, or all below a folder. */
export interface ExePattern {
  readonly kind: "file" | "files" | "tree";
  /** The path, without the star. */
  readonly path: string;
  readonly text: string;
}

/** What a source asks of a process. Null: nothing; one of a list must hold, and every list. */
export interface ProcessTerm {
  readonly steps: readonly string[] | null;
  /** Repositories of actions, in lower case. */
  readonly actions: readonly string[] | null;
  readonly exes: readonly ExePattern[] | null;
  /** The runner's own processes, which are in no step. Never written in files: for permits that an enforcer makes itself. */
  readonly runner: boolean;
  /** Services of the machine itself. Never written in files either. */
  readonly system?: boolean;
}

/** Why a text is no step, action or executable. */
export interface ProcessDefect {
  readonly message: string;
  readonly fix: string;
}

/** True for the failure arm of the parsers. */
export function isProcessDefect(value: string | object): value is ProcessDefect {
  return typeof value !== "string" && "message" in value;
}

/** How long a path can be (Linux, PATH_MAX without its end), and a step's or an action's name. */
const maxPath = 4095;
const maxName = 200;
const invisible = /[\p{Cc}\p{Cf}\u2028\u2029]/u;

/** A step: its `id`, or the name that the runner gives it. Compared as it is. */
export function parseStep(text: string): string | ProcessDefect {
  if (text === "" || text.trim() !== text || text.length > maxName || invisible.test(text)) {
    const message = `“${text}” is no step: it is empty, over ${maxName} characters, or has invisible characters or outer spaces`;
    return { message, fix: "Write the step's id." };
  }
  if (text.includes("*")) {
    return { message: `“${text}” has a star, and steps are compared whole`, fix: "Write the steps as a list." };
  }
  return text;
}

/** An action's repository, `owner/name`; GitHub does not tell upper from lower case. */
export function parseAction(text: string): string | ProcessDefect {
  if (text.length <= maxName && /^[\w.-]*\w[\w.-]*\/[\w.-]*\w[\w.-]*$/.test(text)) return text.toLowerCase();
  const [repository] = text.split("@");
  if (text.startsWith(".")) {
    return { message: `“${text}” is an action without a repository of its own`, fix: "Ask for its step instead." };
  }
  const parts = repository!.split("/");
  const fix = `Write ${parts.length > 1 && parts[0] !== "" && parts[1] !== "" && !/[^\w.-]/.test(parts[0]! + parts[1]!) ? `${parts[0]}/${parts[1]}` : "owner/name"}.`;
  if (text.includes("@")) {
    return { message: `“${text}” says a version; which one runs is the workflow's to pin`, fix };
  }
  return { message: `“${text}” is not an action's repository`, fix };
}

/** An absolute path; at its end `*` stands for the rest of a file's name, and `/**` for everything below a folder. */
export function parseExe(text: string): ExePattern | ProcessDefect {
  const bad = (message: string, fix: string): ProcessDefect => ({ message: `“${text}” ${message}`, fix });
  if (text.length > maxPath || invisible.test(text)) {
    return bad(`is over ${maxPath} characters or has invisible ones`, "Write the executable's path.");
  }
  if (!text.startsWith("/")) return bad("is not an absolute path", "Write it from the root on: /usr/bin/curl.");
  const kind = text.endsWith("/**") ? "tree" : text.endsWith("*") ? "files" : "file";
  const path = kind === "tree" ? text.slice(0, -2) : kind === "files" ? text.slice(0, -1) : text;
  if (path.includes("*")) {
    return bad("has a star that is not at its end", "Write /folder/** for everything below, or /folder/name*.");
  }
  if (kind === "tree" && path === "/") return bad("is every executable", "Leave exe out, or write a folder.");
  const parts = path.slice(1).split("/");
  const last = parts.pop()!;
  if (kind === "file" && last === "") return bad("is a folder", "Write /folder/** for everything below it.");
  if (parts.includes("") || [...parts, last].some((part) => part === "." || part === "..")) {
    return bad("is not a plain path", "Write it without //, /./ and /../, as the kernel says it.");
  }
  return { kind, path, text };
}

/** True where the executable is one that the pattern means. */
export function matchesExe({ kind, path }: ExePattern, exe: string): boolean {
  if (kind === "file") return exe === path;
  if (!exe.startsWith(path)) return false;
  return kind === "tree" ? exe.length > path.length : !exe.includes("/", path.length);
}

/** True where a rule with the term is for the process. `isAllow`: the rule's action. */
export function meetsProcess(term: ProcessTerm, isAllow: boolean, facts: ProcessFacts | null): boolean {
  if (facts === null) return !isAllow;
  const { step, action, exe, runner } = facts;
  if ((term.runner && !runner) || (term.system === true && facts.system !== true)) return false;
  if (term.steps !== null && !(step === null ? !isAllow && !runner : term.steps.includes(step))) return false;
  if (term.actions !== null) {
    const isUnknown = action === null && step === null && !runner;
    if (isUnknown ? isAllow : action === null || !term.actions.includes(action.toLowerCase())) return false;
  }
  return term.exes === null || (exe === null ? !isAllow : term.exes.some((pattern) => matchesExe(pattern, exe)));
}

/** True where every process that `inner` is for, known or not, is one that `outer` is for under the same action. */
export function coversTerm(outer: ProcessTerm, inner: ProcessTerm): boolean {
  if ((outer.runner && !inner.runner) || (outer.system === true && inner.system !== true)) return false;
  return (
    holdsAll(outer.steps, inner.steps, (a, b) => a === b) &&
    holdsAll(outer.actions, inner.actions, (a, b) => a === b) &&
    holdsAll(outer.exes, inner.exes, coversExe)
  );
}

function holdsAll<T>(outer: readonly T[] | null, inner: readonly T[] | null, covers: (a: T, b: T) => boolean): boolean {
  if (outer === null) return true;
  return inner !== null && inner.every((b) => outer.some((a) => covers(a, b)));
}

/** True where every executable of `b` is one of `a`. */
function coversExe(a: ExePattern, b: ExePattern): boolean {
  if (b.kind === "file") return matchesExe(a, b.path);
  if (a.kind === "file" || !b.path.startsWith(a.path)) return false;
  if (a.kind === "tree") return true;
  return b.kind === "files" && !b.path.includes("/", a.path.length);
}

/** The term in words: `step setup and exe /usr/bin/curl`, `step a or b`. */
export function termText({ steps, actions, exes, runner }: ProcessTerm): string {
  const said = (what: string, list: readonly string[] | null) =>
    list === null ? [] : [`${what} ${list.join(" or ")}`];
  const parts = [...said("step", steps), ...said("action", actions), ...said("exe", exes?.map((e) => e.text) ?? null)];
  return [...(runner ? ["the runner itself"] : []), ...parts].join(" and ");
}

/** A process that the term is for, of which nothing else is known. */
export function memberOfTerm({ steps, actions, exes, runner }: ProcessTerm): ProcessFacts {
  const pattern = exes?.[0];
  const exe = pattern === undefined ? null : exeOf(pattern, "program");
  return { step: steps?.[0] ?? null, action: actions?.[0] ?? null, exe, runner };
}

/** An executable of the pattern whose free part is `fill`. */
export function exeOf({ kind, path }: ExePattern, fill: string): string {
  return kind === "file" ? path : path + fill;
}
