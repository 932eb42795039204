/**
 * Makes changes one after the other, forwards or back. Before each, what is there is read again and must be what the plan showed;
 * after each setting, GitHub is asked whether it is so. What fails leaves the others to be made, but for a limit of GitHub's or a
 * token it does not know, behind which nothing more is tried.
 */
import { fieldsOf } from "../checks/settings.ts";
import { changeName, saysSame } from "../fix/change.ts";
import type { Change, FileChange, SettingChange } from "../fix/change.ts";
import type { Progress } from "../fix/undo-file.ts";
import { isRefused } from "../sources/github-client.ts";
import type { GithubClient, Refused } from "../sources/github-client.ts";
import type { Folder } from "./folder.ts";

/** `changed`: what is there is neither what was nor what is to be; `unclear`: whether it was done could not be found out. */
export type OutcomeState = "done" | "already" | "changed" | "failed" | "unclear" | "not-tried";

export interface Outcome {
  readonly name: string;
  readonly state: OutcomeState;
  /** Empty where it is done. */
  readonly why: string;
}

export interface Hands {
  /** Null: no change is a file's. */
  readonly folder: Folder | null;
  /** Null: no change is a setting's. */
  readonly client: GithubClient | null;
  /** Called before and after a change is tried; what it throws ends everything before the change is made. */
  readonly note: (index: number, state: "started" | "done" | "failed") => void;
}

/** Nothing more is tried behind it. */
type Tried = Omit<Outcome, "name"> & { readonly isLast?: boolean };

export async function applyChanges(changes: readonly Change[], hands: Hands): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let stopped: string | null = null;
  for (const [index, change] of changes.entries()) {
    const name = changeName(change);
    if (stopped !== null && change.kind === "setting") {
      outcomes.push({ name, state: "not-tried", why: stopped });
      continue;
    }
    const note = (state: Progress) => hands.note(index, state as "started");
    const { isLast, ...tried } =
      change.kind === "file" ? applyFile(change, hands.folder!, note) : await applySetting(change, hands.client!, note);
    outcomes.push({ name, ...tried });
    if (isLast === true) stopped = `nothing more is asked: ${tried.why}`;
  }
  return outcomes;
}

type Note = (state: "started" | "done" | "failed") => void;

const done: Tried = { state: "done", why: "" };
const already: Tried = { state: "already", why: "it is so already" };
const neither = "what is there is neither what the plan showed nor what it would be";

function applyFile({ path, from, to }: FileChange, folder: Folder, note: Note): Tried {
  const now = folder.read(path);
  if ("why" in now) return { state: "failed", why: now.why };
  if (now.text === to) return already;
  if (now.text !== from) return { state: "changed", why: neither };
  note("started");
  const replaced = folder.replace(path, from, to);
  if (replaced === null) {
    note("done");
    return done;
  }
  // Replaced, and perhaps not for long: it stays `started`, so that --undo looks.
  if (replaced.isReplaced) return { state: "unclear", why: `it was replaced, and may not last: ${replaced.why}` };
  note("failed");
  return { state: "failed", why: replaced.why };
}

async function applySetting(change: SettingChange, client: GithubClient, note: Note): Promise<Tried> {
  const { path, method, from, to } = change;
  const before = await client.get(path);
  if (isRefused(before)) return refused("failed", before);
  const fields = fieldsOf(before.value) ?? {};
  if (saysSame(fields, to)) return already;
  if (!saysSame(fields, from)) return { state: "changed", why: neither };
  note("started");
  const sent = await client.send(method, path, to);
  if (isRefused(sent) && (sent.isLimit === true || sent.status === 401)) {
    note("failed");
    return refused("failed", sent);
  }
  // What GitHub says afterwards counts, whatever it answered: an answer may be lost, and an organisation may overrule.
  const after = await client.get(path);
  if (isRefused(after)) {
    const why = isRefused(sent) ? sent.why : `it was sent, and what it is now was not seen: ${after.why}`;
    return { ...refused("unclear", isRefused(sent) ? sent : after), why };
  }
  const isSet = saysSame(fieldsOf(after.value) ?? {}, to);
  if (isSet) {
    note("done");
    return done;
  }
  // Refused is not done; what was taken, or whose answer was lost, may come into force yet and stays `started`.
  if (isRefused(sent)) {
    if (sent.status >= 400 && sent.status < 500) note("failed");
    return refused("failed", sent);
  }
  return { state: "failed", why: "GitHub took it, and says something else afterwards: a policy above may decide" };
}

function refused(state: OutcomeState, { why, status, isLimit }: Refused): Tried {
  return { state, why, isLast: isLimit === true || status === 401 };
}
