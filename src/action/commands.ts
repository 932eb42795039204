/**
 * What the runner listens to: workflow commands on standard output, and the files that GITHUB_OUTPUT, GITHUB_STATE and
 * GITHUB_STEP_SUMMARY name. The formats are the runner's (docs.github.com, "Workflow commands"); a value that could end its
 * own field would be somebody else's command, so everything is escaped as GitHub's toolkit does, and a test compares.
 */
import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";

/** Where an annotation points to in the list of a run. */
export interface AnnotationPlace {
  title?: string;
  file?: string;
  line?: number;
}

export type AnnotationLevel = "error" | "warning" | "notice";

/** An annotation of the run, as a line for standard output. */
export function annotation(level: AnnotationLevel, message: string, place: AnnotationPlace = {}): string {
  const properties = Object.entries(place).map(([key, value]) => `${key}=${property(String(value))}`);
  return `::${level}${properties.length === 0 ? "" : ` ${properties.join(",")}`}::${data(message)}`;
}

/** Opens a fold of the log; {@link endGroup} closes it. */
export function group(title: string): string {
  return `::group::${data(title)}`;
}

export const endGroup = "::endgroup::";

/**
 * One `name=value` for a file of the runner's. The delimiter is drawn anew each time; a value that holds it would be an
 * attempt to write another name.
 */
export function fileCommand(name: string, value: string, delimiter = `ghadelimiter_${randomUUID()}`): string {
  if (name.includes(delimiter) || value.includes(delimiter)) throw new Error("a value holds the delimiter around it");
  return `${name}<<${delimiter}\n${value}\n${delimiter}\n`;
}

/** The runner's files, by the variable that names each. */
export class RunnerFiles {
  readonly #env: NodeJS.ProcessEnv;

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  /** An output of the action: what `steps.<id>.outputs.<name>` is. */
  output(name: string, value: string): void {
    this.#append("GITHUB_OUTPUT", fileCommand(name, value));
  }

  /** Something a later phase of this action finds again, see {@link savedState}. */
  state(name: string, value: string): void {
    this.#append("GITHUB_STATE", fileCommand(name, value));
  }

  /** Markdown for the summary of the job, with a line break at its end. */
  summary(markdown: string): void {
    this.#append("GITHUB_STEP_SUMMARY", markdown);
  }

  /** A runner that has no such file is older than any we know, or no runner: nothing to tell it then. */
  #append(variable: string, text: string): void {
    const file = this.#env[variable];
    if (file !== undefined && file !== "") appendFileSync(file, text);
  }
}

/**
 * A line as it may stand in the log. The runner takes `##[…]` for a command wherever it stands in a line, unless the line begins with
 * one of the form `::…::` (runner, ActionCommand.cs); and what breaks a line or turns its direction is shown by its number.
 */
export function logLine(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
  return line.replaceAll("##[", "## [");
}

/** What an earlier phase saved; empty where it saved nothing. */
export function savedState(env: NodeJS.ProcessEnv, name: string): string {
  return env[`STATE_${name}`] ?? "";
}

function data(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function property(text: string): string {
  return data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
