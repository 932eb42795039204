/**
 * The processes that have to be looked at to compare two policies: for every set of processes that no rule of either tells
 * apart, one that speaks for all. Steps, actions and executables are those that are mentioned, one that is not, and one that is
 * not known. Two patterns of executables are one inside of the other or have nothing in common, so a name that only the one
 * has is enough for each. Denials of the runner itself are not foreseen: only permits ask for it.
 */
import type { ProcessFacts } from "./decision.ts";
import type { Rule } from "./model.ts";
import { exeOf, meetsProcess } from "./process.ts";
import type { ExePattern, ProcessTerm } from "./process.ts";

/** Processes that both policies treat alike; facts null: any, because no rule asks. */
export interface ProcessClass {
  readonly facts: ProcessFacts | null;
  /** For people; empty where no rule asks for a process. */
  readonly label: string;
}

/** Combinations that are tried at most. */
const maxTried = 50_000;
const unknownLabel = "a process that is not known";

/** What one thing about a process can be. */
interface Value {
  /** Null: not known. */
  readonly value: string | null;
  /** Null: one that no rule mentions. */
  readonly label: string | null;
}

const unasked: readonly Value[] = [{ value: null, label: null }];
const letters = "qzjkvwxyubcdfghlmnprstaeio0123456789~^%@+=";

/** The classes for the rules of both policies, `limit` at most; `isCut`: there may be more. */
export function processClasses(
  rules: readonly Rule[],
  limit: number,
): { classes: readonly ProcessClass[]; isCut: boolean } {
  const terms = termsOf(rules);
  if (terms.length === 0) return { classes: [{ facts: null, label: "" }], isCut: false };
  const { combinations, isCut } = combinationsOf(terms.map(({ term }) => term));
  const classes = new Map<string, ProcessClass>();
  const taken = new Set<string>();
  for (const { facts, label } of combinations) {
    const key = terms.map(({ term, isAllow }) => Number(meetsProcess(term, isAllow, facts))).join("");
    if (classes.has(key)) continue;
    if (classes.size >= limit) return { classes: [...classes.values()], isCut: true };
    const unique = unmentioned(taken, label);
    taken.add(unique);
    classes.set(key, { facts, label: unique });
  }
  return { classes: [...classes.values()], isCut };
}

/** What rules ask, each once for allow rules and once for deny rules: these meet what is not known. */
function termsOf(rules: readonly Rule[]): { term: ProcessTerm; isAllow: boolean }[] {
  const found = new Map<string, { term: ProcessTerm; isAllow: boolean }>();
  for (const { from, action } of rules) {
    for (const { process: term } of from ?? []) {
      if (term !== null) found.set(`${action} ${JSON.stringify(term)}`, { term, isAllow: action === "allow" });
    }
  }
  return [...found.values()];
}

/** Those that mention least come first: where the list is cut, each thing mentioned has been looked at by itself. */
function combinationsOf(terms: readonly ProcessTerm[]): { combinations: ProcessClass[]; isCut: boolean } {
  const steps = new Set(terms.flatMap((term) => term.steps ?? []));
  const actions = new Set(terms.flatMap((term) => term.actions ?? []));
  const exes = new Map(terms.flatMap((term) => term.exes ?? []).map((exe) => [exe.text, exe]));
  // Whether an action is not known or none there is hangs on the step.
  const isStepAsked = steps.size + actions.size > 0;
  const values = {
    step: isStepAsked ? valuesOf("step", [...steps], unmentioned(steps, "other")) : unasked,
    action: actions.size > 0 ? valuesOf("action", [...actions], unmentioned(actions, "other/other")) : unasked,
    exe: exes.size > 0 ? exeValues([...exes.values()]) : unasked,
  };
  const runners = terms.some(({ runner }) => runner) ? [false, true] : [false];
  const tried: { facts: ProcessFacts; labels: (string | null)[]; said: number }[] = [];
  let isCut = false;
  for (const runner of runners) {
    for (const step of values.step) {
      for (const action of values.action) {
        for (const exe of values.exe) {
          if (tried.length >= maxTried) {
            isCut = true;
            continue;
          }
          const parts = [step, action, exe];
          const said = parts.filter(({ value, label }) => value !== null && label !== null).length;
          const facts = { step: step.value, action: action.value, exe: exe.value, runner };
          const labels = [runner ? "the runner itself" : null, ...parts.map(({ label }) => label)];
          tried.push({ facts, labels, said });
        }
      }
    }
  }
  const combinations = tried
    .toSorted((a, b) => a.said - b.said)
    .map(({ facts, labels }) => ({ facts, label: labelOf(facts, labels) }));
  return { combinations, isCut };
}

function labelOf({ step, action, exe, runner }: ProcessFacts, labels: readonly (string | null)[]): string {
  if (step === null && action === null && exe === null && !runner) return unknownLabel;
  const said = labels.filter((label) => label !== null);
  return said.length === 0 ? "every other process" : said.join(" & ");
}

function valuesOf(what: string, mentioned: readonly string[], other: string): Value[] {
  return [
    { value: other, label: null },
    ...mentioned.map((value) => ({ value, label: `${what} ${value}` })),
    { value: null, label: `${what} not known` },
  ];
}

function exeValues(patterns: readonly ExePattern[]): Value[] {
  // What no path has in it cannot make one pattern's own executable another's by accident.
  const used = new Set(patterns.flatMap(({ path }) => [...path]));
  const fill = [...letters].find((letter) => !used.has(letter)) ?? "q".repeat(1000);
  return [
    { value: `/${fill}/${fill}/${fill}`, label: null },
    ...patterns.map((pattern) => ({
      value: exeOf(pattern, pattern.kind === "tree" ? `${fill}/${fill}` : fill),
      label: `exe ${pattern.text}`,
    })),
    { value: null, label: "exe not known" },
  ];
}

function unmentioned(taken: ReadonlySet<string>, wanted: string): string {
  let value = wanted;
  while (taken.has(value)) value += "_";
  return value;
}
