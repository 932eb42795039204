/** What the kernel's rules are made from, out of where an enforcer stands. */
import { SallyportError } from "../errors.ts";
import { MachineRuleset } from "../kernel/machine-ruleset.ts";
import { type Reading, Ruleset, type RulesetState } from "../kernel/ruleset.ts";
import type { EnforcerOptions } from "./options.ts";

/** A ruleset, whichever it is. */
export interface PlacedRuleset {
  readonly fingerprint: string | null;
  /** On a machine, once applied: whether this kernel bounds packet sockets. */
  readonly guardsEgress?: boolean;
  apply: () => void;
  state: (expected?: string | null) => RulesetState;
  /** The same while the event loop goes on. */
  look: () => Promise<RulesetState>;
  remove: () => void;
}

/**
 * @param unread whether the kernel passes what needs no reading; see `Unread` of `kernel/rule-parts.ts`
 * @param cgroup the path of our own cgroup, on a machine
 */
export function rulesetFor(options: EnforcerOptions, unread: boolean, cgroup: string | null): PlacedRuleset {
  const { stand, queueBase, queues, dnsPort } = options;
  const common = {
    queueBase,
    queueCount: queues,
    dnsPort,
    passBareAcks: unread,
    passQuicData: unread,
    askAnswers: true,
  };
  if (stand.kind === "machine") {
    const dropUnmarked = options.policy.loaded.engine.enforces;
    return new MachineRuleset({ ...common, uplinks: stand.uplinks, cgroup: cgroup ?? "" }, dropUnmarked);
  }
  const { inside, outside, masquerade } = stand;
  return new Ruleset({ ...common, inside: [...inside], outside, masquerade });
}

/** Applies a ruleset, or where this kernel has not all it asks for the one that `lesser` makes; returns which one it was. */
export function applied(ruleset: PlacedRuleset, lesser: () => PlacedRuleset): PlacedRuleset {
  try {
    ruleset.apply();
    return ruleset;
  } catch (error) {
    return appliedInstead(error, lesser);
  }
}

/** How a machine's ruleset stands before it is applied. */
export interface Survey {
  ruleset: MachineRuleset;
  state: RulesetState;
  found: Reading;
}

/**
 * Reads it while the event loop goes on. Null where that cannot be: between links, and in a namespace that this thread is in now
 * and then. Who does not wait for it need not know that it failed.
 */
export function surveyAside(
  ruleset: PlacedRuleset,
  { namespace }: Pick<EnforcerOptions, "namespace">,
): Promise<Survey | null> {
  if (!(ruleset instanceof MachineRuleset) || namespace !== null) return Promise.resolve(null);
  const survey = ruleset.survey().then((each) => ({ ruleset, ...each }));
  survey.catch(() => {});
  return survey;
}

/** {@link applied}, while the event loop goes on. */
export async function appliedAside({ ruleset, found }: Survey, lesser: () => PlacedRuleset): Promise<PlacedRuleset> {
  try {
    await ruleset.applyAside(found);
    return ruleset;
  } catch (error) {
    return appliedInstead(error, lesser);
  }
}

function appliedInstead(error: unknown, lesser: () => PlacedRuleset): PlacedRuleset {
  if (!(error instanceof SallyportError && error.code === "RULESET")) throw error;
  const other = lesser();
  other.apply();
  return other;
}
