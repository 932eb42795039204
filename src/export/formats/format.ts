/** An event as text on one line, in the format a sink was told. */
import type { Event } from "../../audit/event.ts";
import type { Format } from "../../config/sink.ts";
import { DeliveryFailure, wordsOf } from "../failure.ts";
import type { Outgoing } from "../record.ts";
import { cefOf } from "./cef.ts";
import { ecsOf } from "./ecs.ts";
import { ocsfOf } from "./ocsf.ts";

/**
 * One line without its newline. JSON in every format but CEF; `native` is the very line of the record. Throws a
 * {@link DeliveryFailure} of this record alone where it is not an event of ours.
 */
export function lineOf(record: Outgoing, format: Format): string {
  if (format === "native") return record.line;
  return madeOf(record, (event) =>
    format === "cef" ? cefOf(event) : JSON.stringify(format === "ocsf" ? ocsfOf(event) : ecsOf(event)),
  );
}

/**
 * What `make` makes of a record. A record whose members are not of their types (another version wrote it) must not hold up
 * all that follow: where `make` throws, so does this, in a way that passes over this one and says so.
 */
export function madeOf<T>(record: Outgoing, make: (event: Event) => T): T {
  try {
    return make(record.event);
  } catch (error) {
    throw new DeliveryFailure(`record ${record.event.seq} is no event of ours: ${wordsOf(error)}`, { tooLarge: true });
  }
}

/** JSON with nothing but printable ASCII in it: the same value to every reader, whatever a line passes through. */
export function asciiJson(json: string): string {
  return json.replaceAll(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
