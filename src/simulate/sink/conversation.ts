/**
 * One connection as the sink holds it: finds out what is spoken (HTTP, DNS, SOCKS, or nothing it knows), tells the witness
 * what it read, and answers with the echo of what it saw, so that a client with the token knows that it got through.
 */
import type { Duplex } from "node:stream";
import { echoOf } from "../canary.ts";
import { answerTo, type Zone } from "./name-server.ts";
import type { Sighting, Witness } from "./witness.ts";

/** Answers for the sink's own paths (`/.sallyport/…`); null: no such path. */
export type Control = (path: string, body: string) => string | null;

export interface Surroundings {
  token: string;
  witness: Witness;
  zone: Zone;
  control: Control;
}

const mostHeld = 1 << 16;

/** Talks until the other side ends. */
export function converseOn(stream: Duplex, channel: Sighting["channel"], where: string, around: Surroundings): void {
  let held = Buffer.alloc(0);
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]).subarray(-mostHeld);
    around.witness.see(held, channel, where);
    for (let used = speak(stream, held, channel, where, around); used > 0 && held.length > 0;) {
      held = held.subarray(used);
      used = held.length === 0 ? 0 : speak(stream, held, channel, where, around);
    }
  });
  stream.on("end", () => stream.end());
}

/** Answers one whole message at the start of what is held; returns how many bytes it was, 0 while it is not whole. */
function speak(
  stream: Duplex,
  held: Buffer,
  channel: Sighting["channel"],
  where: string,
  { token, witness, zone, control }: Surroundings,
): number {
  const echo = (bytes: Buffer): string => {
    const [canary] = witness.see(bytes, channel, where);
    return canary === undefined ? "ok" : `echo: ${echoOf(token, canary)}`;
  };
  const text = held.toString("latin1");
  if (/^[A-Z]{3,8} \S+ HTTP\/1\.[01]\r?\n/.test(text)) return speakHttp(stream, held, echo, control);
  if (/^[A-Z]{1,8}( \S*)?$/.test(text)) return 0;
  const length = held.length > 1 ? held.readUInt16BE(0) : 0;
  if (where.endsWith(":53") || where.endsWith(":853")) {
    if (held.length < length + 2) return 0;
    const message = held.subarray(2, 2 + length);
    const answer = answerTo(message, zone, echo(message));
    if (answer !== null) {
      stream.write(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 255]), answer]));
      return length + 2;
    }
  }
  // The greeting of SOCKS 5 (RFC 1928): no authentication.
  if (held[0] === 5 && held.length === 2 + held[1]!) stream.write(Buffer.from([5, 0]));
  else stream.write(`${echo(held)}\n`);
  return held.length;
}

function speakHttp(stream: Duplex, held: Buffer, echo: (bytes: Buffer) => string, control: Control): number {
  const head = held.indexOf("\r\n\r\n");
  if (head < 0) return 0;
  const top = held.toString("latin1", 0, head);
  const size = Number(/^content-length: *(\d+)/im.exec(top)?.[1] ?? 0);
  const end = head + 4 + size;
  if (held.length < end) return 0;
  const path = /^\S+ (\S+)/.exec(top)?.[1] ?? "/";
  const body = held.toString("utf8", head + 4, end);
  const isControl = path.startsWith("/.sallyport/");
  const said = isControl ? control(path, body) : `${echo(held.subarray(0, end))}\n`;
  const status = said === null ? "404 Not Found" : "200 OK";
  const content = Buffer.from(said ?? "");
  const isKept = /^connection: *keep-alive/im.test(top);
  const lines = [
    `HTTP/1.1 ${status}`,
    `Content-Length: ${content.length}`,
    `Connection: ${isKept ? "keep-alive" : "close"}`,
  ];
  stream.write(Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), content]));
  if (!isKept) stream.end();
  return end;
}
