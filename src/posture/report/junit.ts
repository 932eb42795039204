/** The report as JUnit XML: a suite a rule, a case a finding; unknown and accepted ones are skipped, with why. */
import { catalogue } from "../catalogue.ts";
import { whereText } from "../finding.ts";
import type { PostureReport, ReportedFinding } from "./report.ts";

export function reportJunit({ findings, rules, summary }: PostureReport): string {
  const byRule = Map.groupBy(findings, ({ rule }) => rule);
  const suites = rules.map(({ rule }) => {
    const list = byRule.get(rule) ?? [];
    const failures = list.filter(({ status, accepted }) => status === "fail" && accepted === null).length;
    const skipped = list.filter(({ status, accepted }) => status === "unknown" || accepted !== null).length;
    const name = attribute(`${rule} ${catalogue[rule].title}`);
    if (list.length === 0)
      return `  <testsuite name="${name}" tests="1" failures="0" errors="0" skipped="1">\n    <testcase classname="${rule}" name="anything">\n      <skipped message="nothing was seen of it"/>\n    </testcase>\n  </testsuite>`;
    return `  <testsuite name="${name}" tests="${list.length}" failures="${failures}" errors="0" skipped="${skipped}">\n${list.map(caseOf).join("\n")}\n  </testsuite>`;
  });
  const total = findings.length + rules.filter(({ rule }) => !byRule.has(rule)).length;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="sallyport posture" tests="${total}" failures="${summary.fail}">\n${suites.join("\n")}\n</testsuites>`;
}

function caseOf({ rule, check, subject, status, severity, seen, fix, where, accepted, id }: ReportedFinding): string {
  const open = `    <testcase classname="${attribute(`${rule}.${check}`)}" name="${attribute(subject)}"`;
  if (status === "pass") return `${open}/>`;
  if (accepted !== null)
    return `${open}>\n      <skipped message="${attribute(`accepted by ${accepted.owner} until ${accepted.expires}: ${accepted.reason}`)}"/>\n    </testcase>`;
  if (status === "unknown")
    return `${open}>\n      <skipped message="${attribute(`not known: ${seen}`)}"/>\n    </testcase>`;
  const body = attribute(`${whereText(where)}\n${fix}\n${id}`);
  return `${open}>\n      <failure type="${severity}" message="${attribute(seen)}">${body}</failure>\n    </testcase>`;
}

/** For attributes and text alike. What XML 1.0 cannot hold at all (section 2.2) is replaced. */
function attribute(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
