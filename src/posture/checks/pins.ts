/** RG-09 and RG-08 in files: what is used is pinned, and the token of a job has the minimum. */
import { isMap, isScalar } from "yaml";
import type { Node } from "yaml";
import { withBeside } from "../../workflow/jobs.ts";
import type { Job, Step } from "../../workflow/jobs.ts";
import type { Source } from "../../workflow/source.ts";
import type { RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { readLock } from "../lockfile.ts";
import type { Lock } from "../lockfile.ts";
import { folderIn } from "../workflows/local-actions.ts";
import type { LocalAction, LocalActions } from "../workflows/local-actions.ts";
import type { Workflow, WorkflowJob } from "../workflows/read.ts";

export const lockPath = ".github/workflows/actions.lock";

/** What one `uses:` is pinned by; null: nothing to pin (a path in the same repository). */
type Pin = "commit" | "digest" | "lock" | "loose" | null;

export function checkPins(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  actions: LocalActions = new Map(),
): Finding[] {
  const lock = readLock(repository.files.get(lockPath) ?? null);
  const inActions = [...actions.values()].flatMap((action) => pinsInAction(repository, action));
  const inJobs = workflows.flatMap(({ path, source, jobs }) =>
    jobs.flatMap(({ id, job }) => unreadActions(repository, source, job.steps, `${path}#${id}`, `jobs.${id}`, actions)),
  );
  const inside = [...actions.values()].flatMap(({ source, steps }) =>
    unreadActions(repository, source, steps, source.path, "runs.steps", actions),
  );
  const once = new Map([...inActions, ...inJobs, ...inside].map((each) => [each.id, each]));
  return [...pinsOf(repository, workflows, lock), ...once.values()];
}

/** What an action of the repository uses that can be moved: by its steps, or the image it is. */
function pinsInAction(repository: RepositoryFacts, { source, steps, image }: LocalAction): Finding[] {
  const common = (node: Node, text: string, field: string) => {
    const { line, column } = source.spot(node);
    const subject = subjectIn(repository, `${source.path}: ${text}`);
    return { rule: "RG-09", subject, where: inFile(source.path, line, column, field) } as const;
  };
  const used = usesIn(source, steps).flatMap(({ node, text }) => {
    if (pinOf(text, null) !== "loose") return [];
    const seen = `${text} is pinned by a name that can be moved, in a composite action`;
    return [finding({ ...common(node, text, "runs.steps"), check: "unpinned", status: "fail", seen })];
  });
  const text = image === null ? "" : (source.textOf(image)?.trim() ?? "");
  if (image === null || text === "") return used;
  const about = { ...common(image, text, "runs.image"), check: "action-image" } as const;
  if (/^docker:\/\//i.test(text)) {
    const isLoose = pinOf(text, null) === "loose";
    const seen = `the Docker action's image ${text} is pinned by ${isLoose ? "a name that can be moved" : "digest"}`;
    return [...used, finding({ ...about, status: isLoose ? "fail" : "pass", seen })];
  }
  const seen = `the Docker action is built from ${text}, whose FROM is not read`;
  const fix = "Pin each FROM in it by digest, and see to it that what it installs is pinned.";
  return [...used, finding({ ...about, status: "unknown", seen, fix })];
}

/** Actions of the repository that steps use and that could not be read: what they use is not known. */
function unreadActions(
  repository: RepositoryFacts,
  source: Source,
  steps: readonly Step[],
  user: string,
  field: string,
  actions: LocalActions,
): Finding[] {
  return usesIn(source, steps).flatMap(({ node, text }) => {
    const folder = folderIn(text);
    if (folder === null ? !/^[.$]\//.test(text) : actions.has(folder)) return [];
    const { line, column } = source.spot(node);
    return [
      finding({
        rule: "RG-09",
        check: "action-unread",
        status: "unknown",
        subject: subjectIn(repository, `${user}: ${text}`),
        seen: `no action that can be read is at ${text}: what it uses is not known`,
        where: inFile(source.path, line, column, field),
        fix: "Check its action.yml. Where a step puts it there, pin what it comes from, and look at that.",
      }),
    ];
  });
}

/** What a list of steps uses, those that run beside each other (`parallel`) counted in. */
export function usesIn(source: Source, steps: readonly Step[]): { node: Node; text: string }[] {
  return withBeside(source, steps).flatMap(({ uses }) =>
    uses === null ? [] : [{ node: uses, text: source.textOf(uses)?.trim() ?? "" }],
  );
}

/** Images of a job: its container's and its services'. */
export function imagesIn(source: Source, { map }: Job): { node: Node; text: string }[] {
  const services = source.value(map, "services");
  const all = [
    source.value(map, "container"),
    ...(isMap(services) ? services.items.map(({ value }) => source.resolve(value)) : []),
  ];
  return all.flatMap((each) => {
    const node = isMap(each) ? source.value(each, "image") : each;
    const text = source.textOf(node)?.trim() ?? "";
    return node === null || text === "" ? [] : [{ node, text }];
  });
}

function pinsOf(repository: RepositoryFacts, workflows: readonly Workflow[], lock: Lock | null): Finding[] {
  return workflows.flatMap((workflow) => {
    const { path, source } = workflow;
    const uses = workflow.jobs.flatMap(({ id, job }) => [
      ...(job.call === null ? [] : [{ id, node: job.call, text: source.textOf(job.call)?.trim() ?? "" }]),
      ...usesIn(source, job.steps).map((use) => ({ id, ...use })),
    ]);
    const images = workflow.jobs.flatMap(({ id, job }) => imagesIn(source, job).map((image) => ({ id, ...image })));
    const pinned = [
      ...uses.map((use) => ({ ...use, what: "", pin: pinOf(use.text, lock?.uses.get(path) ?? null) })),
      ...images.map((image) => ({ ...image, what: "the image ", pin: pinOf(`docker://${image.text}`, null) })),
    ];
    const loose = pinned.filter(({ pin }) => pin === "loose");
    const subject = subjectIn(repository, path);
    if (loose.length === 0) {
      const counted = (["commit", "digest", "lock"] as const).map((kind) => {
        const n = pinned.filter(({ pin }) => pin === kind).length;
        return n === 0 ? [] : [`${n} by ${kind}`];
      });
      const seen =
        counted.flat().length === 0 ? "it uses nothing from elsewhere" : `all pinned: ${counted.flat().join(", ")}`;
      return [finding({ rule: "RG-09", check: "pins", status: "pass", subject, seen, where: inFile(path, 1, 1) })];
    }
    const byText = Map.groupBy(loose, ({ id, text }) => JSON.stringify([id, text]));
    return [...byText.values()].map((same) => {
      const { id, node, text, what } = same[0]!;
      const { line, column } = source.spot(node);
      // What an image is called may be an expression; what is used may not.
      const isKnown = !text.includes("${{");
      return finding({
        rule: "RG-09",
        check: "unpinned",
        status: isKnown ? "fail" : "unknown",
        subject: subjectIn(repository, `${path}#${id}: ${text}`),
        seen: isKnown ? `${text} is pinned by a name that can be moved` : `${what}${text} only GitHub can work out`,
        where: inFile(path, line, column, `jobs.${id}`),
      });
    });
  });
}

/** `locked`: what the lockfile has for the workflow. */
export function pinOf(text: string, locked: ReadonlySet<string> | null): Pin {
  if (text === "" || /^(?:\.|\$)\//.test(text)) return null;
  if (/^docker:\/\//i.test(text)) return /@sha256:[0-9a-f]{64}$/i.test(text) ? "digest" : "loose";
  if (/@[0-9a-f]{40}$/i.test(text)) return "commit";
  return locked?.has(plainUse(text)) === true ? "lock" : "loose";
}

/** `owner/repo@ref`, as the lockfile names it: without the path in the repository. */
export function plainUse(text: string): string {
  const [, repository, ref] = /^([^/@\s]+\/[^/@\s]+)(?:\/[^@]*)?@(.+)$/.exec(text) ?? [];
  return `${repository?.toLowerCase()}@${ref}`;
}

/** `byDefault`: what the repository's settings give a job that says nothing; null: not known. */
export function checkPermissions(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  byDefault: "read" | "write" | null,
): Finding[] {
  return workflows.flatMap((workflow) => {
    const { path, source } = workflow;
    const top = source.entry(source.root, "permissions");
    const subject = subjectIn(repository, path);
    const common = { rule: "RG-08", check: "permissions", subject } as const;
    const broad = [
      ...(source.textOf(top?.value) === "write-all" ? [{ id: null, node: top!.key }] : []),
      ...workflow.jobs.flatMap(({ id, job }) => {
        const own = source.entry(job.map, "permissions");
        return own !== null && source.textOf(own.value) === "write-all" ? [{ id, node: own.key }] : [];
      }),
    ];
    if (broad.length > 0) {
      return broad.map(({ id, node }) => {
        const { line, column } = source.spot(node);
        return finding({
          ...common,
          status: "fail",
          subject: id === null ? subject : subjectIn(repository, `${path}#${id}`),
          seen: `permissions: write-all${id === null ? ", for every job" : ""}`,
          where: inFile(path, line, column, id === null ? "permissions" : `jobs.${id}.permissions`),
        });
      });
    }
    const silent = top === null ? workflow.jobs.filter((job) => !saysPermissions(source, job)) : [];
    if (silent.length === 0 || byDefault === "read") {
      const seen = silent.length === 0 ? "every job's permissions are written" : "the default is read";
      return [
        finding({ ...common, status: "pass", seen: `${seen}${writesText(workflow)}`, where: inFile(path, 1, 1) }),
      ];
    }
    const [{ line, column }] = silent as [WorkflowJob];
    const jobs = silent.map(({ id }) => id).join(", ");
    const isWrite = byDefault === "write";
    return [
      finding({
        ...common,
        status: isWrite ? "fail" : "unknown",
        seen: `${jobs}: no permissions:, so the default decides, ${isWrite ? "which is write" : "and that was not read"}`,
        where: inFile(path, line, column, "jobs"),
        fix: "Write permissions: { contents: read } at the top, and what more a job needs in the job.",
      }),
    ];
  });
}

function saysPermissions(source: Workflow["source"], { job }: WorkflowJob): boolean {
  return source.entry(job.map, "permissions") !== null;
}

/** Which rights to write are given, for who reads the report. */
function writesText({ source, jobs }: Workflow): string {
  const maps = [source.root, ...jobs.map(({ job }) => job.map)].map((map) => source.value(map, "permissions"));
  const rights = maps.flatMap((map) =>
    isMap(map)
      ? map.items.flatMap(({ key, value }) =>
          isScalar(key) && source.textOf(value) === "write" ? [String(key.value)] : [],
        )
      : [],
  );
  return rights.length === 0 ? "" : `; write: ${[...new Set(rights)].toSorted().join(", ")}`;
}
