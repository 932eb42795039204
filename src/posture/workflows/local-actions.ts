/**
 * Composite actions of the repository itself, `./tool` and `$/tool`: their steps are steps of every job that uses them, actions in
 * actions counted in. GitHub nests ten deep; a circle ends where it began.
 */
import { isSeq } from "yaml";
import type { Node } from "yaml";
import { folderOf } from "../../workflow/local-action.ts";
import { stepOf, withBeside } from "../../workflow/jobs.ts";
import type { Job, Step } from "../../workflow/jobs.ts";
import { readYaml } from "../../workflow/source.ts";
import type { Source } from "../../workflow/source.ts";

/** One action's file with its steps. */
export interface LocalAction {
  readonly source: Source;
  readonly steps: readonly Step[];
}

/** By folder, as the repository names it. */
export type LocalActions = ReadonlyMap<string, LocalAction>;

const mostNested = 10;
const names = ["action.yml", "action.yaml"];

/** The folder of a step's action in the repository; null: it is not of the repository, or a workflow. */
function folderIn(action: string | null): string | null {
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

/** Those among a repository's files that are composite actions and can be read. */
export function readLocalActions(files: ReadonlyMap<string, string>): LocalActions {
  const found = new Map<string, LocalAction>();
  for (const [path, text] of files) {
    const [, folder] = /^(?:(.*)\/)?action\.ya?ml$/.exec(path) ?? [null, null];
    if (folder === null) continue;
    const source = readYaml(path, text, false);
    const list = "code" in source ? null : source.value(source.root, "runs", "steps");
    if ("code" in source || !isSeq(list)) continue;
    found.set(folder ?? "", { source, steps: list.items.map((item) => stepOf(source, item as Node)) });
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
  return actions.size === 0 ? [] : within({ source: home, steps: job.steps }, null, 1);
}
