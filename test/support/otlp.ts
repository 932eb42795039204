/**
 * An OTLP request read by OpenTelemetry's own protobuf definitions, as its JavaScript implementation ships them: an
 * ExportLogsServiceRequest of opentelemetry-proto, and no member besides. What protobuf's JSON mapping allows and OTLP forbids
 * (names of enumeration values) or the other way round (hexadecimal ids) is checked here.
 */
// The definitions alone, without what makes requests from OpenTelemetry's own objects.
import definitions from "@opentelemetry/otlp-transformer/build/src/generated/root.js";

interface MessageType {
  verify(message: object): string | null;
  fromObject(object: object): object;
  toObject(message: object, options: object): object;
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
}

const root = definitions as unknown as {
  opentelemetry: { proto: { collector: { logs: { v1: { ExportLogsServiceRequest: MessageType } } } } };
};
const { ExportLogsServiceRequest } = root.opentelemetry.proto.collector.logs.v1;

/**
 * The request as a receiver has it after the wire: encoded as protobuf and decoded again. 64-bit numbers are strings, bytes
 * base64. Throws where a member is unknown or of the wrong type.
 */
export function otlpLogs(json: string): object {
  const object = JSON.parse(json) as object;
  const message = ExportLogsServiceRequest.fromObject(object);
  const wrong = ExportLogsServiceRequest.verify(message);
  if (wrong !== null) throw new Error(wrong);
  const decoded = ExportLogsServiceRequest.decode(ExportLogsServiceRequest.encode(message).finish());
  const read = ExportLogsServiceRequest.toObject(decoded, { longs: String, bytes: String, enums: Number });
  sameMembers(object, read, "request");
  return read;
}

/** Definitions skip members that they do not know, and turn one kind of value into another; a strict reader does neither. */
function sameMembers(sent: unknown, read: unknown, path: string): void {
  if (typeof sent !== "object" || sent === null) {
    if (sent !== read) throw new Error(`${path}: ${JSON.stringify(sent)} was read as ${JSON.stringify(read)}`);
    return;
  }
  if (typeof read !== "object" || read === null) throw new Error(`${path}: no member of this type`);
  if (Array.isArray(sent) !== Array.isArray(read)) throw new Error(`${path}: a list, or none`);
  for (const [name, value] of Object.entries(sent)) {
    sameMembers(value, (read as Record<string, unknown>)[name], `${path}.${name}`);
  }
}
