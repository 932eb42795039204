/**
 * Queue threads and the DNS firewall start side by side. Those that are there before it serves wait here, and are what it serves with;
 * one that is started again later is told to it. Whether it serves is what somebody said, and not how many sockets it has.
 */
import type { QueueLink } from "../datapath/pool.ts";

export class EarlyLinks {
  readonly #link: (link: QueueLink) => void;
  readonly #early: QueueLink[] = [];
  #isServed = false;

  /** `link` tells the firewall, once it serves. */
  constructor(link: (link: QueueLink) => void) {
    this.#link = link;
  }

  /** A queue's thread is there. */
  add(link: QueueLink): void {
    if (this.#isServed) this.#link(link);
    else this.#early.push(link);
  }

  /** Those that are there, for the firewall to serve with: it does from now on. */
  serving(): readonly QueueLink[] {
    this.#isServed = true;
    return this.#early.splice(0);
  }
}
