/** Decisions that no rule makes: what is wrong with the packet or the flow itself, under the default's mode. */
import type { Address } from "../address/ip.ts";
import type { Decision, Engine, Stage } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";

const noRules: readonly never[] = [];

/** The default refuses for `reason`, or would refuse where the source is only monitored. */
export function defaultRefusal(engine: Engine, source: Address, reason: Reason, stage: Stage): Decision {
  return refusal(engine, engine.enforcedFor(source), reason, stage);
}

/** Refused whatever the default's mode: the flow could break an enforced rule and its bytes cannot be read. */
export function strictRefusal(engine: Engine, reason: Reason, stage: Stage): Decision {
  return refusal(engine, true, reason, stage);
}

/** A connection that was closed before it carried a byte: its handshake was let through and nothing else happened. */
export function handshakeOnly(engine: Engine): Decision {
  return {
    answer: "allow",
    verdict: "allow",
    enforced: true,
    passes: true,
    reason: "closed",
    stage: "connect",
    tier: 3,
    rule: null,
    monitored: noRules,
    policy: engine.hash,
  };
}

/** The same refusal where a name is missed because what stands in its place is none; other reasons say more. */
export function withInvalidName(decision: Decision): Decision {
  const isMissed = decision.verdict !== "allow" && decision.reason === "missing_name";
  return isMissed ? { ...decision, reason: "invalid_name" } : decision;
}

function refusal(engine: Engine, enforced: boolean, reason: Reason, stage: Stage): Decision {
  return {
    answer: "deny",
    verdict: enforced ? "deny" : "would_deny",
    enforced,
    passes: !enforced,
    reason,
    stage,
    tier: 3,
    rule: null,
    monitored: noRules,
    policy: engine.hash,
  };
}
