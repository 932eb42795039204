/** The whole plan: edits of the folder's workflows, settings by the API, and what of the failures neither answers. Pure. */
import type { Finding } from "../finding.ts";
import { compareFindings } from "../finding.ts";
import type { OwnerRead } from "../sources/github.ts";
import type { Plan } from "./change.ts";
import { planFiles, reasonOf } from "./files.ts";
import type { FilesWanted } from "./files.ts";
import { planSettings } from "./settings.ts";
import type { GroupsWanted } from "./settings.ts";

export interface PlanInput {
  /** Null: no folder is looked at. */
  readonly folder: FilesWanted | null;
  readonly owners: readonly OwnerRead[];
  readonly groups: GroupsWanted;
  /** Everything that was found, of files and of settings. */
  readonly findings: readonly Finding[];
  readonly accepted: ReadonlySet<string>;
}

export function planOf({ folder, owners, groups, findings, accepted }: PlanInput): Plan {
  const open = findings.filter(({ status, id }) => status !== "pass" && !accepted.has(id)).toSorted(compareFindings);
  const failing = new Map(open.filter(({ status }) => status === "fail").map((each) => [each.id, each]));
  const files = folder === null ? { files: [], why: new Map<string, string>() } : planFiles(folder);
  const settings = planSettings(owners, failing, groups);
  const answered = new Set(
    [...files.files, ...settings.settings].flatMap(({ reasons }) => reasons.map(({ id }) => id)),
  );
  // Of what is unknown, that whose edit was refused is told as well.
  const refused = open.filter(({ id }) => files.why.has(id) && !failing.has(id));
  const left = [...failing.values(), ...new Map(refused.map((each) => [each.id, each])).values()]
    .filter(({ id }) => !answered.has(id))
    .map((each) => ({
      ...reasonOf(each),
      fix: files.why.get(each.id) ?? settings.why.get(each.id) ?? each.fix,
    }));
  return { files: files.files, settings: settings.settings, left };
}
