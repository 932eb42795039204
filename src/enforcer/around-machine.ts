/**
 * What an enforcer that stands around its own machine has besides: a cgroup that tells its own DNS questions, the machine's
 * sockets, and the connections from before.
 */
import type { EventBody } from "../audit/event.ts";
import { stillPasses } from "../datapath/ledger.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import type { AddressBook } from "../flow/book.ts";
import { OwnCgroup } from "../kernel/own-cgroup.ts";
import { SocketTable } from "../kernel/socket-table.ts";
import type { Engine } from "../policy/decision.ts";
import { liveFlowOf } from "./adopt-flows.ts";
import { continueFlow, type FoundFlow, forgetDns, listEarlier } from "./earlier-flows.ts";
import { earlierEvent } from "./events.ts";
import type { LiveFlows } from "./live-flows.ts";
import type { MachineStand } from "./options.ts";

export interface Earlier {
  live: LiveFlows;
  book: AddressBook;
  engine: Engine;
  record: (event: EventBody) => void;
}

export class AroundMachine {
  readonly cgroup: OwnCgroup;
  readonly sockets: SocketTable;
  readonly #stand: MachineStand;

  /** Joins the cgroup, and opens a socket where the machine is: make it there, before anything else is opened. */
  constructor(stand: MachineStand) {
    this.#stand = stand;
    this.cgroup = OwnCgroup.join(stand.cgroup);
    this.sockets = new SocketTable();
  }

  /**
   * Settles the connections from before, each with an event: those from outside go on; of the others under enforcement only
   * those that somebody vouches for. Call it where the machine is, before the ruleset is applied.
   */
  settleEarlier({ live, book, engine, record }: Earlier, now: number): { kept: number; ended: number } {
    const settled = { kept: 0, ended: 0 };
    for (const flow of listEarlier(live.conntrack, this.sockets, this.#stand.uplinks)) {
      if (flow.direction === "in") {
        continueFlow(flow, live.conntrack);
        settled.kept++;
        continue;
      }
      const vouched = this.#stand.keep(flow);
      const known = liveFlowOf(flow, book, engine, now);
      const kept = vouched || !engine.enforcedFor(flow.source);
      const passes = vouched || stillPasses(engine, known, (address) => book.names(address, null, now));
      record(earlierEvent(known, { kept, passes }, engine));
      if (kept) this.#keep(flow, { ...known, verdict: passes ? "allow" : "would_deny" }, vouched, live, now);
      else this.#end(flow, known, live);
      settled[kept ? "kept" : "ended"]++;
    }
    forgetDns(live.conntrack);
    return settled;
  }

  /** Takes back what the constructor did. */
  close(): void {
    this.sockets.close();
    this.cgroup.leave();
  }

  #keep(flow: FoundFlow, known: LiveFlow, vouched: boolean, live: LiveFlows, now: number): void {
    if (continueFlow(flow, live.conntrack)) live.take(known, vouched, now);
  }

  /** A datagram's flow is forgotten rather than refused: its next one is a beginning. */
  #end(flow: FoundFlow, known: LiveFlow, live: LiveFlows): void {
    if (flow.own !== null) this.sockets.destroy(flow.own);
    if (flow.protocol === 17 && flow.entry !== null) live.conntrack.remove(flow.entry);
    else live.endUnknown(known);
  }
}
