/**
 * What `sallyport posture --fix` would change: a file of the folder or a setting by the API, each with what is there now and what
 * would be there after. One shape for the plan, the undo file and whoever applies either, so that undoing is applying backwards.
 */
import type { RuleId } from "../catalogue.ts";
import type { Scope } from "../settings.ts";

/** A finding that a change answers, in one line. */
export interface Reason {
  readonly rule: RuleId;
  /** The finding's id. */
  readonly id: string;
  readonly subject: string;
  readonly text: string;
}

export interface FileChange {
  readonly kind: "file";
  /** As the repository names it. */
  readonly path: string;
  /** The whole text, with its byte order mark and line breaks. */
  readonly from: string;
  readonly to: string;
}

/** Values of fields by their names in the API. */
export type Values = Readonly<Record<string, unknown>>;

export interface SettingChange {
  readonly kind: "setting";
  /** Behind the API's own address, for reading and for setting: `orgs/octo/actions/permissions/workflow`. */
  readonly path: string;
  readonly method: "PUT" | "PATCH";
  /** The same fields in both. */
  readonly from: Values;
  readonly to: Values;
}

export type Change = FileChange | SettingChange;

/** A change with why it is made; `after` is what the same checks find then that they did not find before. */
export interface PlannedFile extends FileChange {
  readonly reasons: readonly Reason[];
  readonly after: readonly Reason[];
  /** Unified diffs, to be applied in this order. */
  readonly diff: string;
}

export interface PlannedSetting extends SettingChange {
  /** `octo`, `octo/api: …`. */
  readonly subject: string;
  readonly scope: Scope;
  readonly reasons: readonly Reason[];
  /** The rights that setting it takes, for a classic token and for a fine-grained one. */
  readonly needs: string;
  /** Who may use a runner group; left out where that stays. `after`: repositories by name. */
  readonly users?: { readonly before: string; readonly after: readonly string[] };
}

/** Something that fails and that nobody but a person can set right. */
export interface Left extends Reason {
  readonly fix: string;
}

export interface Plan {
  readonly files: readonly PlannedFile[];
  readonly settings: readonly PlannedSetting[];
  readonly left: readonly Left[];
}

/** In the order in which they are applied: what is here before what is elsewhere. */
export function changesOf({ files, settings }: Plan): Change[] {
  return [
    ...files.map(({ path, from, to }): Change => ({ kind: "file", path, from, to })),
    ...settings.map(({ path, method, from, to }): Change => ({ kind: "setting", path, method, from, to })),
  ];
}

/** The same steps back, the last first. */
export function reversed(changes: readonly Change[]): Change[] {
  return changes.toReversed().map((change) => ({ ...change, from: change.to, to: change.from }) as Change);
}

/** Whether an answer's fields say what the values say. */
export function saysSame(answer: Values, values: Values): boolean {
  return Object.entries(values).every(([name, value]) => {
    const said = answer[name];
    if (name !== "selected_workflows") return said === value;
    // GitHub keeps a list that is not in force as it likes.
    if (values["restricted_to_workflows"] === false) return true;
    return JSON.stringify(refs(said)) === JSON.stringify(refs(value));
  });
}

/** GitHub writes `@main` as `@refs/heads/main`. */
function refs(list: unknown): string[] {
  const items: unknown[] = Array.isArray(list) ? list : [];
  return items.map((each) => String(each).replace(/@refs\/(?:heads|tags)\//, "@")).toSorted();
}

/** A setting's value in full: what is set is read before. */
export function valueText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
}

/** Names a change in a line: `.github/workflows/ci.yml`, `PUT /orgs/octo/actions/permissions/workflow`. */
export function changeName(change: Change): string {
  return change.kind === "file" ? change.path : `${change.method} /${change.path}`;
}
