/** `sallyport posture --fix` and `--undo`: the plan, and with `--apply` its changes, each of which can be taken back. */
import { resolve } from "node:path";
import { SallyportError } from "../errors.ts";
import type { Said } from "../posture/checks/settings.ts";
import { mustBeGroups } from "../posture/groups.ts";
import { applyChanges } from "../posture/change/apply.ts";
import type { Outcome } from "../posture/change/apply.ts";
import { Folder } from "../posture/change/folder.ts";
import { openJournal, startJournal } from "../posture/change/journal.ts";
import type { Journal } from "../posture/change/journal.ts";
import { isAmongFiles, undoPlace } from "../posture/change/undo-place.ts";
import { changeName, changesOf, reversed } from "../posture/fix/change.ts";
import type { Change, Plan } from "../posture/fix/change.ts";
import { pinKey } from "../posture/fix/files.ts";
import { planOf } from "../posture/fix/plan.ts";
import type { GroupsWanted } from "../posture/fix/settings.ts";
import { backText, outcomeText, planText } from "../posture/fix/text.ts";
import { doneOf } from "../posture/fix/undo-file.ts";
import type { GithubClient } from "../posture/sources/github-client.ts";
import { readListed } from "../posture/sources/runner-groups.ts";
import { version } from "../version.ts";
import { clientOf, look, mustHaveSeen } from "./posture-look.ts";
import type { Looked } from "./posture-look.ts";
import type { PostureFlags } from "./posture.ts";
import { say } from "./policy-file.ts";
import { localActions } from "./workflow-files.ts";

export async function fix(flags: PostureFlags): Promise<void> {
  if (flags.format !== "text" && flags.format !== "json")
    throw new SallyportError("USAGE", "--fix says its plan as text, or as --json.");
  const seen = await look(flags);
  mustHaveSeen(seen);
  const groups = await groupsWanted(flags, seen);
  const folder = flags.repository === false ? null : new Folder(flags.repository);
  try {
    const plan = planHere(flags, seen, folder, groups);
    const changes = changesOf(plan);
    for (const each of unusedOf(flags, seen)) console.error(`sallyport: ${each}`);
    const isJson = flags.json === true || flags.format === "json";
    if (!isJson) say(planText(plan, flags.all === true ? Infinity : 20));
    if (flags.apply !== true || changes.length === 0) {
      const end = changes.length === 0 ? "Nothing is to be changed." : "Nothing was changed; --apply does it.";
      say(isJson ? planJson(plan, [], null, null) : end);
      return;
    }
    const client = seen.github?.client ?? null;
    if (plan.settings.length > 0) mustHaveScopes(plan, client!);
    const about = {
      version,
      made: seen.now.toISOString(),
      folder: plan.files.length === 0 ? null : folder!.path,
      api: plan.settings.length === 0 ? null : flags.apiUrl,
    };
    const path =
      flags.undoFile === undefined
        ? undoPlace([...(about.folder === null ? [] : [about.folder]), "."], about.made)
        : resolve(flags.undoFile);
    const journal = startJournal(path, about, changes);
    const note = isAmongFiles(path)
      ? "it is among the repository's files and has workflows' texts: move it out before a commit"
      : null;
    const outcomes = await applyAll(changes, folder, client, journal, (index) => index);
    const way = `To take it back: --undo ${path}${note === null ? "" : `\n  (${note})`}`;
    say(isJson ? planJson(plan, outcomes, path, note) : outcomeText(outcomes, way));
    endOf(outcomes);
  } finally {
    folder?.close();
  }
}

/** Throws GROUP_UNKNOWN. */
async function groupsWanted({ selectGroup, restrictGroup }: PostureFlags, { github }: Looked): Promise<GroupsWanted> {
  const owners = github?.seen.owners ?? [];
  const restrict = new Map(restrictGroup.map(({ group, workflows }) => [group, workflows]));
  const select = new Set(selectGroup);
  mustBeGroups(owners, "--select-group", [...select]);
  mustBeGroups(owners, "--restrict-group", [...restrict.keys()]);
  const listed = select.size === 0 ? new Map<string, Said>() : await readListed(github!.client, owners, select);
  return { select, restrict, listed };
}

function planHere(flags: PostureFlags, seen: Looked, folder: Folder | null, groups: GroupsWanted): Plan {
  const accepted = new Set(seen.accepted.keys());
  const { repository, ref } = flags.uses;
  const comment = flags.versionComment ?? null;
  const step = ref === null ? null : { repository, ref, comment, mode: null, policy: null };
  const paths = seen.folder?.facts.workflows.map(({ path }) => path) ?? [];
  const read = paths.map((path) => ({ path, file: folder!.read(path) }));
  const texts = new Map(read.flatMap(({ path, file }) => ("text" in file ? [[path, file.text] as const] : [])));
  const files = [...texts].map(([path, text]) => ({ path, text }));
  return planOf({
    folder:
      seen.folder === null
        ? null
        : {
            ...seen.folder,
            accepted,
            texts,
            validate: seen.validate,
            step,
            pins: new Map(flags.pin.map(({ use, commit }) => [pinKey(use), commit])),
            actions: localActions(folder!.path, files, { repository: repository.toLowerCase() }),
          },
    owners: seen.github?.seen.owners ?? [],
    groups,
    findings: seen.findings,
    accepted,
  });
}

/** Pins that somebody gave and that fit nothing which was seen: one written wrongly would do nothing in silence. */
function unusedOf({ pin }: PostureFlags, { findings }: Looked): string[] {
  const used = new Set(
    findings.flatMap(({ rule, check, subject }) =>
      rule === "RG-09" && check === "unpinned" ? [pinKey(/: (\S+)$/.exec(subject)?.[1] ?? "")] : [],
    ),
  );
  return pin.flatMap(({ use }) => (used.has(pinKey(use)) ? [] : [`--pin ${use} fits nothing that is to be pinned`]));
}

/** A classic token says what it may do; of others, only GitHub's answer to the change does. */
function mustHaveScopes({ settings }: Plan, { scopes }: GithubClient): void {
  if (scopes === null) return;
  const wanted = new Set(settings.map(({ scope }) => (scope === "org" ? "admin:org" : "repo")));
  const missing = [...wanted].filter((each) => !scopes.includes(each));
  if (missing.length > 0)
    throw new SallyportError(
      "FIX_SCOPE",
      `the token has ${scopes.join(", ") || "no scope"}, and setting what the plan says takes ${missing.join(" and ")}.`,
    );
}

async function applyAll(
  changes: readonly Change[],
  folder: Folder | null,
  client: GithubClient | null,
  journal: Journal,
  numberOf: (index: number) => number,
  isUndo = false,
): Promise<Outcome[]> {
  try {
    const outcomes = await applyChanges(changes, {
      folder,
      client,
      note: (index, state) => {
        // On the way back, what is begun counts as done until it is undone.
        if (!isUndo) journal.note(numberOf(index), state);
        else if (state === "done") journal.note(numberOf(index), "undone");
      },
    });
    // What is as it was needs no way back, and must not be taken for ours when a later fix makes it so again.
    for (const [index, { state }] of outcomes.entries())
      if (isUndo && state === "already") journal.note(numberOf(index), "undone");
    return outcomes;
  } finally {
    journal.close();
  }
}

export async function undo(flags: PostureFlags, path: string): Promise<void> {
  if (flags.fix === true) throw new SallyportError("USAGE", "--fix or --undo, not both.");
  if (flags.format !== "text" && flags.format !== "json")
    throw new SallyportError("USAGE", "--undo says its plan as text, or as --json.");
  const { file, resume } = openJournal(path);
  const back = doneOf(file).toReversed();
  const changes = reversed(doneOf(file).map(({ change }) => change));
  const needsFolder = changes.some(({ kind }) => kind === "file");
  const needsApi = changes.some(({ kind }) => kind === "setting");
  if (needsApi && file.api !== flags.apiUrl)
    throw new SallyportError("UNDO_INVALID", `${path} is about ${file.api ?? "no API"}: say --api-url so.`);
  if (needsFolder && flags.repository === false)
    throw new SallyportError("UNDO_INVALID", `${path} is about the folder ${file.folder ?? "of nobody"}: say -C so.`);
  const folder = needsFolder ? new Folder(flags.repository as string) : null;
  try {
    if (folder !== null && folder.path !== file.folder)
      throw new SallyportError("UNDO_INVALID", `${path} is about the folder ${file.folder ?? "of nobody"}: say -C so.`);
    const isJson = flags.json === true || flags.format === "json";
    const names = changes.map(changeName);
    if (flags.apply !== true || changes.length === 0) {
      const end = changes.length === 0 ? "Nothing is to be taken back." : "Nothing was changed; --apply does it.";
      const plan = { schema: undoSchema, changes: names, planned: changes, outcomes: [] };
      const text = changes.length === 0 ? [] : [backText(changes)];
      say(isJson ? JSON.stringify(plan) : [...text, end].join("\n"));
      return;
    }
    const client = needsApi ? clientOf(flags) : null;
    const outcomes = await applyAll(changes, folder, client, resume(), (index) => back[index]!.number, true);
    say(isJson ? JSON.stringify({ schema: undoSchema, changes: names, outcomes }) : outcomeText(outcomes, ""));
    endOf(outcomes);
  } finally {
    folder?.close();
  }
}

const undoSchema = "sallyport.posture-undo-report/1";

function planJson(plan: Plan, outcomes: readonly Outcome[], undoFile: string | null, undoNote: string | null): string {
  const undo = { undo_file: undoFile, undo_note: undoNote };
  return JSON.stringify({ schema: "sallyport.posture-fix/1", version, ...plan, outcomes, ...undo });
}

/** Throws FIX_PARTIAL where something was not done. */
function endOf(outcomes: readonly Outcome[]): void {
  const open = outcomes.filter(({ state }) => state !== "done" && state !== "already");
  if (open.length > 0)
    throw new SallyportError("FIX_PARTIAL", `${open.length} of ${outcomes.length} changes were not made.`);
}
