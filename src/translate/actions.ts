/**
 * Firewalls that are a step of a job: each job has its own list, the product allows what GitHub's runner needs besides, and a
 * mode says whether the list is enforced. What they have in common; each product's file says what its inputs mean.
 */
import { presetRef } from "../policy/presets.ts";
import type { Context } from "./context.ts";
import { rulesFor } from "./draft.ts";
import type { DraftRule, Place } from "./draft.ts";
import { quoted } from "./note.ts";
import type { Effect } from "./note.ts";
import { inputOf, stepsUsing } from "./workflow.ts";
import type { Step } from "./workflow.ts";

/** An input that is not the list, and what its loss means. */
export interface Other {
  readonly effect: Effect;
  readonly message: string;
  /** Whether a value of it says anything that is lost. */
  readonly matters: (value: string) => boolean;
}

/** One such product. */
export interface StepFirewall {
  /** `owner/name`. */
  readonly action: string;
  readonly product: string;
  /** The input that holds the mode, its two values and what it is when left out. */
  readonly mode: { readonly input: string; readonly enforce: string; readonly monitor: string; readonly usual: string };
  /** Ports left open are open for UDP, too. */
  readonly udp: boolean;
  /** The list of one step. */
  readonly places: (step: Step, context: Context) => Place[];
  /** Inputs that hold the list. */
  readonly lists: readonly string[];
  /** Inputs that say nothing about what is reached. */
  readonly quiet: readonly string[];
  /** Other inputs that say something about what is reached or done. */
  readonly others: Readonly<Record<string, Other>>;
  readonly about: readonly string[];
}

const needed = "github actions";

/** Fills the draft from every step of a workflow that uses the product. */
export function importSteps(context: Context, firewall: StepFirewall): void {
  const { roots, options, draft, notes, problems } = context;
  const found = roots.flatMap((root) => stepsUsing(root, firewall.action));
  const steps = found.filter(({ job }) => options.job === null || job === options.job);
  if (steps.length === 0) {
    const where = options.job === null ? "no step" : `no step of a job ${quoted(options.job)}`;
    const start = () => ({ line: 1, column: 1, text: "" });
    const jobs = [...new Set(found.map(({ job }) => job))].join(", ");
    problems.add(
      "empty",
      start,
      `${where} uses ${firewall.action}`,
      jobs === "" ? "Name another file." : `Jobs that do: ${jobs}.`,
    );
    return;
  }
  const lists = steps.map((step) => firewall.places(step, context));
  const isOneList = new Set(lists.map((places) => JSON.stringify(places))).size === 1;
  const modes = steps.map((step) => modeOf(step, firewall, context));
  draft.mode = modes.every((mode) => mode === "monitor") ? "monitor" : "enforce";
  draft.destinations.set(needed, { preset: presetRef("github-actions") });
  draft.rules.push({
    name: "what GitHub Actions needs",
    spot: null,
    from: null,
    to: [needed],
  });
  for (const [i, step] of steps.entries()) {
    noteOthers(step, firewall, context);
    if (modes[i] === "monitor" && draft.mode === "enforce") {
      notes.add("narrower", step, `job ${step.job} only audits; the policy enforces, because other jobs do`);
    }
    if (!isOneList) {
      const message = `job ${step.job} has a list of its own; one policy gives every job what any of them has. Add --job ${step.job}`;
      notes.add("wider", step, message);
    }
    draft.rules.push(...rulesOf(step, lists[i]!, firewall, options.web));
  }
  draft.about.push(...firewall.about);
}

function rulesOf(step: Step, places: readonly Place[], { udp }: StepFirewall, web: boolean): DraftRule[] {
  const base = { name: `job ${step.job}`, spot: step, from: null };
  if (!udp || !web) return rulesFor(base, places, udp);
  // Names are for TLS and HTTP then; addresses have no names that could be.
  const names = places.filter(({ kind }) => kind === "name");
  const cidrs = places.filter(({ kind }) => kind === "cidr");
  return [...rulesFor(base, names, false), ...rulesFor({ ...base, name: `${base.name}: addresses` }, cidrs, true)];
}

function modeOf(step: Step, { mode, product }: StepFirewall, { notes }: Context): "monitor" | "enforce" {
  const text = inputOf(step, mode.input) ?? mode.usual;
  if (text === mode.monitor) return "monitor";
  if (text !== mode.enforce) {
    const spot = step.inputs.get(mode.input)?.value ?? step;
    notes.add("narrower", spot, `${mode.input} ${quoted(text)} is none that ${product} has; the policy enforces`);
  }
  return "enforce";
}

function noteOthers(step: Step, { others, lists, quiet, mode, product }: StepFirewall, { notes }: Context): void {
  for (const [name, entry] of step.inputs) {
    const isKnown = Object.hasOwn(others, name) || lists.includes(name) || quiet.includes(name) || name === mode.input;
    if (!isKnown) notes.add("other", entry, `${quoted(name)} is no input of ${product} that is known here`);
    if (lists.includes(name) && (entry.value.kind === "list" || entry.value.kind === "map")) {
      notes.add("narrower", entry, `${name} is no text`);
    }
    const value = inputOf(step, name);
    const other = Object.hasOwn(others, name) ? others[name]! : null;
    if (value === null || other === null || !other.matters(value)) continue;
    notes.add(other.effect, entry, `${name}: ${other.message}`);
  }
}

/** For inputs that matter unless they say no, and for such that matter only where they do. */
export const unlessFalse = (value: string): boolean => value.toLowerCase() !== "false";
export const ifFalse = (value: string): boolean => value.toLowerCase() === "false";

export const rootStays = "root is not taken away here; `sallyport run` runs the command as another user where asked";
