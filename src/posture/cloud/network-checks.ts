/** Which rule of the runner policy each check of a runner's network belongs to. */
import type { NetworkCheck } from "../../network/finding.ts";
import type { RuleId } from "../catalogue.ts";

export const ruleOfNetwork: Readonly<Record<NetworkCheck, RuleId>> = {
  unreadable: "RG-19",
  "no-subnet": "RG-19",
  "internal-route": "RG-19",
  "internal-neighbours": "RG-19",
  "way-out": "RG-19",
  "way-out-ipv6": "RG-19",
  "way-out-unknown": "RG-19",
  resolver: "RG-19",
  "endpoint-policy": "RG-19",
  "metadata-tokens": "RG-20",
  "metadata-hops": "RG-20",
  "user-data": "RG-20",
};
