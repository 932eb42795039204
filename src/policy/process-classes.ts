/**
 * The processes that have to be looked at to compare two policies: for every set of processes that no rule of either tells
 * apart, one that speaks for all; and how sets of them are called. Steps, actions and executables are those that are
 * mentioned, one that is not, and one that is not known. Two patterns of executables are one inside of the other or have
 * nothing in common, so a path that only the one has is enough for each. Denials of the runner itself are not foreseen: only
 * permits ask for it.
 */
import type { ProcessFacts } from "./decision.ts";
import type { Rule } from "./model.ts";
import { exeOf, meetsProcess } from "./process.ts";
import type { ExePattern, ProcessTerm } from "./process.ts";

/** Processes that both policies treat alike; facts null: any, because no rule asks. */
export interface ProcessClass {
  readonly facts: ProcessFacts | null;
  /** For people; empty where no rule asks for a process. No two classes have the same. */
  readonly label: string;
}

/** The classes of two policies. */
export interface Processes {
  readonly classes: readonly ProcessClass[];
  /** There may be more. */
  readonly isCut: boolean;
  /** Calls a set of classes, given by their labels, in as few words as it takes. */
  readonly describe: (labels: ReadonlySet<string>) => string[];
}

/** Combinations that are tried at most. */
const maxTried = 50_000;
/** With more combinations than this the classes are listed rather than described. */
const maxDescribed = 2_000;
const unknownLabel = "a process that is not known";

/** What one thing about a process can be. */
interface Value {
  /** Null: not known. */
  readonly value: string | null;
  /** As a mentioned thing is called; null for one that no rule mentions. */
  readonly label: string | null;
  readonly words: string;
}

/** One value of each thing: whether it is the runner, step, action, executable. */
type Combination = readonly Value[];

const letters = "qzjkvwxyubcdfghlmnprstaeio0123456789~^%@+=".split("");
const unasked: readonly Value[] = [{ value: null, label: null, words: "" }];

/** The classes for the rules of both policies, `limit` at most. */
export function processClasses(rules: readonly Rule[], limit: number): Processes {
  const terms = termsOf(rules);
  if (terms.length === 0) return { classes: [{ facts: null, label: "" }], isCut: false, describe: () => [] };
  const things = thingsOf(terms.map(({ term }) => term));
  // Those that mention least come first: where the list is cut, each thing mentioned has been looked at by itself.
  const all = combinationsOf(things, maxTried);
  const tried = all.toSorted((a, b) => mentions(a) - mentions(b));
  const classes = new Map<string, ProcessClass>();
  const taken = new Set<string>();
  const labels = new Map<string, string>();
  const paths = terms.flatMap(({ term }) => term.exes ?? []).map(({ path }) => path);
  let isCut = tried.length >= maxTried || freeLetter(paths) === null;
  for (const combination of tried) {
    const facts = factsOf(combination);
    const key = terms.map(({ term, isAllow }) => Number(meetsProcess(term, isAllow, facts))).join("");
    let known = classes.get(key);
    if (known === undefined && classes.size < limit) {
      const label = unmentioned(taken, labelOf(combination));
      taken.add(label);
      classes.set(key, (known = { facts, label }));
    }
    if (known === undefined) isCut = true;
    else labels.set(keyOf(combination), known.label);
  }
  const found = [...classes.values()];
  const labelAt = (combination: Combination) => labels.get(keyOf(combination)) ?? null;
  const isKnown = !isCut && tried.length <= maxDescribed;
  const described = new Map<string, string[]>();
  return {
    classes: found,
    isCut,
    describe: (some) => {
      const key = JSON.stringify([...some].toSorted());
      let words = described.get(key);
      if (words === undefined) described.set(key, (words = describe(some, found, things, isKnown ? labelAt : null)));
      return words;
    },
  };
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

function thingsOf(terms: readonly ProcessTerm[]): (readonly Value[])[] {
  const steps = new Set(terms.flatMap((term) => term.steps ?? []));
  const actions = new Set(terms.flatMap((term) => term.actions ?? []));
  const exes = new Map(terms.flatMap((term) => term.exes ?? []).map((exe) => [exe.text, exe]));
  // Whether an action is not known or none there is hangs on the step.
  const isStepAsked = steps.size + actions.size > 0;
  const runner: Value = { value: "runner", label: "the runner itself", words: "the runner itself" };
  return [
    terms.some((term) => term.runner)
      ? [{ value: null, label: null, words: "not the runner itself" }, runner]
      : unasked,
    isStepAsked ? valuesOf("step", [...steps], unmentioned(steps, "other")) : unasked,
    actions.size > 0 ? valuesOf("action", [...actions], unmentioned(actions, "other/other")) : unasked,
    exes.size > 0 ? exeValues([...exes.values()]) : unasked,
  ];
}

function valuesOf(what: string, mentioned: readonly string[], other: string): Value[] {
  return [
    { value: other, label: null, words: `another ${what}` },
    ...mentioned.map((value) => ({ value, label: `${what} ${value}`, words: `${what} ${value}` })),
    { value: null, label: `${what} not known`, words: `${what} not known` },
  ];
}

function exeValues(patterns: readonly ExePattern[]): Value[] {
  const fill = freeLetter(patterns.map(({ path }) => path)) ?? "q".repeat(1000);
  return [
    { value: `/${fill}/${fill}/${fill}`, label: null, words: "another exe" },
    ...patterns.map((pattern) => ({
      value: exeOf(pattern, pattern.kind === "tree" ? `${fill}/${fill}` : fill),
      label: `exe ${pattern.text}`,
      words: `exe ${pattern.text}`,
    })),
    { value: null, label: "exe not known", words: "exe not known" },
  ];
}

/** What no path has in it cannot make one pattern's own executable another's by accident. */
function freeLetter(paths: readonly string[]): string | null {
  return letters.find((letter) => paths.every((path) => !path.includes(letter))) ?? null;
}

function combinationsOf(things: readonly (readonly Value[])[], most: number): Combination[] {
  return things.reduce<Combination[]>(
    (rows, values) => rows.flatMap((row) => values.map((value) => [...row, value])).slice(0, most),
    [[]],
  );
}

function factsOf([runner, step, action, exe]: Combination): ProcessFacts {
  return { step: step!.value, action: action!.value, exe: exe!.value, runner: runner!.value !== null };
}

/** The same for the same values. */
function keyOf(combination: Combination): string {
  return JSON.stringify(combination.map(({ value }) => value));
}

function mentions(combination: Combination): number {
  return combination.filter(({ value, label }) => value !== null && label !== null).length;
}

function labelOf(combination: Combination): string {
  if (combination.every(({ value }) => value === null)) return unknownLabel;
  const said = combination.flatMap(({ label }) => label ?? []);
  return said.length === 0 ? "every other process" : said.join(" & ");
}

/**
 * The fewest words that come easily: what holds whatever the rest is comes before what asks for more. Where it is shorter to
 * say who is not meant, that is said. `labelAt` null: not all combinations are known, so the classes are listed.
 */
function describe(
  some: ReadonlySet<string>,
  classes: readonly ProcessClass[],
  things: readonly (readonly Value[])[],
  labelAt: ((combination: Combination) => string | null) | null,
): string[] {
  if (labelAt === null) return [...some];
  const others = new Set(classes.map(({ label }) => label).filter((label) => !some.has(label)));
  const [are, areNot] = [some, others].map((labels) => coverOf(labels, things, labelAt));
  return areNot!.length < are!.length ? [`any process but ${areNot!.join(" or ")}`] : are!;
}

/** Groups of combinations, each with some values given and any for the rest, that together are exactly the labels'. */
function coverOf(
  labels: ReadonlySet<string>,
  things: readonly (readonly Value[])[],
  labelAt: (combination: Combination) => string | null,
): string[] {
  const open = things.map((values): (Value | null)[] => (values.length === 1 ? [null] : [null, ...values]));
  const groups = open.reduce<(Value | null)[][]>(
    (rows, values) => rows.flatMap((row) => values.map((value) => [...row, value])),
    [[]],
  );
  const given = (group: readonly (Value | null)[]) => group.filter((value) => value !== null).length;
  const covered = new Set<string>();
  const out: string[] = [];
  for (const group of groups.toSorted((a, b) => given(a) - given(b))) {
    const members = combinationsOf(
      group.map((value, i) => (value === null ? things[i]! : [value])),
      Infinity,
    );
    if (!members.every((each) => labels.has(labelAt(each) ?? ""))) continue;
    const keys = members.map(keyOf);
    if (keys.every((key) => covered.has(key))) continue;
    for (const key of keys) covered.add(key);
    out.push(group.flatMap((value) => value?.words ?? []).join(" & "));
  }
  return out;
}

function unmentioned(taken: ReadonlySet<string>, wanted: string): string {
  let value = wanted;
  while (taken.has(value)) value += "_";
  return value;
}
