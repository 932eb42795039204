/** What crosses between the main thread and the DNS firewall's. Plain data only, and ports. */
import type { MessagePort } from "node:worker_threads";
import type { AttributionOptions } from "../datapath/attribution.ts";
import type { PolicyAt, Told } from "../datapath/messages.ts";
import type { QueueLink } from "../datapath/pool.ts";
import type { DnsStats, Endpoint } from "../dns/types.ts";
import type { Binding } from "../flow/book.ts";
import type { HistogramCounts } from "../metrics/histogram.ts";
import type { TableBeginning } from "../process/table.ts";
import type { PolicyPart } from "../policy/parts.ts";
import type { Opened } from "./listeners.ts";

/** Whose a question is, on the machine it comes from. */
export interface AskersOptions extends Pick<AttributionOptions, "worker" | "secrets" | "notes" | "calls"> {
  /** How long descriptor tables may be searched for the asker of one question, ms. */
  searchFor: number;
  /** What another thread's table has read. */
  beginning?: TableBeginning;
}

/** How the thread is set up. It answers {@link FromDns} `ready` on its own port; everything else goes by `port`. */
export interface DnsSetup {
  /** Where the interfaces are; null: where the process is. */
  namespace: string | null;
  policy: PolicyAt;
  upstreams: readonly Endpoint[];
  deny: "nxdomain" | "refused";
  /** Around a machine: all who ask are one sender, and its own addresses may be servers'. */
  isMachine: boolean;
  askers: AskersOptions | null;
  port: MessagePort;
  /** Events and names told to the main thread that it has taken. */
  taken: Int32Array<SharedArrayBuffer>;
  /** Counted up by the thread for as long as it goes on, several times a second: see `Pulse`. */
  beats: Int32Array<SharedArrayBuffer>;
}

/** What is answered with {@link FromDns} `done`. */
export type DnsOrder =
  /** Serve these sockets, which are the thread's own from now on, and bind names in these threads. */
  | { kind: "serve"; sockets: readonly Opened[]; links: readonly QueueLink[] }
  /** Have a policy ready, which comes in parts. The one in force goes on answering meanwhile. */
  | { kind: "prepare"; part: PolicyPart }
  /** What was prepared is in force from now on. */
  | { kind: "commit" }
  /** Tell everything that there is to tell, refusals that are being counted too. */
  | { kind: "tell" }
  | { kind: "look" }
  /** Stop serving, close the sockets, tell the last. */
  | { kind: "close" };

export type ToDns = (DnsOrder & { sequence: number }) | { kind: "link"; link: QueueLink };

/** How the firewall stands. */
export interface DnsStanding {
  stats: DnsStats;
  /** How long answers took. */
  times: HistogramCounts;
}

export type FromDns =
  | { kind: "told"; told: Told; bindings: Binding[] }
  | { kind: "done"; sequence: number; standing: DnsStanding }
  | { kind: "refused"; sequence: number; message: string };
