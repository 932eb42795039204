/** Records as sinks get them, for tests of this room. */
import { readHead } from "../../audit/segment.ts";
import type { Event, EventBody } from "../../audit/event.ts";
import { Courier, type CourierOptions, type Sink } from "../courier.ts";
import { Cursor } from "../cursor.ts";
import type { Outgoing } from "../record.ts";

/** One record with this body. */
export function outgoing(body: Partial<EventBody>, seq = 7): Outgoing {
  const event: Event = {
    schema: "sallyport.event/1",
    time: "2026-05-04T09:12:31.204518Z",
    id: "01KQS0C7ZM3T9V8Q4B5N6P7R8S",
    seq,
    prev: "5f".repeat(32),
    kind: "connection",
    ...body,
    hash: "c1".repeat(32),
  };
  return { event, line: JSON.stringify(event), at: { seq, hash: event.hash, segment: 1, offset: 0 } };
}

export interface Running {
  courier: Courier;
  incidents: { message: string; data: Record<string, unknown> }[];
  /** Looks at the head again, as the exporter's process does four times a second. */
  look: () => Promise<void>;
  stop: () => Promise<void>;
}

/** A courier over a real record, with short waits. */
export async function runCourier(
  state: string,
  sink: Sink,
  more: Partial<CourierOptions> & { name?: string } = {},
): Promise<Running> {
  const name = more.name ?? "sink";
  let durable = 0;
  const incidents: Running["incidents"] = [];
  const look = async () => {
    const head = await readHead(state);
    if (head !== null && head !== "damaged") durable = head.seq;
    courier.wake();
  };
  const courier = new Courier({
    state,
    name,
    sink,
    cursor: new Cursor(state, name),
    durable: () => durable,
    incident: (message, data) => incidents.push({ message, data }),
    chance: () => 0,
    ...more,
  });
  await look();
  const over = courier.run();
  const stop = async () => {
    courier.stop();
    await over;
  };
  return { courier, incidents, look, stop };
}
