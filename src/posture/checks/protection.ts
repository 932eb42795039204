/** RG-14 by the API: whether the default branch asks for a review by code owners, so that CODEOWNERS binds. */
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { fieldsOf } from "./settings.ts";
import type { Said } from "./settings.ts";

/** `rules`: the branch's rules from every ruleset; `protection`: the older setting, which only administrators see. */
export function checkProtection(name: string, branch: string, rules: Said, protection: Said): Finding {
  const common = { rule: "RG-14", check: "review-required", subject: `${name}: branch ${branch}` } as const;
  const list = Array.isArray(rules.value) ? (rules.value as unknown[]) : null;
  const byRule = list?.some((each) => {
    const { type, parameters } = fieldsOf(each) ?? {};
    return type === "pull_request" && fieldsOf(parameters)?.["require_code_owner_review"] === true;
  });
  const reviews = fieldsOf(fieldsOf(protection.value)?.["required_pull_request_reviews"]);
  const field = "require_code_owner_review";
  if (byRule === true) {
    const where = { kind: "api", endpoint: rules.endpoint, field } as const;
    return finding({ ...common, status: "pass", seen: "a ruleset requires code owners' review", where });
  }
  const where = { kind: "api", endpoint: protection.endpoint, field: "require_code_owner_reviews" } as const;
  if (reviews?.["require_code_owner_reviews"] === true)
    return finding({ ...common, status: "pass", seen: "branch protection requires code owners' review", where });
  const fix = "Require a pull request with code owners' review by a ruleset on the default branch.";
  // 404 with this text is an answer: there is no such protection.
  const isNone = protection.value !== null || /Branch not protected/i.test(protection.why ?? "");
  if (list !== null && isNone)
    return finding({
      ...common,
      status: "fail",
      seen: "neither a ruleset nor branch protection requires it",
      where,
      fix,
    });
  const why = list === null ? rules.why : protection.why;
  const seen = `whether code owners' review is required was not seen: ${why ?? "the answer is no list"}`;
  return finding({ ...common, status: "unknown", seen, where, fix });
}
