/**
 * What a thread of the data path has settled and not told yet, in batches that are ready to send: written, counted and looked through
 * where there is time for it, so that the main thread only hands them on. The DNS firewall's thread uses it as well.
 */
import { BodyWriter } from "../audit/body.ts";
import type { EventBody } from "../audit/event.ts";
import { Tally } from "../audit/tally.ts";
import { maybeSign } from "../detect/sign.ts";
import type { Engine } from "../policy/decision.ts";
import { flowKey, FlowKindWriter } from "./flow-kind.ts";
import type { LiveFlow, PackedFlows, ShownName, Told } from "./messages.ts";
import { RecentNames } from "./recent-names.ts";

/** Events, or names, of one batch. */
export const batchSize = 64;
/**
 * Kinds of flows in one batch, in UTF-16 units: past it the batch is closed, and counts for as much as a full one. A kind may be as long
 * as all the names of an address together; what waits here is bounded by its number, and so by its size.
 */
const batchKindUnits = 256 * 1024;

export class Outbox {
  readonly #ready: Told[] = [];
  readonly #names = new RecentNames();
  readonly #bodies = new BodyWriter();
  readonly #tally = new Tally();
  #signs: EventBody[] = [];
  readonly #writer = new FlowKindWriter();
  /** Numbers of the kinds in the open batch. */
  readonly #kinds = new Map<string, number>();
  #kindUnits = 0;
  #flows = noFlows();
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
    this.#bodies.add(event);
    this.#tally.count(event);
    const { destination, data } = event;
    if (maybeSign(destination?.name ?? null, destination?.ip ?? "", data?.["speaks"])) this.#signs.push(event);
    if (live !== null) this.#begin(live, engine);
    if (this.#open >= batchSize || this.#kindUnits >= batchKindUnits) this.#close();
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

  #begin(live: LiveFlow, engine: Engine): void {
    const { keys, kindOf, since, kinds } = this.#flows;
    const text = this.#writer.textOf(live, engine);
    let kind = this.#kinds.get(text);
    if (kind === undefined) {
      this.#kinds.set(text, (kind = kinds.length));
      kinds.push(text);
      this.#kindUnits += text.length;
    }
    keys.push(flowKey(live));
    kindOf.push(kind);
    since.push(live.since);
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
    this.#flows = noFlows();
    this.#kinds.clear();
    this.#kindUnits = 0;
  }
}

function noFlows(): PackedFlows {
  return { keys: [], kindOf: [], since: [], kinds: [] };
}
