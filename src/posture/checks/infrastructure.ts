/**
 * RG-01 from infrastructure code: how runners are registered and kept. What a file says is not what runs, so a pass here is weaker
 * than what the API says of the runner itself.
 */
import type { CheckId } from "../check-catalogue.ts";
import type { RepositoryFacts, TextFile } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";

interface Sign {
  readonly check: CheckId;
  readonly pattern: RegExp;
  readonly status: "fail" | "pass";
  readonly text: string;
}

/** Looked for in lines without comments; a line that ends in `\` goes on in the next. */
const signs: readonly Sign[] = [
  {
    check: "registered-to-stay",
    pattern:
      /(?:^|[\s/;&"'])config\.(?:sh|cmd)\b(?!.*\bremove\b)(?=.*--(?:url|token|unattended))(?!.*--(?:ephemeral|jitconfig))/,
    status: "fail",
    text: "config.sh without --ephemeral registers a runner that stays",
  },
  {
    check: "kept-as-service",
    pattern: /(?:^|[\s/;&"'])svc\.sh\s+install\b/,
    status: "fail",
    text: "svc.sh install keeps the runner as a service",
  },
  {
    check: "terraform-ephemeral",
    pattern: /\benable_ephemeral_runners\s*=\s*false\b/,
    status: "fail",
    text: "enable_ephemeral_runners = false",
  },
  {
    check: "terraform-ephemeral",
    pattern: /\benable_ephemeral_runners\s*=\s*true\b/,
    status: "pass",
    text: "enable_ephemeral_runners = true",
  },
  {
    check: "registered-for-one-job",
    pattern: /(?:^|[\s/;&"'])(?:config\.(?:sh|cmd)\b.*--ephemeral|run\.(?:sh|cmd)\b.*--jitconfig)\b/,
    status: "pass",
    text: "the runner takes one job (--ephemeral or --jitconfig)",
  },
];

export function checkInfrastructure(repository: RepositoryFacts): Finding[] {
  return repository.infrastructure.flatMap((file) => checkFile(repository, file));
}

function checkFile(repository: RepositoryFacts, { path, text }: TextFile): Finding[] {
  const seen = new Map<string, Finding>();
  for (const [number, line] of logicalLines(text)) {
    for (const { check, pattern, status, text: said } of signs) {
      if (!pattern.test(line) || seen.get(check)?.status === "fail") continue;
      const subject = subjectIn(repository, path);
      const where = inFile(path, number, 1);
      seen.set(check, finding({ rule: "RG-01", check, status, subject, seen: said, where }));
    }
  }
  return [...seen.values()];
}

/** Lines with their number, comments left out, of at most 4 000 characters each. */
function* logicalLines(text: string): Generator<[number, string]> {
  let start = 1;
  let held = "";
  for (const [i, line] of text.split("\n").entries()) {
    if (held === "") start = i + 1;
    const plain = /^\s*(?:#|\/\/)/.test(line) ? "" : line.trimEnd();
    const goesOn = plain.endsWith("\\") && held.length < 4_000;
    held += ` ${goesOn ? plain.slice(0, -1) : plain}`;
    if (goesOn) continue;
    yield [start, held.slice(0, 4_000)];
    held = "";
  }
  if (held !== "") yield [start, held.slice(0, 4_000)];
}
