/**
 * Firewalls that are a step of a job: each job has its own list, the product allows what GitHub's runner needs besides, and a
 * mode says whether the list is enforced. What they have in common; each product's file says what its inputs mean.
 */
import { presetRef } from "../policy/presets.ts";
import type { Context } from "./context.ts";
import { rulesFor } from "./draft.ts";
import type { Place } from "./draft.ts";
import { quoted } from "./note.ts";
import { inputOf, stepsUsing } from "./workflow.ts";
import type { Step } from "./workflow.ts";

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
  /** Other inputs that say something about what is reached or done; the note for each. */
  readonly others: Readonly<Record<string, (value: string) => string | null>>;
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
    draft.rules.push(...rulesFor({ name: `job ${step.job}`, spot: step, from: null }, lists[i]!, firewall.udp));
  }
  draft.about.push(...firewall.about);
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

function noteOthers(step: Step, { others }: StepFirewall, { notes }: Context): void {
  for (const [name, entry] of step.inputs) {
    const value = inputOf(step, name);
    const message = value === null ? null : (others[name]?.(value) ?? null);
    if (message !== null)
      notes.add(message.startsWith("its list") ? "narrower" : "other", entry, `${name}: ${message}`);
  }
}

/** For inputs that only matter where they say yes. */
export function ifTrue(message: string): (value: string) => string | null {
  return (value) => (value.toLowerCase() === "false" ? null : message);
}

/** For inputs that only matter where they say no. */
export function ifFalse(message: string): (value: string) => string | null {
  return (value) => (value.toLowerCase() === "true" ? null : message);
}
