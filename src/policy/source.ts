/**
 * The sources of a policy file: those under `sources`, and the prefixes and processes that a rule's `from` writes out. Problems
 * are reported where they stand. Used by `resolve.ts`.
 */
import { formatCidr, isCidrDefect, parseCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import type { Document, Path } from "./document.ts";
import type { Source } from "./model.ts";
import { isProcessDefect, parseAction, parseExe, parseStep, termText } from "./process.ts";
import type { ProcessDefect, ProcessTerm } from "./process.ts";
import type { ProblemCode } from "./problem.ts";
import type { RawFrom, RawProcess, RawSource } from "./schema.ts";

/** How problems are told: by their code, the place, what is wrong and what to write. `key`: the key, not its value. */
export type Report = (code: ProblemCode, path: Path, message: string, fix: string, key?: boolean) => void;

/** Says that a name stands for nothing that is declared. */
export type ReportUnknown = (name: string, path: Path, candidates: Iterable<string>) => void;

/** The CI runner's own processes: whom an enforcer on the job's machine makes permits for. No file can name them. */
export const runnerSource: Source = inline({
  name: "the runner itself",
  subnets: null,
  process: { steps: null, actions: null, exes: null, runner: true },
});

export class Sources {
  readonly #document: Document;
  readonly #report: Report;
  readonly #unknown: ReportUnknown;
  readonly #declared = new Map<string, Source>();
  readonly #inline = new Map<string, Source>();
  readonly #processes = new Map<string, Source>();

  constructor(document: Document, report: Report, unknown: ReportUnknown) {
    this.#document = document;
    this.#report = report;
    this.#unknown = unknown;
  }

  /** Those declared, in order. */
  get declared(): Source[] {
    return [...this.#declared.values()];
  }

  declare(name: string, raw: RawSource): void {
    const path = ["sources", name];
    if (!isCidrDefect(parseCidr(name))) {
      // `from: 10.1.0.1` would mean whoever is under the name, and not the address that a reader sees.
      this.#report("bad_name", path, `the source “${name}” is named like an address`, "Name it in words.", true);
    }
    for (const key of ["tags", "github", "kubernetes"] as const) {
      if (raw[key] === undefined) continue;
      const message = `sources by ${key} are not in this version`;
      this.#report("not_in_version", [...path, key], message, "Use subnets.", true);
    }
    const subnets = raw.subnets === undefined ? null : this.#subnets(raw.subnets, [...path, "subnets"]);
    const process = raw.process === undefined ? null : this.#term(raw.process, [...path, "process"]);
    if (Object.keys(raw).length === 0) {
      this.#report("empty", path, `the source ${name} holds nobody`, "Add subnets: [10.20.1.0/24].", true);
    }
    const { line, column } = this.#document.place(path, true);
    // Never the widest for want of something that can be read.
    const isAnywhere = subnets === null && process !== null;
    this.#declared.set(name, {
      name,
      declared: true,
      subnets: isAnywhere ? null : (subnets ?? []),
      process,
      line,
      column,
    });
  }

  /** The sources of `default.enforce_for`, which are told by their addresses alone. */
  enforceFor(names: readonly string[], path: Path): Source[] {
    return names.flatMap((name, i) => {
      const source = this.#declared.get(name);
      if (source === undefined) {
        this.#unknown(name, [...path, i], this.#declared.keys());
        return [];
      }
      if (source.process !== null) {
        const message = `“${name}” asks for a process, and the default is enforced by address`;
        this.#report("bad_process", [...path, i], message, "Name a source that has subnets alone.");
      }
      return [source];
    });
  }

  /** The sources of a rule; null: every source. */
  from(raw: RawFrom | undefined, path: Path): readonly Source[] | null {
    if (raw === undefined) return null;
    const out: Source[] = [];
    for (const [i, each] of (Array.isArray(raw) ? raw : [raw]).entries()) {
      const at = Array.isArray(raw) ? [...path, i] : path;
      const source = typeof each === "string" ? this.#named(each, at) : this.#inlineProcess(each.process, at);
      if (source !== null && !out.includes(source)) out.push(source);
    }
    return out;
  }

  #subnets(texts: readonly string[], path: Path): Cidr[] {
    return texts.flatMap((text, i) => {
      const cidr = parseCidr(text);
      if (!isCidrDefect(cidr)) return [cidr];
      this.#report("bad_cidr", [...path, i], cidr.message, cidr.fix);
      return [];
    });
  }

  #named(text: string, path: Path): Source | null {
    const known = this.#declared.get(text) ?? this.#inline.get(text);
    if (known !== undefined) return known;
    const cidr = parseCidr(text);
    if (isCidrDefect(cidr)) {
      if (/^[0-9a-fA-F]*[.:][0-9a-fA-F.:]*(\/.*)?$/.test(text)) this.#report("bad_cidr", path, cidr.message, cidr.fix);
      else this.#unknown(text, path, this.#declared.keys());
      return null;
    }
    const source = inline({ name: formatCidr(cidr), subnets: [cidr], process: null });
    this.#inline.set(text, source);
    return source;
  }

  #inlineProcess(raw: RawProcess, path: Path): Source | null {
    const process = this.#term(raw, [...path, "process"]);
    if (process === null) return null;
    const key = JSON.stringify(process);
    const known = this.#processes.get(key);
    if (known !== undefined) return known;
    const source = inline({ name: `process (${termText(process)})`, subnets: null, process });
    this.#processes.set(key, source);
    return source;
  }

  /** Null, with a problem, where it asks for nothing that can be read. */
  #term(raw: RawProcess, path: Path): ProcessTerm | null {
    if (Object.keys(raw).length === 0) {
      this.#report("empty", path, "the process is asked for nothing", "Add step, action or exe.", true);
      return null;
    }
    const steps = this.#list(raw.step, [...path, "step"], parseStep);
    const actions = this.#list(raw.action, [...path, "action"], parseAction);
    const exes = this.#list(raw.exe, [...path, "exe"], parseExe);
    return steps === undefined || actions === undefined || exes === undefined
      ? null
      : { steps, actions, exes, runner: false };
  }

  /** Null: nothing is asked. Undefined, with problems, where a text is none of its kind. */
  #list<T extends string | object>(
    raw: string | readonly string[] | undefined,
    path: Path,
    parse: (text: string) => T | ProcessDefect,
  ): T[] | null | undefined {
    if (raw === undefined) return null;
    const out: T[] = [];
    let isWhole = true;
    for (const [i, text] of (typeof raw === "string" ? [raw] : raw).entries()) {
      const parsed = parse(text);
      if (isProcessDefect(parsed)) {
        isWhole = false;
        this.#report("bad_process", typeof raw === "string" ? path : [...path, i], parsed.message, parsed.fix);
      } else out.push(parsed);
    }
    return isWhole ? out : undefined;
  }
}

function inline(parts: Pick<Source, "name" | "subnets" | "process">): Source {
  return { ...parts, declared: false, line: 0, column: 0 };
}
