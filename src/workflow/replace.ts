/**
 * Another firewall's step as ours. harden-runner's inputs stay as they are written where the action takes them; the lists of
 * Bullfrog and CargoWall mean something else and become a policy file, by `src/translate/`. Whatever else is in the step (name,
 * id, comments) stays.
 */
import { isAlias, isMap, isScalar } from "yaml";
import type { Node, YAMLMap } from "yaml";
import { foreignInputs, inputNames } from "../action/inputs.ts";
import { isPolicyProblems } from "../policy/load.ts";
import { yamlText } from "../policy/wording.ts";
import { importPolicy } from "../translate/import.ts";
import { isLoss } from "../translate/note.ts";
import type { Edit } from "./edit.ts";
import type { Firewall, Job, Step } from "./jobs.ts";
import type { StepWanted } from "./options.ts";
import { usesText } from "./step-text.ts";
import type { Source } from "./source.ts";

export interface Replaced {
  readonly edits: readonly Edit[];
  /** What is lost or means something else, in sentences. */
  readonly lost: readonly string[];
  /** The policy that was the step's list. */
  readonly policy: { readonly path: string; readonly text: string } | null;
}

/** The edits within the step, or why there can be none, in words. */
export function replaceStep(
  source: Source,
  job: Job,
  step: Step,
  product: Firewall,
  wanted: StepWanted,
): Replaced | string {
  const { map, uses } = step;
  const eol = source.text.includes("\r\n") ? "\r\n" : "\n";
  if (map === null || step.isAlias || map.flow === true || !uses?.range)
    return "it is written in braces or as an alias";
  if (source.entry(map, "<<") !== null) return "it has a merge key";
  const given = source.entry(map, "with");
  const inputs = given?.value ?? null;
  if (source.entry(inputs, "<<") !== null) return "its with: has a merge key";
  const [valueStart, valueEnd] = uses.range;
  const lineEnd = source.lineEnd(valueEnd);
  const rest = source.text.slice(valueEnd, lineEnd);
  if (!/^(?:[ \t]+#[^\n]*?)?[ \t]*(?:\r?\n)?$/.test(rest) || source.text.slice(valueStart, valueEnd).includes("\n"))
    return "its uses: is not on a line of its own";
  const own = translate(source, job, step, product, wanted);
  if (typeof own === "string") return own;
  const isOdd = isAlias(given?.node) || (isMap(inputs) && inputs.flow === true);
  if (isOdd && own.add.length + own.drop.length > 0)
    return "its with: is written in braces or as an alias, and inputs in it must change";
  const edits: Edit[] = [
    { from: valueStart, to: valueEnd + rest.trimEnd().length, text: usesText(wanted) },
    ...own.drop.map((node) => dropEntry(source, inputs as YAMLMap, node)),
  ];
  const entries = isMap(inputs) ? inputs.items : [];
  if (own.add.length > 0) {
    const first = (entries[0]?.key as Node | undefined)?.range?.[0];
    const key = source.entry(map, "uses")!.key.range![0];
    const withIndent = " ".repeat(source.spotAt(key).column - 1);
    const indent = first === undefined ? `${withIndent}  ` : source.text.slice(source.lineStart(first), first);
    if (indent.trim() !== "") return "its with: is not on lines of its own";
    if (first === undefined && given !== null) return "its with: is empty";
    const lines = own.add.map(([name, text]) => `${indent}${name}: ${text}${eol}`).join("");
    const at = first === undefined ? lineEnd : source.lineStart(first);
    const lead = first === undefined && !source.text.slice(0, at).endsWith("\n") ? eol : "";
    edits.push({ from: at, to: at, text: first === undefined ? `${lead}${withIndent}with:${eol}${lines}` : lines });
  }
  const stays = ["if", "continue-on-error"].filter((name) => source.entry(map, name) !== null);
  const weak = stays.map((name) => `its ${name}: stays, and --check finds it: the action has enabled: for that`);
  return { edits, lost: [...own.lost, ...weak], policy: own.policy };
}

/** The lines of an entry, from its key to the end of its value. */
function dropEntry(source: Source, map: YAMLMap, name: string): Edit {
  const { key, node } = source.entry(map, name)!;
  const end = node?.range?.[1] ?? key.range![1];
  return { from: source.lineStart(key.range![0]), to: source.lineEnd(Math.max(end, key.range![1])), text: "" };
}

interface Translated {
  readonly drop: readonly string[];
  readonly add: readonly (readonly [string, string])[];
  readonly lost: readonly string[];
  readonly policy: Replaced["policy"];
}

function translate(
  source: Source,
  job: Job,
  { map }: Step,
  product: Firewall,
  wanted: StepWanted,
): Translated | string {
  const inputs = source.value(map, "with");
  const names = isMap(inputs) ? inputs.items.flatMap(({ key }) => (isScalar(key) ? [String(key.value)] : [])) : [];
  // GitHub takes an input's name in any case.
  const written = (name: string) => names.find((each) => each.toLowerCase() === name.toLowerCase());
  const has = (name: string) => written(name) !== undefined;
  const text = (name: string) => source.textOf(source.value(inputs, written(name) ?? name))?.trim() ?? "";
  const add: [string, string][] = [];
  const usual = product === "bullfrog" ? "audit" : "block";
  const said = product === "cargowall" ? text("mode").replace("enforce", "block") : text("egress-policy");
  if (said.includes("${{") && product === "cargowall") return "its mode is an expression";
  const isSaid = has("egress-policy") && product !== "cargowall" && wanted.mode === null;
  if (!isSaid) add.push(["egress-policy", wanted.mode ?? (said === "" ? usual : yamlText(said))]);
  if (product === "harden-runner") {
    const drop = names.filter((name) => {
      const lower = name.toLowerCase();
      if (lower === "egress-policy") return !isSaid;
      if (lower === "policy") return wanted.policy !== null || !/\.ya?ml$/i.test(text(name));
      return !(inputNames as readonly string[]).includes(lower) && !Object.hasOwn(foreignInputs, lower);
    });
    const lost = drop
      .filter((name) => !/^egress-policy$/i.test(name))
      .filter((name) => !(/^use-policy-store$/i.test(name) && text(name) === "false"))
      .map((name) =>
        /^(?:policy|use-policy-store)$/i.test(name)
          ? `${name}: the list is kept by StepSecurity and not in this file: write it into the policy`
          : `${name}: the action has no such input`,
      );
    if (wanted.policy !== null) add.push(["policy", yamlText(wanted.policy)]);
    return { drop, add, lost, policy: null };
  }
  const noSudo = product === "bullfrog" ? text("enable-sudo") === "false" : text("sudo-lockdown") === "true";
  if (noSudo) add.push(["disable-sudo", "true"]);
  const drop = names.filter((name) => !(isSaid && name.toLowerCase() === "egress-policy"));
  const imported = importPolicy(source.text, source.path, product, {
    sources: new Map(),
    anySource: false,
    job: job.id,
    web: true,
  });
  if (isPolicyProblems(imported)) return `its list cannot be translated: ${imported.problems[0]?.message ?? ""}`;
  const lost = imported.notes
    .filter(isLoss)
    .filter(({ message }) => !(noSudo && /^(?:enable-sudo|sudo-lockdown):/.test(message)))
    .map(({ line, message }) => `line ${line}: ${message}`);
  if (wanted.policy !== null) {
    add.push(["policy", yamlText(wanted.policy)]);
    return { drop, add, lost: [...lost, `its list is not carried: ${wanted.policy} counts`], policy: null };
  }
  const stem = source.path.slice(source.path.lastIndexOf("/") + 1).replace(/\.ya?ml$/, "");
  const path = `.github/sallyport/${stem}-${job.id}.yaml`.replaceAll(/[^\w./-]/g, "_");
  add.push(["policy", yamlText(path)]);
  return { drop, add, lost, policy: { path, text: imported.text } };
}
