/**
 * Policies of other products as ours: recognised, translated, written, and loaded with our own loader before they are given out.
 * Pure: the caller reads the file.
 */
import { isPolicyProblems, readPolicy } from "../policy/load.ts";
import type { PolicyProblems } from "../policy/load.ts";
import { Problems } from "../policy/problem.ts";
import { yamlText } from "../policy/wording.ts";
import { importAviatrix } from "./aviatrix.ts";
import { importBullfrog } from "./bullfrog.ts";
import { importCargowall } from "./cargowall.ts";
import { importCilium } from "./cilium.ts";
import type { Context, ImportOptions } from "./context.ts";
import { emptyDraft, plainName } from "./draft.ts";
import type { Draft } from "./draft.ts";
import { at, entriesOf, readFields, textOf } from "./field.ts";
import type { Field } from "./field.ts";
import { importGithub } from "./github-firewall.ts";
import { importHardenRunner } from "./harden-runner.ts";
import { isLoss, Notes } from "./note.ts";
import type { Note } from "./note.ts";
import { importSmokescreen } from "./smokescreen.ts";
import { resourcesOf } from "./terraform.ts";
import { stepsUsing } from "./workflow.ts";
import { writePolicy } from "./write.ts";

interface Format {
  /** Whose file it is, in words. */
  readonly product: string;
  /** This is what the file looks like. */
  readonly fits: (roots: readonly Field[]) => boolean;
  readonly fill: (context: Context) => void;
}

const uses = (action: string) => (roots: readonly Field[]) => roots.some((root) => stepsUsing(root, action).length > 0);

/** Every format that can be imported. */
export const importFormats = {
  "harden-runner": {
    product: "steps with StepSecurity's harden-runner",
    fits: uses("step-security/harden-runner"),
    fill: importHardenRunner,
  },
  github: {
    product: "GitHub's egress firewall",
    fits: ([root]) =>
      entriesOf(root ?? null).length > 0 &&
      entriesOf(root!).every(([key]) => /^(mode|allow|no-default-urls)$/.test(key)),
    fill: importGithub,
  },
  bullfrog: { product: "steps with Bullfrog", fits: uses("bullfrogsec/bullfrog"), fill: importBullfrog },
  cargowall: { product: "steps with CargoWall", fits: uses("code-cargo/cargowall-action"), fill: importCargowall },
  smokescreen: {
    product: "an ACL of Smokescreen's",
    fits: ([root]) => textOf(at(root, "version")) === "v1" && at(root, "services") !== null,
    fill: importSmokescreen,
  },
  cilium: {
    product: "policies of Cilium's",
    fits: (roots) => roots.some((root) => textOf(at(root, "apiVersion"))?.startsWith("cilium.io/") === true),
    fill: importCilium,
  },
  aviatrix: {
    product: "rules of Aviatrix's in Terraform's JSON",
    fits: (roots) => roots.some((root) => resourcesOf(root).some(({ type }) => type.startsWith("aviatrix_"))),
    fill: importAviatrix,
  },
} as const satisfies Record<string, Format>;

export type ImportFormat = keyof typeof importFormats;

/** What came out of an import. */
export interface Imported {
  readonly format: ImportFormat;
  /** The policy, with the notes as comments; it loads. */
  readonly text: string;
  readonly notes: readonly Note[];
  /** Nothing was left out or changed. */
  readonly complete: boolean;
}

/**
 * Translates a file. `format` null: by what the file looks like. `file` is for messages and comments only. Never throws,
 * whatever the text.
 */
export function importPolicy(
  text: string,
  file: string,
  format: ImportFormat | null,
  options: ImportOptions,
): Imported | PolicyProblems {
  const problems = new Problems(file);
  const roots = readFields(text, problems);
  if (roots === null) return { problems: problems.list };
  const chosen = format ?? recognise(roots, problems);
  if (chosen === null) return { problems: problems.list };
  const { product, fill }: Format = importFormats[chosen];
  const notes = new Notes();
  const context: Context = { roots, lines: text.split(/\r\n?|\n/), notes, problems, options, draft: emptyDraft() };
  fill(context);
  if (problems.count > 0) return { problems: problems.list };
  dropRepeated(context);
  nameApart(context.draft);
  for (;;) {
    const out = writePolicy(context.draft, notes.list, file, product);
    const loaded = readPolicy(out, "(the policy that came out)");
    if (!isPolicyProblems(loaded))
      return { format: chosen, text: out, notes: notes.list, complete: !notes.list.some(isLoss) };
    if (!dropUnreachable(context, loaded, out)) return loaded;
  }
}

function recognise(roots: readonly Field[], problems: Problems): ImportFormat | null {
  const names = Object.keys(importFormats) as ImportFormat[];
  const fitting = names.filter((name) => importFormats[name].fits(roots));
  if (fitting.length === 1) return fitting[0]!;
  const start = () => ({ line: 1, column: 1, text: "" });
  const message =
    fitting.length === 0 ? "this looks like no format that can be imported" : `this may be ${fitting.join(" or ")}`;
  problems.add(
    "schema",
    start,
    message,
    `Say which: sallyport policy import ${(fitting.length === 0 ? names : fitting).join("|")} FILE.`,
  );
  return null;
}

/** Names that a policy may have; rules of one name get numbers, because names are unique in it. */
function nameApart({ rules }: Draft): void {
  const seen = new Set<string>();
  const last = new Map<string, number>();
  for (const [i, rule] of rules.entries()) {
    const plain = plainName(rule.name);
    let name = plain;
    let n = last.get(plain) ?? 1;
    while (seen.has(name)) name = `${plain} ${++n}`;
    last.set(plain, n);
    seen.add(name);
    rules[i] = { ...rule, name };
  }
}

/** Takes out rules that say what an earlier one says; what wider ones make needless, the loader finds. */
function dropRepeated({ draft, notes }: Context): void {
  const seen = new Set<string>();
  const kept = draft.rules.filter((rule) => {
    const { from, to, ports, protocol, action, mode } = rule;
    const key = JSON.stringify([from, to, ports, protocol, action, mode]);
    if (seen.has(key) && rule.spot !== null) notes.add("same", rule.spot, `“${rule.name}” repeats a rule before it`);
    const isNew = !seen.has(key);
    seen.add(key);
    return isNew;
  });
  draft.rules = kept;
}

/** Takes out rules that earlier ones always decide before, which a policy may not have. False where that is not all. */
function dropUnreachable({ draft, notes }: Context, { problems }: PolicyProblems, text: string): boolean {
  if (!problems.every(({ code }) => code === "unreachable")) return false;
  const lines = text.split("\n");
  const found = problems.map(({ line }) => /^\s*- name: (.*)$/.exec(lines[line - 1] ?? "")?.[1]);
  const needless = new Set(draft.rules.filter(({ name }) => found.includes(yamlText(name))));
  const kept = draft.rules.filter((rule) => !needless.has(rule));
  draft.rules = kept;
  for (const rule of needless) {
    if (rule.spot !== null) notes.add("same", rule.spot, `“${rule.name}” adds nothing to the rules before it`);
  }
  return found.some((each) => each !== undefined);
}
