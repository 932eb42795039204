/** The sink's answers to DNS questions: addresses by a rule, and TXT that holds the echo of a canary in the name. Pure. */
import { addressToBytes, parseAddress } from "../../address/ip.ts";

/** The address of a name in one family; null: none. */
export type Zone = (name: string, family: 4 | 6) => string | null;

/** The name asked for and the end of the question; null for bytes that are no question. */
function readQuestion(message: Buffer): { name: string; type: number; end: number } | null {
  if (message.length < 17 || (message[2]! & 0x80) !== 0 || message.readUInt16BE(4) !== 1) return null;
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at]; length !== 0; length = message[at]) {
    if (length === undefined || length > 63 || labels.length > 127) return null;
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  if (at + 5 > message.length) return null;
  return { name: labels.join(".").toLowerCase(), type: message.readUInt16BE(at + 1), end: at + 5 };
}

/** The answer to a question, or null where there is none. `echo` is what a TXT answer holds. */
export function answerTo(message: Buffer, zone: Zone, echo: string | null): Buffer | null {
  const question = readQuestion(message);
  if (question === null) return null;
  const { name, type, end } = question;
  const data = dataOf(name, type, zone, echo);
  const header = Buffer.from(message.subarray(0, 12));
  // Response, authoritative, recursion as asked and available.
  header[2] = 0x84 | (message[2]! & 1);
  header[3] = 0x80;
  header.writeUInt16BE(data === null ? 0 : 1, 6);
  header.writeUInt32BE(0, 8);
  const record = Buffer.alloc(12);
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(type, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(30, 6);
  record.writeUInt16BE(data?.length ?? 0, 10);
  return Buffer.concat([header, message.subarray(12, end), ...(data === null ? [] : [record, data])]);
}

function dataOf(name: string, type: number, zone: Zone, echo: string | null): Buffer | null {
  if (type === 16 && echo !== null) return Buffer.concat([Buffer.from([echo.length]), Buffer.from(echo)]);
  if (type !== 1 && type !== 28) return null;
  const text = zone(name, type === 1 ? 4 : 6);
  const address = text === null ? null : parseAddress(text);
  return address === null ? null : Buffer.from(addressToBytes(address));
}
