/** A worker that applies a ruleset in a namespace over and over, `times` times, and then says so. */
import { parentPort, workerData } from "node:worker_threads";
import { inNamespace } from "../namespace.ts";
import { Ruleset, type RulesetOptions } from "../ruleset.ts";

const { namespace, options, times } = workerData as { namespace: string; options: RulesetOptions; times: number };
const states = inNamespace(namespace, () => {
  const ruleset = new Ruleset(options);
  return Array.from({ length: times }, () => {
    ruleset.apply();
    return ruleset.state();
  });
});
parentPort!.postMessage(states);
