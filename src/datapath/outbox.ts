/**
 * What a thread of the data path has settled and not told yet, in batches that are ready to send: written, counted and looked through
 * where there is time for it, so that the main thread only hands them on. The DNS firewall's thread uses it as well.
 */
import { BodyWriter } from "../audit/body.ts";
import type { EventBody } from "../audit/event.ts";
import { Tally } from "../audit/tally.ts";
import { maybeSign } from "../detect/sign.ts";
import type { Engine } from "../policy/decision.ts";
import { flowEndBegun } from "./flow-end.ts";
import { flowKey } from "./ledger.ts";
import type { LiveFlow, PackedFlows, ShownName, Told } from "./messages.ts";
import { RecentNames } from "./recent-names.ts";

/** Events, or names, of one batch. */
export const batchSize = 64;

export class Outbox {
  readonly #ready: Told[] = [];
  readonly #names = new RecentNames();
  readonly #bodies = new BodyWriter();
  readonly #tally = new Tally();
  #signs: EventBody[] = [];
  #flows: PackedFlows = { parts: [], since: [], policy: "" };
  #shown: ShownName[] = [];

  /** Events and names not told yet. */
  get size(): number {
    return this.#ready.length * batchSize + this.#open;
  }

  get #open(): number {
    return Math.max(this.#bodies.lines, this.#shown.length);
  }

  /** An event, and the flow behind it where it goes on: let through by `engine`. */
  settle(event: EventBody, live: LiveFlow | null, engine: Engine): void {
    if (this.#flows.policy !== engine.hash) {
      if (this.#flows.parts.length > 0) this.#close();
      this.#flows.policy = engine.hash;
    }
    this.#bodies.add(event);
    this.#tally.count(event);
    const { destination, data } = event;
    if (maybeSign(destination?.name ?? null, destination?.ip ?? "", data?.["speaks"])) this.#signs.push(event);
    if (live !== null) {
      this.#flows.parts.push(flowKey(live), JSON.stringify(live), flowEndBegun(live, engine));
      this.#flows.since.push(live.since);
    }
    if (this.#open >= batchSize) this.#close();
  }

  /** A name that a connection showed. `now` in milliseconds. */
  show(name: ShownName, now: number): void {
    if (!this.#names.isNew(name, now)) return;
    this.#shown.push(name);
    if (this.#open >= batchSize) this.#close();
  }

  /** The oldest batch; an empty one where there is none. */
  take(): Told {
    if (this.#ready.length === 0) this.#close();
    return this.#ready.shift()!;
  }

  #close(): void {
    this.#ready.push({
      bodies: this.#bodies.take(),
      tally: this.#tally.take(),
      signs: this.#signs,
      flows: this.#flows,
      names: this.#shown,
    });
    this.#signs = [];
    this.#shown = [];
    this.#flows = { parts: [], since: [], policy: this.#flows.policy };
  }
}
