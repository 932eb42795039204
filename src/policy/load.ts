/**
 * A policy file's text in, an engine out; or every problem of the file at once. The one way a policy comes into force:
 * the command line, the gateway, the Action and `sallyport run --allow` all pass through here, and each worker thread
 * rebuilds its engine from the same text. Pure: the caller reads the file and the clock.
 */
import { createHash } from "node:crypto";
import { compile } from "./compile.ts";
import type { Engine } from "./decision.ts";
import { readDocument } from "./document.ts";
import { lint } from "./lint.ts";
import { nextChange } from "./model.ts";
import type { Policy } from "./model.ts";
import { Problems } from "./problem.ts";
import type { Problem } from "./problem.ts";
import { resolvePolicy } from "./resolve.ts";
import { findUnreachable } from "./shadow.ts";
import { checkShape } from "./shape.ts";

/** A policy in force. */
export interface LoadedPolicy {
  readonly engine: Engine;
  readonly policy: Policy;
  /** What loads but deserves a look (expired rules, opaque names, wide wildcards). */
  readonly warnings: readonly Problem[];
  /** When some rule expires or turns from monitor to enforce: load again then. Null when nothing will change. */
  readonly nextChange: Date | null;
}

/** Every problem of a file that does not load, in the order of the file; never empty. */
export interface PolicyProblems {
  readonly problems: readonly Problem[];
}

/** True for the failure arm of {@link loadPolicy} and {@link readPolicy}. */
export function isPolicyProblems(value: object): value is PolicyProblems {
  return "problems" in value;
}

/**
 * Loads and compiles a policy. `file` is for messages only. `now` decides which rules have expired and which monitor
 * rules have become enforcing. Never throws, whatever the text.
 */
export function loadPolicy(text: string, file: string, now: Date): LoadedPolicy | PolicyProblems {
  const policy = readPolicy(text, file);
  if (isPolicyProblems(policy)) return policy;
  const at = now.getTime();
  return {
    engine: compile(policy, at),
    policy,
    warnings: lint(policy, at),
    nextChange: nextChange(policy, at),
  };
}

/** The policy of a file without an engine: for reports, differences and the reference evaluator. */
export function readPolicy(text: string, file: string): Policy | PolicyProblems {
  const problems = new Problems(file);
  const document = readDocument(text, problems);
  if (document === null) return { problems: problems.list };
  const shaped = checkShape(document, problems);
  const hash = createHash("sha256").update(text).digest("hex");
  const policy = resolvePolicy(shaped, document, problems, hash, file);
  if (problems.count === 0) findUnreachable(policy, document, problems);
  return problems.count === 0 ? policy : { problems: problems.list };
}
