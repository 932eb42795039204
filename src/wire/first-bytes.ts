/**
 * What a TCP flow's first bytes from the client are, and which name they show: TLS, HTTP/1.x, SSH, or something else. The
 * first byte decides which parser reads on; none of them is tried after another has failed, so bytes cannot be one
 * protocol to us and another to the server without being refused. Stateless: called with the contiguous prefix of the
 * stream each time it grows, until it is done.
 */
import { parseRequest, type Request } from "./http/request.ts";
import { serverName, type ShownName } from "./shown-name.ts";
import { parseBanner } from "./ssh/banner.ts";
import { ja4 } from "./tls/ja4.ts";
import { parseTls, type ClientHello } from "./tls/client-hello.ts";

export { serverName, type ShownName } from "./shown-name.ts";

/** What an event says of a hello. */
export interface HelloSummary {
  /** Highest version offered, e.g. `TLS 1.3`; null where none is known. */
  version: string | null;
  alpn: string[];
  ech: boolean;
  /** The client's fingerprint (JA4). */
  ja4: string;
  /** Bytes of the hello message, record headers not counted. */
  bytes: number;
}

/**
 * - `need_more`: no answer can be given before more bytes come.
 * - `defect`: the bytes began as `application` and broke its rules; `detail` is a fixed word, fit for a record.
 * - `done`: `application` is known, and `name` with it. `tls`, `hello`, `http` belong to their application.
 */
export type FirstBytes =
  | { state: "need_more" }
  | { state: "defect"; application: "tls" | "http"; reason: "malformed" | "too_large"; detail: string | null }
  | {
      state: "done";
      application: "tls" | "http" | "ssh" | "other";
      name: ShownName;
      tls: HelloSummary | null;
      hello: ClientHello | null;
      /** Offset of the first byte after the hello's last record; 0 without one. */
      helloEnd: number;
      http: Request | null;
    };

const needMore: FirstBytes = { state: "need_more" };
const noName: ShownName = { kind: "none" };
const bare = { state: "done", name: noName, tls: null, hello: null, helloEnd: 0, http: null } as const;
const other: FirstBytes = { ...bare, application: "other" };
const ssh: FirstBytes = { ...bare, application: "ssh" };

const HANDSHAKE_RECORD = 0x16;

/** Reads the client's stream from its first byte; `prefix` has no gap. */
export function classify(prefix: Uint8Array): FirstBytes {
  if (prefix.length === 0) return needMore;
  const first = prefix[0]!;
  // A record of any type, of SSL 3.0 and later: `client-hello.ts` says which of them a TLS server would pass over.
  if (first === HANDSHAKE_RECORD || prefix[1] === 3) return readTls(prefix);
  if (prefix.length === 1) return needMore;
  if (first < 0x41 || first > 0x5a) return other;
  const opening = startsLikeSsh(prefix);
  if (opening === "partly") return needMore;
  return opening === "wholly" ? readSsh(prefix) : readHttp(prefix);
}

/** What an event says of this hello. */
export function summarise(hello: ClientHello): HelloSummary {
  return { version: hello.version, alpn: hello.alpn, ech: hello.ech, ja4: ja4(hello, "tcp"), bytes: hello.bytes };
}

function readTls(prefix: Uint8Array): FirstBytes {
  const result = parseTls(prefix);
  switch (result.state) {
    case "need_more":
      return needMore;
    case "not_tls":
      return other;
    case "malformed":
      return { state: "defect", application: "tls", reason: "malformed", detail: result.defect };
    case "too_large":
      return { state: "defect", application: "tls", reason: "too_large", detail: null };
    case "hello": {
      const { hello, end: helloEnd } = result;
      return { ...bare, application: "tls", name: serverName(hello), tls: summarise(hello), hello, helloEnd };
    }
  }
}

function readHttp(prefix: Uint8Array): FirstBytes {
  const result = parseRequest(prefix);
  switch (result.state) {
    case "need_more":
      return needMore;
    case "not_http":
      return other;
    case "malformed":
      return { state: "defect", application: "http", reason: "malformed", detail: result.defect };
    case "too_large":
      return { state: "defect", application: "http", reason: "too_large", detail: null };
    case "request":
      return { ...bare, application: "http", name: result.request.host, http: result.request };
  }
}

function readSsh(prefix: Uint8Array): FirstBytes {
  const result = parseBanner(prefix);
  switch (result.state) {
    case "need_more":
      return needMore;
    case "not_ssh":
      return other;
    case "ssh":
      return ssh;
  }
}

/** `SSH-` could be the start of an HTTP method; four bytes settle it, since no HTTP method is called that. */
function startsLikeSsh(prefix: Uint8Array): "not" | "partly" | "wholly" {
  const opening = "SSH-";
  for (let i = 0; i < opening.length; i++) {
    if (i === prefix.length) return "partly";
    if (prefix[i] !== opening.charCodeAt(i)) return "not";
  }
  return "wholly";
}
