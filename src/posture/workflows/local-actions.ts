/**
 * Actions of the repository itself, `./tool` and `$/tool`: a composite one's steps are steps of every job that uses it, actions in
 * actions counted in; a Docker one names an image. GitHub nests ten deep; a circle ends where it began.
 */
import { isSeq } from "yaml";
import type { Node } from "yaml";
import { folderOf } from "../../workflow/local-action.ts";
import { stepOf, withBeside } from "../../workflow/jobs.ts";
import type { Job, Step } from "../../workflow/jobs.ts";
import { readYaml } from "../../workflow/source.ts";
import type { Source } from "../../workflow/source.ts";
import type { RepositoryFacts } from "../facts.ts";

/** One action's file with its steps. */
export interface LocalAction {
  readonly source: Source;
  /** None where it is no composite action. */
  readonly steps: readonly Step[];
  /** `runs.image` of a Docker action; null: it is none. */
  readonly image: Node | null;
}

/** By folder, as the repository names it. */
export type LocalActions = ReadonlyMap<string, LocalAction>;

const mostNested = 10;
const names = ["action.yml", "action.yaml"];

/** The folder of a step's action in the repository; null: it is not of the repository. */
export function folderIn(action: string | null): string | null {
  if (action === null || !/^[.$]\//.test(action) || action.includes("${{")) return null;
  const folder = folderOf(action);
  return folder.split("/").includes("..") ? null : folder;
}

/** Paths of actions that texts may use, by a quick look: more than they do, so that these can be read first. */
export function likelyActions(texts: readonly { readonly text: string }[]): string[] {
  const found = texts.flatMap(({ text }) =>
    [...text.matchAll(/\buses["']?\s*:\s*["']?([.$]\/[^\s"'#,}]*)/g)].flatMap((match) => folderIn(match[1]!) ?? []),
  );
  const folders = [...new Set(found)].filter((folder) => !/\.ya?ml$/.test(folder));
  return folders.flatMap((folder) => names.map((name) => (folder === "" ? name : `${folder}/${name}`)));
}

/**
 * Those among a repository's files that are actions and can be read. Of two files in one folder GitHub takes `action.yml`, also where
 * that one is among the `unread`.
 */
export function readLocalActions({ files, unread }: Pick<RepositoryFacts, "files" | "unread">): LocalActions {
  const found = new Map<string, LocalAction>();
  const there = new Set([...files.keys(), ...unread.map(({ path }) => path)]);
  for (const [path, text] of files) {
    const [, folder, ending] = /^(?:(.*)\/)?action\.(ya?ml)$/.exec(path) ?? [null, null];
    if (folder === null || (ending === "yaml" && there.has(path.replace(/yaml$/, "yml")))) continue;
    const source = readYaml(path, text, false);
    // The runner takes the names in any case (its ActionManifestManager).
    const using = "code" in source ? null : source.textOf(source.value(source.root, "runs", "using"));
    if ("code" in source || using === null) continue;
    const kind = using.trim().toLowerCase();
    const list = source.value(source.root, "runs", "steps");
    const image = kind === "docker" ? source.value(source.root, "runs", "image") : null;
    // One that says it is composite and has no list, or Docker and no image, is none that was read.
    if (kind === "composite" ? !isSeq(list) : kind === "docker" && (source.textOf(image) ?? "").trim() === "") continue;
    const steps = isSeq(list) ? list.items.map((item) => stepOf(source, item as Node)) : [];
    found.set(folder ?? "", { source, steps, image });
  }
  return found;
}

/** The actions that a job comes to use; `from`: the job's step that leads to each. */
export function insideOf(home: Source, job: Job, actions: LocalActions): (LocalAction & { readonly from: Node })[] {
  const seen = new Set<string>();
  const within = ({ source, steps }: LocalAction, from: Node | null, depth: number): (LocalAction & { from: Node })[] =>
    withBeside(source, steps).flatMap(({ action, node }) => {
      const folder = folderIn(action);
      const known = folder === null ? undefined : actions.get(folder);
      if (known === undefined || seen.has(folder!) || depth > mostNested) return [];
      seen.add(folder!);
      const start = from ?? node;
      return [{ ...known, from: start }, ...within(known, start, depth + 1)];
    });
  return actions.size === 0 ? [] : within({ source: home, steps: job.steps, image: null }, null, 1);
}
