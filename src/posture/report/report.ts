/** The report: every finding, what each rule comes to, and what was not seen. A rule that nothing was seen of is unknown. */
import { catalogue, ruleIds } from "../catalogue.ts";
import type { RuleId } from "../catalogue.ts";
import { compareFindings, severities } from "../finding.ts";
import type { Finding, Severity, Status } from "../finding.ts";

/** Who took a finding upon himself, until when. */
export interface Acceptance {
  readonly owner: string;
  readonly reason: string;
  /** Date, `2027-01-31`: the last day it counts (UTC). */
  readonly expires: string;
}

export interface ReportedFinding extends Finding {
  /** Null: nobody has accepted it. */
  readonly accepted: Acceptance | null;
}

/** Something that was to be read. */
export interface SourceSeen {
  /** `files of .`, `GET /orgs/octo/actions/runners`. */
  readonly name: string;
  readonly seen: boolean;
  /** What was seen of it, or why it was not. */
  readonly text: string;
}

export interface RuleStanding {
  readonly rule: RuleId;
  readonly title: string;
  readonly status: Status;
  readonly fail: number;
  readonly accepted: number;
  readonly unknown: number;
  readonly pass: number;
}

/** The JSON of `sallyport posture --format json`. */
export interface PostureReport {
  readonly schema: "sallyport.posture/1";
  readonly version: string;
  /** RFC 3339. */
  readonly made: string;
  readonly target: string;
  readonly sources: readonly SourceSeen[];
  readonly summary: Readonly<Record<Status | "accepted", number>> & {
    /** Fails that nobody accepted. */
    readonly by_severity: Readonly<Record<Severity, number>>;
  };
  readonly rules: readonly RuleStanding[];
  /** About the file of accepted findings: what in it no longer holds. */
  readonly notes: readonly string[];
  readonly findings: readonly ReportedFinding[];
}

export interface ReportInput {
  readonly version: string;
  readonly now: Date;
  readonly target: string;
  readonly sources: readonly SourceSeen[];
  readonly findings: readonly Finding[];
  readonly accepted: ReadonlyMap<string, Acceptance>;
  readonly notes: readonly string[];
}

export function reportOf({ version, now, target, sources, findings, accepted, notes }: ReportInput): PostureReport {
  const reported = distinct(findings)
    .toSorted(compareFindings)
    .map((each) => ({ ...each, accepted: each.status === "pass" ? null : (accepted.get(each.id) ?? null) }));
  const open = reported.filter((each) => each.accepted === null);
  const count = (status: Status) => open.filter((each) => each.status === status).length;
  const fails = open.filter(({ status }) => status === "fail");
  return {
    schema: "sallyport.posture/1",
    version,
    made: now.toISOString(),
    target,
    sources,
    summary: {
      fail: count("fail"),
      unknown: count("unknown"),
      pass: count("pass"),
      accepted: reported.length - open.length,
      by_severity: Object.fromEntries(
        severities.map((severity) => [severity, fails.filter((each) => each.severity === severity).length]),
      ) as Record<Severity, number>,
    },
    rules: ruleIds.map((rule) => standing(rule, reported)),
    notes,
    findings: reported,
  };
}

/** One finding an id: the worst. Two sources may see the same. */
function distinct(findings: readonly Finding[]): Finding[] {
  const byId = new Map<string, Finding>();
  for (const each of findings) {
    const before = byId.get(each.id);
    if (before === undefined || compareFindings(each, before) < 0) byId.set(each.id, each);
  }
  return [...byId.values()];
}

function standing(rule: RuleId, findings: readonly ReportedFinding[]): RuleStanding {
  const own = findings.filter((each) => each.rule === rule);
  const open = own.filter((each) => each.accepted === null);
  const count = (status: Status) => open.filter((each) => each.status === status).length;
  const [fail, unknown, pass] = [count("fail"), count("unknown"), count("pass")];
  const status = fail > 0 ? "fail" : unknown > 0 || own.length === 0 ? "unknown" : "pass";
  return { rule, title: catalogue[rule].title, status, fail, accepted: own.length - open.length, unknown, pass };
}

/** True where a fail that nobody accepted is as bad as that, or worse. */
export function failsOn({ findings }: PostureReport, worst: Severity, unknownToo: boolean): boolean {
  const limit = severities.indexOf(worst);
  return findings.some(
    ({ accepted, status, severity }) =>
      accepted === null &&
      (status === "fail" || (unknownToo && status === "unknown")) &&
      severities.indexOf(severity) <= limit,
  );
}
