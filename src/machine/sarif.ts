/**
 * The findings of a job as SARIF 2.1.0 (OASIS, docs.oasis-open.org/sarif/sarif/v2.1.0): one result for each refused destination,
 * each thing noticed and each tampering. Rules are reason codes and detection types. What a result is about is a step, which
 * has no line; so the place is the workflow's file where it is known, and the step is its logical location.
 */
import { createHash } from "node:crypto";
import type { EventProcess } from "../audit/event.ts";
import { type Reason, reasonTexts } from "../policy/reason.ts";
import type { Finding, JobReport } from "./job-report.ts";
import { placeOf, type Refused, refusedOf, whyOf, withoutAsked } from "./refused.ts";

/**
 * GitHub shows 5 000 results of an upload at most and refuses 10 MB of gzip (docs.github.com, "SARIF support for code scanning"): so
 * many results with messages and names of this length stay below it even where nothing in them can be compressed.
 */
const mostResults = 5_000;
const mostLocations = 10;
const longestText = 500;
const longestName = 60;
const mostNotes = 100;

interface Result {
  ruleId: string;
  level: "error" | "warning" | "note";
  message: { text: string };
  locations: object[];
  partialFingerprints: Record<string, string>;
  occurrenceCount?: number;
}

/** `workflow`: path of the workflow's file in the repository; null where it is not known. */
export function sarifOf(report: JobReport, workflow: string | null): object {
  const results = [
    ...report.tampering.map((each) => findingResult(each, "tampering", report, workflow)),
    ...refusedOf(withoutAsked(report.connections)).map((each) => refusedResult(each, report, workflow)),
    ...report.detections.map((each) => findingResult(each, each.type, report, workflow)),
  ];
  const kept = results.slice(0, mostResults);
  const ids = [...new Set(kept.map(({ ruleId }) => ruleId))].toSorted();
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: { driver: { name: "Sallyport", semanticVersion: report.version, rules: ids.map(ruleOf) } },
        automationDetails: { id: `sallyport/${report.job.workflow}/${report.job.job}/` },
        invocations: [
          {
            executionSuccessful: report.degraded.length === 0 && report.counts.tampering === 0,
            startTimeUtc: report.started,
            endTimeUtc: report.until,
            ...(report.degraded.length === 0
              ? {}
              : {
                  toolExecutionNotifications: report.degraded.slice(0, mostNotes).map((text) => ({
                    level: "error",
                    message: { text: plainText(text) },
                  })),
                }),
          },
        ],
        results: kept,
        properties: { left_out: results.length - kept.length, policy: report.policy.hash },
      },
    ],
  };
}

const page = "docs/reason-codes.md";

function ruleOf(id: string): object {
  const text = Object.hasOwn(reasonTexts, id)
    ? `${reasonTexts[id as Reason]} (${page})`
    : id === "tampering"
      ? "Something of the firewall on this machine was changed while the job ran (docs/action.md)."
      : `Something was noticed over many decisions: ${id} (docs/detections.md).`;
  return { id, shortDescription: { text } };
}

function refusedResult(each: Refused, { job }: JobReport, workflow: string | null): Result {
  const { verdict, reason, rule, protocol, count, rows } = each;
  const [first] = rows;
  const by =
    first?.process?.exe === undefined || first.process.exe === null ? "" : ` by ${bounded(first.process.exe, 200)}`;
  const done = verdict === "deny" ? "was denied" : "would be denied";
  const times = count === 1 ? "" : `, ${count} times`;
  const text = `${placeOf(each)} (${protocol})${by} ${done}${times}: ${whyOf({ rule, reason })}`;
  return {
    ruleId: reason,
    level: verdict === "deny" ? "error" : "warning",
    message: { text: plainText(text) },
    locations: locationsOf(
      rows.map(({ process }) => process),
      job.job,
      workflow,
    ),
    partialFingerprints: { "sallyportDestination/v1": digest([job.job, reason, each.host, each.port, protocol]) },
    occurrenceCount: Math.max(1, count),
  };
}

function findingResult(each: Finding, ruleId: string, { job }: JobReport, workflow: string | null): Result {
  return {
    ruleId,
    level: ruleId === "tampering" ? "error" : "warning",
    message: { text: plainText(each.message) },
    locations: locationsOf([each.process ?? null], job.job, workflow),
    partialFingerprints: { "sallyportFinding/v1": digest([job.job, ruleId, each.message]) },
  };
}

function locationsOf(processes: readonly (EventProcess | null)[], job: string, workflow: string | null): object[] {
  const steps = new Map<string, object>();
  for (const process of processes) {
    const name =
      process === null
        ? "unknown"
        : process.runner
          ? "the runner"
          : bounded(process.step ?? "outside of the steps", longestName);
    const qualified = `${job}/${name}`;
    if (steps.size >= mostLocations && !steps.has(qualified)) break;
    steps.set(qualified, { name, fullyQualifiedName: qualified, kind: "step" });
  }
  const logicalLocations = [...steps.values()];
  if (workflow === null) return [{ logicalLocations }];
  const physicalLocation = {
    artifactLocation: { uri: encodeURI(workflow), uriBaseId: "%SRCROOT%" },
    region: { startLine: 1 },
  };
  return [{ physicalLocation, logicalLocations }];
}

/**
 * Text of a message that says what it says: no link (section 3.11.6: `[text](target)`) and no placeholder (3.11.5: `{0}`), and nothing
 * that cannot be seen.
 */
function plainText(text: string): string {
  const seen = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
  return bounded(seen, longestText)
    .replaceAll("](", "] (")
    .replaceAll(/\{(\d+)\}/g, "{{$1}}");
}

function bounded(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

function digest(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
