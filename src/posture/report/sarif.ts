/**
 * The report as SARIF 2.1.0 (OASIS): one result for each fail and each unknown; what is accepted is suppressed, with its reason.
 * A setting has no file, so its place is a logical one.
 */
import { catalogue, frameworks } from "../catalogue.ts";
import type { RuleId } from "../catalogue.ts";
import { whereText } from "../finding.ts";
import type { Severity, Where } from "../finding.ts";
import type { PostureReport, ReportedFinding } from "./report.ts";

/** GitHub shows 5 000 results of an upload at most (docs.github.com, "SARIF support for code scanning"). */
const mostResults = 5_000;

const levels: Record<Severity, "error" | "warning" | "note"> = {
  critical: "error",
  high: "error",
  medium: "warning",
  low: "note",
  info: "note",
};
/** What GitHub sorts alerts by, as a CVSS-like number. */
const scores: Record<Severity, string> = { critical: "9.5", high: "8.0", medium: "5.5", low: "3.0", info: "0.1" };

export function reportSarif(report: PostureReport): object {
  const wanted = report.findings.filter(({ status }) => status !== "pass");
  const kept = wanted.slice(0, mostResults);
  const rules = [...new Set(kept.map(({ rule }) => rule))].toSorted();
  const unseen = [
    ...report.sources.filter(({ seen }) => !seen).map(({ name, text }) => `${name}: ${text}`),
    ...report.notes,
  ];
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: { driver: { name: "Sallyport", semanticVersion: report.version, rules: rules.map(ruleOf) } },
        automationDetails: { id: "sallyport/posture/" },
        invocations: [
          {
            executionSuccessful: true,
            endTimeUtc: report.made,
            ...(unseen.length === 0
              ? {}
              : {
                  toolExecutionNotifications: unseen.map((text) => ({
                    level: "warning",
                    message: { text },
                  })),
                }),
          },
        ],
        results: kept.map((each) => resultOf(each, rules)),
        properties: { left_out: wanted.length - kept.length },
      },
    ],
  };
}

function ruleOf(id: RuleId): object {
  const { title, why, incident, fix, severity, controls } = catalogue[id];
  const tags = Object.entries(controls).flatMap(([framework, list]) =>
    list.map((each: string) => `${frameworks[framework as keyof typeof frameworks]} ${each}`),
  );
  return {
    id,
    name: title,
    shortDescription: { text: title },
    fullDescription: { text: why },
    help: { text: `${why}${incident === null ? "" : ` ${incident}`} ${fix}` },
    defaultConfiguration: { level: levels[severity] },
    properties: { tags: ["security", ...tags], "security-severity": scores[severity] },
  };
}

function resultOf(each: ReportedFinding, rules: readonly RuleId[]): object {
  const { rule, status, severity, subject, seen, fix, where, id, accepted } = each;
  const unknown = status === "unknown" ? "Not known: " : "";
  return {
    ruleId: rule,
    ruleIndex: rules.indexOf(rule),
    level: status === "unknown" ? "note" : levels[severity],
    message: { text: `${unknown}${subject}: ${seen}. ${fix}` },
    locations: [locationOf(where, subject)],
    partialFingerprints: { "sallyportPosture/v1": id },
    properties: { status, severity },
    ...(accepted === null
      ? {}
      : {
          suppressions: [
            {
              kind: "external",
              status: "accepted",
              justification: `${accepted.owner}: ${accepted.reason} (until ${accepted.expires})`,
            },
          ],
        }),
  };
}

function locationOf(where: Where, subject: string): object {
  const logicalLocations = [{ fullyQualifiedName: where.kind === "api" ? whereText(where) : subject }];
  if (where.kind === "api") return { logicalLocations };
  const { path, line, column } = where;
  return {
    physicalLocation: {
      artifactLocation: { uri: encodeURI(path), uriBaseId: "%SRCROOT%" },
      region: { startLine: line ?? 1, ...(column === null ? {} : { startColumn: column }) },
    },
    logicalLocations,
  };
}
