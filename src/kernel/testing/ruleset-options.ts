/** The ruleset of a gateway that stands in the lab of this folder, for its tests. */
import type { RulesetOptions } from "../ruleset.ts";

export const rulesetOptions: RulesetOptions = {
  inside: ["in0"],
  outside: "out0",
  queueBase: 200,
  queueCount: 1,
  dnsPort: 5300,
  masquerade: true,
};
