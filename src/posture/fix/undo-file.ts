/**
 * The file that `--fix --apply` leaves: JSON lines, the first about the run, then every change that was planned, then what became
 * of each, appended as it happens. A crash leaves a torn last line at most. What is read from it may be anybody's: only what a fix
 * can have done is taken. Pure.
 */
import { z } from "zod";
import { SallyportError } from "../../errors.ts";
import { settings } from "../settings.ts";
import type { Change } from "./change.ts";

const schema = "sallyport.posture-undo/1";

/** `started`: whether it was done, only the present state says. `failed`: it certainly was not. */
export type Progress = "started" | "done" | "failed" | "undone";

export interface UndoHeader {
  readonly version: string;
  /** RFC 3339. */
  readonly made: string;
  /** The real path; null: no file is changed. */
  readonly folder: string | null;
  /** Null: no setting is changed. */
  readonly api: string | null;
}

export interface UndoFile extends UndoHeader {
  /** In the order in which they were applied. */
  readonly changes: readonly Change[];
  /** By the change's number; left out: it was never tried. */
  readonly progress: ReadonlyMap<number, Progress>;
}

/** Characters. */
const largest = 256 * 1024 * 1024;

const name = String.raw`[A-Za-z0-9_.-]{1,100}`;
const owner = String.raw`(?:orgs/${name}|repos/${name}/${name})`;
const fields = new Map(settings.flatMap(({ path, sends }) => (sends === undefined ? [] : [[path, sends] as const])));
const groupFields = [
  ...["name", "allows_public_repositories", "visibility", "restricted_to_workflows", "selected_workflows"],
];
const value = z.union([z.boolean(), z.string().max(1000), z.array(z.string().max(1000)).max(1000)]);
const values = z.record(z.string(), value);
const header = z.object({
  schema: z.literal(schema),
  version: z.string(),
  made: z.string(),
  folder: z.string().nullable(),
  api: z.string().nullable(),
});
const file = z.strictObject({
  kind: z.literal("file"),
  path: z.string().regex(/^\.github\/workflows\/[^/\0]+\.ya?ml$/),
  from: z.string(),
  to: z.string(),
});
const setting = z
  .strictObject({
    kind: z.literal("setting"),
    path: z.string(),
    method: z.enum(["PUT", "PATCH"]),
    from: values,
    to: values,
  })
  .refine(({ path, method, from, to }) => {
    const known = fieldsOfPath(path, method);
    const names = Object.keys(from).toSorted();
    return (
      known !== null &&
      names.every((each) => known.includes(each)) &&
      names.join() === Object.keys(to).toSorted().join()
    );
  }, "it is no setting that a fix sets");
const line = z.union([
  z.strictObject({ change: z.int().min(0), what: z.discriminatedUnion("kind", [file, setting]) }),
  z.strictObject({ change: z.int().min(0), state: z.enum(["started", "done", "failed", "undone"]) }),
]);

/** The fields that are set at a path; null: a fix sets nothing there. */
function fieldsOfPath(path: string, method: "PUT" | "PATCH"): readonly string[] | null {
  const [, whose, setting] = new RegExp(`^(${owner})/(.+)$`).exec(path) ?? [];
  if (whose === undefined || whose.split("/").some((part) => /^\.+$/.test(part))) return null;
  if (method === "PUT") return fields.get(setting!) ?? null;
  return whose.startsWith("orgs/") && /^actions\/runner-groups\/\d{1,15}$/.test(setting!) ? groupFields : null;
}

/** The lines before anything is changed. */
export function undoStart(about: UndoHeader, changes: readonly Change[]): string {
  const lines = [{ schema, ...about }, ...changes.map((what, change) => ({ change, what }))];
  return lines.map((each) => `${JSON.stringify(each)}\n`).join("");
}

export function undoLine(change: number, state: Progress): string {
  return `${JSON.stringify({ change, state })}\n`;
}

/** Throws UNDO_INVALID, with the line. */
export function parseUndo(text: string, path: string): UndoFile {
  const refuse = (at: number, why: string) => new SallyportError("UNDO_INVALID", `${path}:${at}: ${why}.`);
  if (text.length > largest) throw refuse(1, `it has ${text.length} characters`);
  const lines = text.split("\n");
  // Behind the last line break: nothing, or a line that was never finished.
  lines.pop();
  const read = lines.map((each, i): unknown => {
    try {
      return JSON.parse(each) as unknown;
    } catch {
      throw refuse(i + 1, "it is no JSON");
    }
  });
  const about = header.safeParse(read[0]);
  if (!about.success) throw refuse(1, "it is no undo file of sallyport posture --fix");
  const changes: Change[] = [];
  const progress = new Map<number, Progress>();
  for (const [i, each] of read.slice(1).entries()) {
    const parsed = line.safeParse(each);
    if (!parsed.success) throw refuse(i + 2, "it is no change that a fix makes, nor what became of one");
    const { data } = parsed;
    if ("what" in data) {
      if (data.change !== changes.length || progress.size > 0) throw refuse(i + 2, "its changes are out of order");
      changes.push(data.what);
    } else {
      if (data.change >= changes.length) throw refuse(i + 2, `there is no change ${data.change}`);
      progress.set(data.change, data.state);
    }
  }
  const { version, made, folder, api } = about.data;
  return { version, made, folder, api, changes, progress };
}

/** What may have to be taken back, with each change's number; in the order in which they were applied. */
export function doneOf({ changes, progress }: UndoFile): { change: Change; number: number }[] {
  return changes.flatMap((change, number) => {
    const state = progress.get(number);
    // What failed was never ours: where it is so now, somebody else made it so.
    return state === undefined || state === "failed" || state === "undone" ? [] : [{ change, number }];
  });
}
