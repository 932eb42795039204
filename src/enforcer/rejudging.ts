/**
 * Live flows judged again by a new policy (threat T8): a table may hold a hundred thousand, of which most differ in nothing that a policy
 * looks at.
 */
import type { FlowKind } from "../datapath/flow-kind.ts";
import { placesOf } from "../datapath/flow-kind.ts";
import { type Live, mustBeRead, stillPasses, type TrustedNames } from "../datapath/ledger.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import type { Engine } from "../policy/decision.ts";

export interface Rejudged {
  /** It goes on. */
  passes: boolean;
  /** Its packets would be read if it began now (see {@link mustBeRead}). */
  isRead: boolean;
}

/** By one policy at one time: make another one for the next. */
export class Rejudging {
  readonly #engine: Engine;
  readonly #names: TrustedNames;
  /** By kind, and by who and where to: the port of the one who opened it and the time it began are nothing to a policy. */
  readonly #known = new Map<FlowKind, Map<string, Rejudged>>();

  constructor(engine: Engine, names: TrustedNames) {
    this.#engine = engine;
    this.#names = names;
  }

  of(live: Live): Rejudged {
    const { kind } = live;
    // One that was made whole may know more than its kind.
    if (kind === null || live.known !== null) return this.#judge(live.flow);
    let alike = this.#known.get(kind);
    if (alike === undefined) this.#known.set(kind, (alike = new Map()));
    const places = placesOf(live.key);
    let judged = alike.get(places);
    if (judged === undefined) alike.set(places, (judged = this.#judge(live.copy)));
    return judged;
  }

  #judge(flow: LiveFlow): Rejudged {
    const passes = stillPasses(this.#engine, flow, this.#names);
    return { passes, isRead: passes && mustBeRead(this.#engine, flow, this.#names) };
  }
}
