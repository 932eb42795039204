/**
 * Reads the head of an HTTP/1.x request (RFC 9112) from the start of a stream: method, target, host, and how its body is
 * framed. Strict wherever two servers could see two requests in the same bytes (request smuggling, RFC 9112 section 11.2):
 * such a head is malformed, whatever most servers do. HTTP/0.9 and HTTP/2 with prior knowledge are not HTTP here.
 * Stateless; `request-stream.ts` follows a whole connection.
 */
import { parseAuthority, sameHost, type Host } from "./authority.ts";
import { fieldsNeedMore, isTokenByte, maxHeadBytes, readFields, text, type FieldDefect } from "./fields.ts";

export type { Host, HostDefect } from "./authority.ts";
export { maxFields, maxHeadBytes } from "./fields.ts";

export type RequestDefect =
  | FieldDefect
  | "request_line"
  | "target"
  | "host_disagrees"
  | "content_length"
  | "transfer_encoding"
  | "two_framings"
  | "connect_body";

/** How the body that follows is delimited (RFC 9112 section 6.3). */
export type Body = { kind: "none" } | { kind: "length"; bytes: number } | { kind: "chunked" };

export interface Request {
  method: string;
  target: string;
  form: "origin" | "absolute" | "authority" | "asterisk";
  version: "1.0" | "1.1";
  /** For CONNECT the authority asked for, with its port. */
  host: Host;
  body: Body;
  /** An Upgrade field is there: after the answer the bytes may be another protocol. */
  upgrade: boolean;
  /** Bytes of the head, its empty line included. */
  headerBytes: number;
}

export type RequestResult =
  | { state: "need_more" }
  | { state: "not_http" }
  | { state: "malformed"; defect: RequestDefect }
  | { state: "too_large" }
  | { state: "request"; request: Request };

const needMore: RequestResult = { state: "need_more" };
const notHttp: RequestResult = { state: "not_http" };
const tooLarge: RequestResult = { state: "too_large" };

/** Longest method accepted; the longest registered is 17 letters. */
const maxMethod = 32;

function malformed(defect: RequestDefect): RequestResult {
  return { state: "malformed", defect };
}

/** Reads the request head at the start of `prefix`; what follows the head is not looked at. */
export function parseRequest(prefix: Uint8Array): RequestResult {
  const bytes = prefix.length > maxHeadBytes ? prefix.subarray(0, maxHeadBytes) : prefix;
  const incomplete = prefix.length >= maxHeadBytes ? tooLarge : needMore;
  let at = 0;
  while (at < bytes.length && isTokenByte(bytes[at]!)) {
    // Registered methods are upper case and start with a letter; anything else is some other protocol's first bytes.
    if (at === maxMethod || (at === 0 && !isUpperCase(bytes[0]!))) return notHttp;
    at++;
  }
  if (at === bytes.length) return incomplete;
  if (at === 0 || bytes[at] !== 0x20) return notHttp;
  const method = text(bytes, 0, at);
  const targetStart = ++at;
  for (; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === 0x20) break;
    // A line that ends after the target is HTTP/0.9.
    if (byte === 0x0d || byte === 0x0a) return notHttp;
    if (byte <= 0x20 || byte >= 0x7f) return malformed("target");
  }
  if (at === bytes.length) return incomplete;
  const target = text(bytes, targetStart, at);
  at++;
  const expected = "HTTP/1.";
  for (let i = 0; i < expected.length; i++, at++) {
    if (at === bytes.length) return incomplete;
    // `PRI * HTTP/2.0` ends here.
    if (bytes[at] !== expected.charCodeAt(i)) return notHttp;
  }
  if (at === bytes.length) return incomplete;
  const minor = bytes[at++]!;
  if (minor !== 0x30 && minor !== 0x31) return notHttp;
  for (const wanted of [0x0d, 0x0a]) {
    if (at === bytes.length) return incomplete;
    if (bytes[at++] !== wanted) return malformed("request_line");
  }
  return readHead(bytes, at, { method, target, version: minor === 0x30 ? "1.0" : "1.1" }, incomplete);
}

const wanted: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding", "upgrade"]);

function readHead(
  bytes: Uint8Array,
  from: number,
  line: Pick<Request, "method" | "target" | "version">,
  incomplete: RequestResult,
): RequestResult {
  const hosts: string[] = [];
  const lengths: string[] = [];
  const codings: string[] = [];
  let upgrade = false;
  const end = readFields(bytes, from, wanted, (name, value) => {
    if (name === "host") hosts.push(value);
    else if (name === "content-length") lengths.push(value);
    else if (name === "transfer-encoding") codings.push(value);
    else upgrade = true;
  });
  if (end === fieldsNeedMore) return incomplete;
  if (typeof end === "string") return malformed(end);
  const body = framing(line.version, lengths, codings);
  if (typeof body === "string") return malformed(body);
  if (line.method === "CONNECT" && body.kind !== "none") return malformed("connect_body");
  const asked = readTarget(line.method, line.target, hosts);
  if (typeof asked === "string") return malformed(asked);
  return { state: "request", request: { ...line, ...asked, body, upgrade, headerBytes: end } };
}

/** RFC 9112 section 6.3, without its leniency: one framing, said once, or none. */
function framing(version: Request["version"], lengths: string[], codings: string[]): Body | RequestDefect {
  if (codings.length > 0 && lengths.length > 0) return "two_framings";
  if (codings.length > 0) {
    // An HTTP/1.0 server ignores the field and reads the chunks as the next request.
    const isPlain = codings.length === 1 && codings[0]!.toLowerCase() === "chunked" && version === "1.1";
    return isPlain ? { kind: "chunked" } : "transfer_encoding";
  }
  if (lengths.length === 0) return { kind: "none" };
  if (lengths.length > 1 || !/^[0-9]{1,15}$/.test(lengths[0]!)) return "content_length";
  const bytes = Number(lengths[0]);
  return bytes === 0 ? { kind: "none" } : { kind: "length", bytes };
}

/** The four forms of RFC 9112 section 3.2, each with its rule for the host. */
function readTarget(method: string, target: string, hosts: string[]): Pick<Request, "form" | "host"> | RequestDefect {
  const field: Host =
    hosts.length === 0
      ? { kind: "none" }
      : hosts.length === 1
        ? parseAuthority(hosts[0]!)
        : { kind: "invalid", defect: "two_hosts" };
  if (method === "CONNECT") {
    const host = parseAuthority(target);
    if (host.kind === "name" && host.port === null) return "target";
    return agree("authority", host, field, host.kind === "name" ? host.port! : 0);
  }
  if (target.startsWith("/")) return target.includes("#") ? "target" : { form: "origin", host: field };
  if (target === "*") return method === "OPTIONS" ? { form: "asterisk", host: field } : "target";
  const absolute = /^(https?):\/\/([^/?#]*)(?:[/?][^#]*)?$/i.exec(target);
  if (absolute === null) return "target";
  return agree("absolute", parseAuthority(absolute[2]!), field, absolute[1]!.toLowerCase() === "https" ? 443 : 80);
}

/** RFC 9112 section 3.2.2: the target's authority replaces the field. One server does, another does not, so they must agree. */
function agree(
  form: Request["form"],
  host: Host,
  field: Host,
  defaultPort: number,
): Pick<Request, "form" | "host"> | RequestDefect {
  if (host.kind === "invalid" || field.kind === "none") return { form, host };
  if (field.kind === "invalid") return { form, host: field };
  return sameHost(host, field, defaultPort) ? { form, host } : "host_disagrees";
}

function isUpperCase(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}
