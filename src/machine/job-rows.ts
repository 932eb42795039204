/**
 * What a job contacted, for its report: one row for each destination and whoever asked for it. Fed with the record's events.
 * A job that tries a new address every millisecond must not fill our memory: what is over the limit is one row for each verdict
 * and step, and the record has each of them.
 */
import type { EventBody, EventProcess } from "../audit/event.ts";
import type { FlowView } from "../enforcer/status.ts";

export interface JobRow {
  verdict: "allow" | "deny" | "would_deny";
  reason: string;
  /** Null: the default decided. */
  rule: string | null;
  tier: number;
  /** Null with a null `ip`: all others. */
  name: string | null;
  ip: string | null;
  port: number | null;
  protocol: string;
  /** The first one seen; null where nobody could be found. */
  process: EventProcess | null;
  count: number;
  /** RFC 3339. */
  first: string;
  last: string;
  bytes_up: number;
  bytes_down: number;
  /** Some hello carried Encrypted Client Hello. */
  ech: boolean;
}

const mostRows = 2_000;
const mostOpen = 100_000;

export class JobRows {
  readonly #rows = new Map<string, JobRow>();
  /** Connections whose end has not been seen, by their ports and addresses. */
  readonly #open = new Map<string, JobRow>();

  add(event: EventBody & { time: string }): void {
    if (event.kind === "flow_end") return this.#end(event);
    const isRefusedName = event.kind === "dns" && event.verdict !== "allow";
    if (event.kind !== "connection" && !isRefusedName) return;
    const { destination, verdict } = event;
    if (verdict === undefined) return;
    const process = event.process ?? null;
    const who =
      process === null
        ? ""
        : [process.step_number, process.step_by, process.exe, process.container?.id, process.runner].join("|");
    const where = isRefusedName ? "dns" : `${destination?.port}`;
    const what = [
      destination?.name ?? destination?.ip,
      where,
      destination?.protocol,
      verdict,
      event.rule?.name,
      event.reason,
    ];
    let key = [who, ...what].join("\0");
    const isOther = !this.#rows.has(key) && this.#rows.size >= mostRows;
    if (isOther) key = `others\0${verdict}\0${process?.step_number}`;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = {
        verdict,
        reason: event.reason ?? "default",
        rule: event.rule?.name ?? null,
        tier: event.rule?.tier ?? 3,
        name: isOther ? null : (destination?.name ?? null),
        ip: isOther || isRefusedName ? null : (destination?.ip ?? null),
        port: isOther || isRefusedName ? null : (destination?.port ?? null),
        protocol: isRefusedName ? "dns" : (destination?.protocol ?? "many"),
        process,
        count: 0,
        first: event.first ?? event.time,
        last: event.last ?? event.time,
        bytes_up: 0,
        bytes_down: 0,
        ech: false,
      };
      this.#rows.set(key, row);
    }
    row.count += event.count ?? 1;
    row.last = event.last ?? event.time;
    row.ech ||= event.tls?.ech === true;
    if (!isRefusedName && verdict !== "deny" && this.#open.size < mostOpen) this.#open.set(flowOf(event), row);
  }

  /** A connection that is still open, or that the kernel has not forgotten yet, with its counts so far. */
  live({ source, source_port, destination, destination_port, bytes_up, bytes_down }: FlowView): void {
    const row = this.#open.get(`${source}|${source_port}|${destination}|${destination_port}`);
    if (row === undefined) return;
    row.bytes_up += bytes_up;
    row.bytes_down += bytes_down;
  }

  /** Refused ones first, then by step and destination. */
  rows(): JobRow[] {
    const order = { deny: 0, would_deny: 1, allow: 2 } as const;
    const step = ({ process }: JobRow) => process?.step_number ?? -1;
    const where = ({ name, ip }: JobRow) => name ?? ip ?? "\uffff";
    return [...this.#rows.values()].toSorted(
      (a, b) =>
        order[a.verdict] - order[b.verdict] ||
        step(a) - step(b) ||
        (where(a) < where(b) ? -1 : where(a) > where(b) ? 1 : (a.port ?? 0) - (b.port ?? 0)),
    );
  }

  #end(event: EventBody): void {
    const flow = flowOf(event);
    const row = this.#open.get(flow);
    if (row === undefined || event.bytes === undefined) return;
    row.bytes_up += event.bytes.up;
    row.bytes_down += event.bytes.down;
    this.#open.delete(flow);
  }
}

function flowOf({ source, destination }: EventBody): string {
  return `${source?.ip}|${source?.port}|${destination?.ip}|${destination?.port}`;
}
