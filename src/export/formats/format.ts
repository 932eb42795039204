/** An event as text on one line, in the format a sink was told. */
import type { Event } from "../../audit/event.ts";
import type { Format } from "../../config/sink.ts";
import type { Outgoing } from "../record.ts";
import { cefOf } from "./cef.ts";
import { ecsOf } from "./ecs.ts";
import { ocsfOf } from "./ocsf.ts";

/** One line without its newline. JSON in every format but CEF; `native` is the very line of the record. */
export function lineOf({ event, line }: Outgoing, format: Format): string {
  if (format === "native") return line;
  if (format === "cef") return cefOf(event);
  return JSON.stringify(objectOf(event, format));
}

/** The event as an object of a format that is JSON. */
export function objectOf(event: Event, format: Exclude<Format, "cef">): object {
  if (format === "ocsf") return ocsfOf(event);
  return format === "ecs" ? ecsOf(event) : event;
}

/** JSON with nothing but printable ASCII in it: the same value to every reader, whatever a line passes through. */
export function asciiJson(json: string): string {
  return json.replaceAll(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
