/** Events that the enforcer makes itself: a connection ended by a new policy, by a used-up budget, or from before. */
import type { EventBody } from "../audit/event.ts";
import { endpoints } from "../datapath/flow-end.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import { limits } from "../flow/limits.ts";
import type { Engine, Mode, Tier } from "../policy/decision.ts";

/** A budget that is used up. */
export interface UploadUse {
  rule: string;
  tier: Tier;
  mode: Mode;
  enforced: boolean;
  /** Of the rule, and what its source has sent in the window, bytes. */
  limit: number;
  sent: number;
  /** The kernel's count of the connection that used it up. */
  bytes: { up: number; down: number };
}

/** Enforcement begins; `where` says around what. */
export function startedEvent(engine: Engine, where: Record<string, unknown>): EventBody {
  return { kind: "lifecycle", message: "started", data: { pid: process.pid, policy: engine.hash, ...where } };
}

/** A policy is in force: the hashes of the one `before` and of itself, and how many live connections it `ended`. */
export function inForceEvent(data: { file: string; before: string; policy: string; ended: number }): EventBody {
  return { kind: "policy", message: "in force", data };
}

/** A live connection that the policy now in force refuses. */
export function policyChangedEvent(flow: LiveFlow, engine: Engine): EventBody {
  return {
    kind: "connection",
    verdict: "deny",
    enforced: true,
    reason: "policy_changed",
    stage: flow.application === null ? "connect" : "name",
    rule: { name: null, tier: 3, mode: "enforce", policy: engine.hash },
    ...endpoints(flow, engine),
  };
}

/** A connection from before enforcement: it goes on, or is ended. `passes`: the policy would let it through if it began now. */
export function earlierEvent(
  flow: LiveFlow,
  { kept, passes }: { kept: boolean; passes: boolean },
  engine: Engine,
): EventBody {
  return {
    kind: "connection",
    verdict: !kept ? "deny" : passes ? "allow" : "would_deny",
    enforced: !kept || passes,
    reason: "earlier",
    stage: "connect",
    rule: { name: null, tier: 3, mode: kept && !passes ? "monitor" : "enforce", policy: engine.hash },
    ...endpoints(flow, engine),
  };
}

/** A live connection under a rule whose budget its source has used up: ended, or in monitor mode only told. */
export function uploadLimitEvent(flow: LiveFlow, use: UploadUse, engine: Engine): EventBody {
  return {
    kind: "connection",
    ...overUse(use, engine),
    stage: flow.application === null ? "connect" : "name",
    ...endpoints(flow, engine),
  };
}

/** A source has used up a rule's budget; `flow` is the connection that did it, `ended` how many were ended for it. */
export function uploadDetectionEvent(flow: LiveFlow, use: UploadUse, ended: number, engine: Engine): EventBody {
  const { limit, sent, bytes } = use;
  return {
    kind: "detection",
    ...overUse(use, engine),
    ...endpoints(flow, engine),
    bytes,
    detection: { type: "upload_limit", limit, sent, window_s: limits.uploadWindowMs / 1000, ended },
  };
}

function overUse({ rule, tier, mode, enforced }: UploadUse, engine: Engine) {
  return {
    verdict: enforced ? ("deny" as const) : ("would_deny" as const),
    enforced,
    reason: "upload_limit" as const,
    rule: { name: rule, tier, mode, policy: engine.hash },
  };
}
