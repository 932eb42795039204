/** What the kernel's rules are made from, out of where an enforcer stands. */
import type { RulesetOptions } from "../kernel/ruleset.ts";
import type { EnforcerOptions } from "./options.ts";

export function rulesFor(options: EnforcerOptions): RulesetOptions {
  return {
    inside: [...options.inside],
    outside: options.outside,
    queueBase: options.queueBase,
    queueCount: options.queues,
    dnsPort: options.dnsPort,
    masquerade: options.masquerade,
    passBareAcks: true,
    passQuicData: true,
    askAnswers: true,
  };
}
