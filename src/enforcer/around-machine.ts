/**
 * What an enforcer that stands around its own machine has besides: a cgroup that tells its own DNS questions, the machine's
 * sockets, and the connections from before.
 */
import type { EventBody } from "../audit/event.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import type { AddressBook } from "../flow/book.ts";
import { MachineRuleset } from "../kernel/machine-ruleset.ts";
import { OwnCgroup } from "../kernel/own-cgroup.ts";
import { SocketTable } from "../kernel/socket-table.ts";
import type { Engine } from "../policy/decision.ts";
import { liveFlowOf } from "./adopt-flows.ts";
import { continueFlow, type FoundFlow, forgetDns, listEarlier } from "./earlier-flows.ts";
import { earlierEvent } from "./events.ts";
import type { LiveFlows } from "./live-flows.ts";
import type { MachineStand } from "./options.ts";
import type { PlacedRuleset } from "./rules-for.ts";

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
  settleEarlier({ live, book, engine, record }: Earlier, now: number): void {
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
      const passes = vouched || wouldPass(engine, known);
      record(earlierEvent(known, { kept, passes }, engine));
      if (kept) this.#keep(flow, { ...known, verdict: passes ? "allow" : "would_deny" }, vouched, live, now);
      else this.#end(flow, known, live);
      settled[kept ? "kept" : "ended"]++;
    }
    forgetDns(live.conntrack);
    if (settled.kept + settled.ended > 0) record({ kind: "lifecycle", message: "earlier connections", data: settled });
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

/** Whether the policy lets it through by what is known of it: its addresses. What needs a name does not pass; nobody saw one. */
function wouldPass(engine: Engine, flow: LiveFlow): boolean {
  const { source, destination, local, transport, destinationPort: port, names } = flow;
  const decision = engine.connect({ source, process: null, destination, local, transport, port, names });
  return decision.answer === "allow";
}

const notGuarded = "a network device that came since the start cannot be guarded against packet sockets";

/** Guards network devices that came since the last look. Call it where the machine is, about once a second. Never throws. */
export function guardDevices(ruleset: PlacedRuleset, problems: Set<string>): void {
  if (!(ruleset instanceof MachineRuleset)) return;
  try {
    ruleset.reconcile();
    problems.delete(notGuarded);
  } catch {
    problems.add(notGuarded);
  }
}

/** Whether packet sockets are cut off or only counted is the policy's to say; between links nothing of the kind is there. */
export function guardFor(ruleset: PlacedRuleset, engine: Engine): void {
  if (ruleset instanceof MachineRuleset) ruleset.setDropUnmarked(engine.enforces);
}
