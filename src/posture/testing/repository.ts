/** A repository made of texts, and what the checks say of it. */
import { checkRepository } from "../checks/repository.ts";
import type { Frame, RepositoryFacts } from "../facts.ts";
import type { Finding } from "../finding.ts";
import { githubValidator } from "../sources/parser-schema.ts";

export const now = new Date("2026-11-01T00:00:00Z");
export const sha = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
export const frame: Frame = {
  now,
  own: "sallyport/sallyport",
  auditDays: 30,
  changed: () => null,
  largerRunners: null,
};
export const validate = githubValidator();

export function repository(
  workflows: Readonly<Record<string, string>>,
  more: Partial<RepositoryFacts> = {},
): RepositoryFacts {
  return {
    name: null,
    visibility: null,
    workflows: Object.entries(workflows).map(([name, text]) => ({ path: `.github/workflows/${name}`, text })),
    unread: [],
    called: [],
    notCalled: [],
    files: new Map(),
    paths: [],
    infrastructure: [],
    notRead: null,
    ...more,
  };
}

export function check(facts: RepositoryFacts, about: Partial<Frame> = {}): Finding[] {
  return [...checkRepository(facts, { defaultPermissions: null }, { ...frame, ...about }, validate).findings];
}

/** One workflow with one job: `on`, `runs-on` and the steps as lines of YAML. */
export function job(on: string, runsOn: string, steps: string, besides = ""): string {
  return `on: ${on}\npermissions: {}\njobs:\n  build:\n    runs-on: ${runsOn}\n${besides}    steps:\n${steps}\n`;
}
