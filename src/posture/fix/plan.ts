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
  const failing = new Map(
    findings
      .filter(({ status, id }) => status === "fail" && !accepted.has(id))
      .toSorted(compareFindings)
      .map((each) => [each.id, each]),
  );
  const files = folder === null ? { files: [], why: new Map<string, string>() } : planFiles(folder);
  const settings = planSettings(owners, failing, groups);
  const answered = new Set(
    [...files.files, ...settings.settings].flatMap(({ reasons }) => reasons.map(({ id }) => id)),
  );
  const left = [...failing.values()]
    .filter(({ id }) => !answered.has(id))
    .map((each) => ({
      ...reasonOf(each),
      fix: files.why.get(each.id) ?? settings.why.get(each.id) ?? each.fix,
    }));
  return { files: files.files, settings: settings.settings, left };
}
