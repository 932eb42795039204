/** Cedar as WebAssembly, parsed once (`preparsePolicySet`), one policy for each rule, so that the answer names it as ours does. */
import { preparsePolicySet, statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import { type Decider, hostOf } from "./engine.ts";

export const cedar: Decider = {
  name: "cedar",
  most: 10_000,
  mostQuick: 1_000,
  batch: 1,
  async load(rules) {
    const policies: Record<string, string> = {};
    for (let i = 0; i < rules; i++)
      policies[`r${i}`] = `permit(principal, action == Action::"connect", resource == Host::"${hostOf(i)}");`;
    const id = `bench-${rules}`;
    const parsed = preparsePolicySet(id, { staticPolicies: policies });
    if (parsed.type === "failure") throw new Error(parsed.errors[0]?.message ?? "the policies do not load");
    return (host) => {
      const answer = statefulIsAuthorized({
        principal: { type: "Source", id: "10.21.1.2" },
        action: { type: "Action", id: "connect" },
        resource: { type: "Host", id: host },
        context: {},
        entities: [],
        preparsedPolicySetId: id,
      });
      if (answer.type === "failure") throw new Error(answer.errors[0]?.message ?? "no answer");
      return answer.response.decision === "allow";
    };
  },
};
