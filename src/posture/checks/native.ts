/**
 * GitHub's own egress firewall: the label on a job, and `.github/egress-firewall.yaml`, which must have exactly that name. The
 * file is read from the ref that runs, so who may change the file unreviewed decides what is open (RG-14, `allowlist.ts`).
 */
import { parsePolicyFile } from "../native-file.ts";
import type { NativeFile } from "../native-file.ts";
import type { Frame, RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding, FindingInput } from "../finding.ts";
import { watching } from "./jobs.ts";

export const nativePath = ".github/egress-firewall.yaml";

export interface NativePolicy {
  /** Null: there is none, or it cannot be read. */
  readonly file: NativeFile | null;
  /** What is to be said of a job on the firewall's label. */
  readonly forJob: (say: (input: Omit<FindingInput, "subject" | "where">) => Finding, runsOn: string) => Finding[];
  /** What is to be said of the file itself. */
  readonly findings: readonly Finding[];
}

export function nativePolicyOf(repository: RepositoryFacts, frame: Frame): NativePolicy {
  const text = repository.files.get(nativePath);
  const subject = subjectIn(repository, nativePath);
  if (text === undefined) {
    const misnamed = repository.paths.filter(
      (path) => path !== nativePath && /(?:^|\/)egress[-_.]?firewall\.ya?ml$/i.test(path),
    );
    const seen = `${nativePath} is not there${misnamed.length === 0 ? "" : `; ${misnamed.join(", ")} is, which GitHub does not read`}`;
    const isUnknown = repository.notRead !== null;
    return {
      file: null,
      findings: misnamed.map((path) =>
        finding({
          rule: "RG-10",
          check: "native-file-name",
          status: "fail",
          subject: subjectIn(repository, path),
          seen: `${path} is there, and GitHub reads ${nativePath} alone`,
          where: inFile(path, 1, 1),
          fix: `Name it ${nativePath}, exactly so.`,
        }),
      ),
      forJob: (say, runsOn) => [
        say({
          rule: "RG-10",
          check: "control",
          status: isUnknown ? "unknown" : "fail",
          seen: `runs-on ${runsOn} has GitHub's firewall, but ${isUnknown ? `the policy file was not read: ${repository.notRead}` : seen}`,
          fix: `Write ${nativePath} (sallyport policy export github POLICY).`,
        }),
      ],
    };
  }
  const file = parsePolicyFile(text);
  if ("problem" in file) {
    const { line, column } = file;
    const where = inFile(nativePath, line, column);
    const said = `${nativePath}: ${file.problem}`;
    const fix = "Write mode: enforce and allow: with a list of hosts.";
    return {
      file: null,
      findings: [finding({ rule: "RG-10", check: "native-file", status: "fail", subject, seen: said, where, fix })],
      forJob: (say, runsOn) => [
        say({ rule: "RG-10", check: "control", status: "fail", seen: `runs-on ${runsOn}, but ${said}`, fix }),
      ],
    };
  }
  const { mode, modeSpot } = file;
  const where = inFile(nativePath, modeSpot.line, modeSpot.column, "mode");
  const common = { rule: "RG-11", check: "mode-native", subject, where } as const;
  const force =
    mode === "enforce"
      ? finding({ ...common, status: "pass", seen: "GitHub's firewall: mode: enforce" })
      : finding({
          ...common,
          ...watching("GitHub's firewall", `mode: ${mode}`, frame.changed(nativePath, modeSpot.line), frame),
        });
  return {
    file,
    findings: [force],
    forJob: (say, runsOn) => [
      say({
        rule: "RG-10",
        check: "control",
        status: "pass",
        seen: `runs-on ${runsOn}, with ${nativePath} (mode: ${mode})`,
      }),
    ],
  };
}
