/**
 * What a run contacted, a row a destination: the table at its end and the report's `destinations`. Fed with events as they
 * are recorded.
 */
import type { EventBody } from "../audit/event.ts";

export interface Destination {
  name: string | null;
  /** The first address seen. Null where a name was refused before it had one; name and address null: all the rest. */
  ip: string | null;
  port: number | null;
  protocol: string;
  verdict: "allow" | "deny" | "would_deny";
  enforced: boolean;
  /** Null: the default decided. */
  rule: string | null;
  tier: number;
  reason: string;
  connections: number;
  bytes_up: number;
  bytes_down: number;
  /** Some hello carried Encrypted Client Hello. */
  ech: boolean;
}

/** A job that tries a new address every millisecond must not fill our memory; the record has each of them. */
const mostRows = 5_000;

export class Destinations {
  readonly #rows = new Map<string, Destination>();
  /** `source port → destination` of connections, to give a connection's end to its row. */
  readonly #open = new Map<string, Destination>();

  /** Takes an event; returns the row it began, if it began one. */
  add(event: EventBody): Destination | null {
    if (event.kind === "flow_end") {
      this.#end(event);
      return null;
    }
    const isRefusedName = event.kind === "dns" && event.verdict !== "allow";
    if (event.kind !== "connection" && !isRefusedName) return null;
    const { destination } = event;
    if (destination === undefined || event.verdict === undefined) return null;
    const isName = event.kind === "dns";
    const key = [
      destination.name ?? destination.ip,
      isName ? "dns" : destination.port,
      destination.protocol,
      event.verdict,
      event.rule?.name,
      event.reason,
    ].join("\0");
    const isOther = this.#rows.size >= mostRows && !this.#rows.has(key);
    const known = this.#rows.get(isOther ? `others ${event.verdict}` : key);
    const row: Destination = known ?? {
      name: isOther ? null : destination.name,
      ip: isName || isOther ? null : (destination.ip ?? null),
      port: isName || isOther ? null : (destination.port ?? null),
      protocol: destination.protocol,
      verdict: event.verdict,
      enforced: event.enforced ?? true,
      rule: event.rule?.name ?? null,
      tier: event.rule?.tier ?? 3,
      reason: event.reason ?? "default",
      connections: 0,
      bytes_up: 0,
      bytes_down: 0,
      ech: false,
    };
    row.ech ||= event.tls?.ech === true;
    row.connections += event.count ?? 1;
    if (!isName && event.verdict !== "deny") this.#open.set(flowOf(event), row);
    if (known !== undefined) return null;
    this.#rows.set(isOther ? `others ${event.verdict}` : key, row);
    return row;
  }

  /** True when something was refused (not merely would have been). */
  get denied(): boolean {
    return [...this.#rows.values()].some((row) => row.verdict === "deny");
  }

  /**
   * The rows, refused ones last. A name that was only looked up under monitor mode and then connected to is one row, the
   * connection's.
   */
  rows(): Destination[] {
    const contacted = new Set([...this.#rows.values()].filter((row) => row.ip !== null).map((row) => row.name));
    const order = { allow: 0, would_deny: 1, deny: 2 } as const;
    return [...this.#rows.values()]
      .filter((row) => row.protocol !== "dns" || row.verdict === "deny" || !contacted.has(row.name))
      .toSorted(
        (a, b) =>
          order[a.verdict] - order[b.verdict] ||
          (a.name ?? a.ip ?? "").localeCompare(b.name ?? b.ip ?? "") ||
          (a.port ?? 0) - (b.port ?? 0),
      );
  }

  #end(event: EventBody): void {
    const row = this.#open.get(flowOf(event));
    if (row === undefined || event.bytes === undefined) return;
    row.bytes_up += event.bytes.up;
    row.bytes_down += event.bytes.down;
    this.#open.delete(flowOf(event));
  }
}

function flowOf(event: EventBody): string {
  return [event.source?.ip, event.source?.port, event.destination?.ip, event.destination?.port].join("|");
}
