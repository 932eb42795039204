/**
 * The egress control of a job, whoever made it: which step it is, whether it enforces, and which version it is. GitHub's own is a
 * label, and its mode stands in a file of the repository.
 */
import { isMap, isScalar } from "yaml";
import type { Spot } from "../../workflow/finding.ts";
import type { Job, Step } from "../../workflow/jobs.ts";
import type { Source } from "../../workflow/source.ts";

interface Product {
  readonly name: string;
  /** The input that says the mode, what it says, and what it means where it says nothing; null: it is not known here. */
  readonly mode: {
    readonly input: string;
    readonly enforce: readonly string[];
    readonly monitor: readonly string[];
    readonly usual: "enforce" | "monitor";
  } | null;
  /** It works inside of a container job. */
  readonly inContainers: boolean;
}

const blocks = { input: "egress-policy", enforce: ["block"], monitor: ["audit"] } as const;

const harden: Product = { name: "harden-runner", mode: { ...blocks, usual: "enforce" }, inContainers: false };

/** Steps that are an egress control, by action in lower case. Ours is added by its repository's name. */
const products: Readonly<Record<string, Product>> = {
  "step-security/harden-runner": harden,
  "bullfrogsec/bullfrog": { name: "Bullfrog", mode: { ...blocks, usual: "monitor" }, inContainers: false },
  "code-cargo/cargowall-action": {
    name: "CargoWall",
    mode: { input: "mode", enforce: ["enforce"], monitor: ["audit"], usual: "enforce" },
    inContainers: false,
  },
  "koalalab-inc/bolt": {
    name: "Bolt",
    mode: { input: "mode", enforce: ["active"], monitor: ["audit"], usual: "monitor" },
    inContainers: false,
  },
  "gregclermont/egress-filter": { name: "egress-filter", mode: null, inContainers: false },
};
const ours: Product = { name: "Sallyport", mode: { ...blocks, usual: "enforce" }, inContainers: false };

export interface Control extends Spot {
  readonly product: string;
  /** `unknown`: an expression, a mode that is kept elsewhere, or a product whose settings are not known here. */
  readonly mode: "enforce" | "monitor" | "unknown";
  /** Where the mode is written; the step's place where it is not. */
  readonly modeAt: Spot;
  readonly modeText: string;
  /** `1.2.3`, from the ref or the comment behind a commit; null: not known. */
  readonly version: string | null;
  readonly ref: string | null;
  /** 0: the job's first step. */
  readonly index: number;
  /** Conditions and settings that take its force away, in words. */
  readonly weakened: readonly string[];
  /** An expression that may switch it off, as it is written: `enabled: ${{ vars.EGRESS }}`; null: there is none. */
  readonly maybeOff: string | null;
  readonly inContainers: boolean;
  readonly step: Step;
}

/** `own`: whose step is ours, `owner/repository` in lower case. */
export function controlsOf(source: Source, job: Job, own: string): Control[] {
  return controlsIn(source, job.steps, own, job);
}

/** The same for any list of steps, such as a composite action's; `job`: whose settings count as well. */
export function controlsIn(source: Source, steps: readonly Step[], own: string, job: Job | null = null): Control[] {
  return steps.flatMap((step, index) => {
    const product = productOf(step, own);
    return product === null ? [] : [controlOf(source, job, step, index, product)];
  });
}

export function productOf({ action }: Step, own: string): Product | null {
  if (action === null) return null;
  if (action === own) return ours;
  return Object.hasOwn(products, action) ? products[action]! : null;
}

function controlOf(source: Source, job: Job | null, step: Step, index: number, product: Product): Control {
  const spot = source.spot(step.uses ?? step.node);
  const input = product.mode === null ? null : inputOf(source, step, product.mode.input);
  const text = input === null ? null : (source.textOf(input)?.trim().toLowerCase() ?? null);
  const maybeOff = maybeOffIn(source, job, step);
  const store = product === harden ? storeIn(source, step) : null;
  const besides = store === null ? maybeOff : `${store}: StepSecurity's store decides, whatever the step says`;
  const said =
    product.mode === null ? "" : text === null ? `no ${product.mode.input}` : `${product.mode.input}: ${text}`;
  return {
    product: product.name,
    ...spot,
    mode: besides === null ? modeOf(product, text) : "unknown",
    modeAt: input === null ? spot : source.spot(input),
    modeText: besides ?? said,
    version: versionOf(source, step),
    ref: step.ref,
    index,
    weakened: weaknesses(source, job?.map ?? null, step),
    maybeOff,
    inContainers: product.inContainers,
    step,
  };
}

function modeOf({ mode }: Product, text: string | null): Control["mode"] {
  if (mode === null) return "unknown";
  if (text === null || text === "") return mode.usual;
  if (mode.enforce.includes(text)) return "enforce";
  return mode.monitor.includes(text) ? "monitor" : "unknown";
}

function weaknesses(source: Source, job: Job["map"], step: Step): string[] {
  const found: string[] = [];
  const isSet = (map: unknown, key: string) => {
    const entry = source.entry(map, key);
    return entry !== null && !/^\s*(?:false|\$\{\{\s*false\s*\}\})?\s*$/i.test(source.textOf(entry.value) ?? "");
  };
  if (source.entry(step.map, "if") !== null) found.push("its step has an if:");
  if (isSet(step.map, "continue-on-error")) found.push("its step has continue-on-error");
  if (isSet(job, "continue-on-error")) found.push("its job has continue-on-error");
  if (isSet(step.map, "background")) found.push("its step runs in the background");
  const enabled = inputOf(source, step, "enabled");
  if (enabled !== null && /^(?:false|\$\{\{\s*false\s*\}\})$/i.test(source.textOf(enabled)?.trim() ?? ""))
    found.push("enabled is false");
  return found;
}

/** Whether an expression decides that it is on; that the runner is Linux is known where the job's labels say so. */
function maybeOffIn(source: Source, job: Job | null, step: Step): string | null {
  const text = source.textOf(inputOf(source, step, "enabled"))?.trim() ?? "";
  if (!text.includes("${{") || /^\$\{\{\s*true\s*\}\}$/i.test(text)) return null;
  const isLinux = /^\$\{\{\s*(?:runner\.os\s*==\s*'Linux'|'Linux'\s*==\s*runner\.os)\s*\}\}$/i.test(text);
  return isLinux && job?.platform === "linux" ? null : `enabled: ${text}`;
}

/** harden-runner's inputs that take the mode from a policy which StepSecurity keeps; null: neither is set. */
function storeIn(source: Source, step: Step): string | null {
  for (const name of ["use-policy-store", "policy"]) {
    const text = source.textOf(inputOf(source, step, name))?.trim() ?? "";
    if (text !== "" && (name === "policy" || text.toLowerCase() !== "false")) return `${name}: ${text}`;
  }
  return null;
}

/** An input by its name, which GitHub reads in any case. */
export function inputOf(source: Source, { map }: Step, name: string): ReturnType<Source["value"]> {
  const inputs = source.value(map, "with");
  if (!isMap(inputs)) return null;
  const pair = inputs.items.find(({ key }) => isScalar(key) && String(key.value).toLowerCase() === name);
  return pair === undefined ? null : source.resolve(pair.value);
}

function versionOf(source: Source, { ref, uses }: Step): string | null {
  const comment = uses?.comment ?? restOfLine(source, uses?.range?.[1] ?? null);
  const text = /^[0-9a-f]{40}$/i.test(ref ?? "") ? comment : ref;
  return /(?:^|[^\w.])v?(\d+\.\d+\.\d+)(?![\w.])/.exec(text ?? "")?.[1] ?? null;
}

function restOfLine(source: Source, offset: number | null): string {
  if (offset === null) return "";
  const end = source.text.indexOf("\n", offset);
  return source.text.slice(offset, end < 0 ? undefined : end);
}

/** Less than 0 where `a` is the older of two `1.2.3`. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(".").map(Number));
  for (const i of [0, 1, 2]) {
    const difference = (left![i] ?? 0) - (right![i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
