/**
 * Follows the client's side of an HTTP/1.x connection request by request (threat N4: a second request on a kept-alive
 * connection that asks for another host). Heads are read with `request.ts`; bodies are counted past and never stored, so
 * memory is bounded by one head. Strict like the head parser: where framing could be read in two ways, it stops.
 *
 * It sees the client's bytes alone. So it cannot know whether the server accepted an Upgrade or a CONNECT, and reports
 * the rest of the stream as `opaque`: the caller decides whether such a connection may go on.
 */
import { fieldsNeedMore, maxHeadBytes, readFields } from "./fields.ts";
import { parseRequest, type Request, type RequestDefect } from "./request.ts";

/** Why a stream cannot be followed further. Final. */
export type StreamDefect = {
  state: "not_http" | "malformed" | "too_large";
  detail: RequestDefect | "chunk_syntax" | null;
};

/** What the bytes of one `push` held. */
export interface Followed {
  /** Requests whose head ended in these bytes, in order. */
  requests: Request[];
  /** The bytes after the last of `requests` (or of an earlier push) cannot be read; so it is for every later push. */
  defect: StreamDefect | null;
  /** CONNECT or Upgrade: the bytes after that request are not read any more; so it is for every later push. */
  opaque: "connect" | "upgrade" | null;
}

type State = "head" | "body" | "chunk_size" | "chunk_extension" | "chunk_line_end" | "chunk_data_end" | "trailer";

/** Longest chunk-size line, extensions included. Nobody sends extensions (RFC 9112 section 7.1.1 lets us ignore them). */
const maxChunkLine = 256;

const forbiddenInTrailer: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding"]);

export class RequestStream {
  #state: State = "head";
  #defect: StreamDefect | null = null;
  #opaque: Followed["opaque"] = null;
  /** An Upgrade was asked for: opaque as soon as this request's body is over. */
  #upgrade = false;
  /** The part of a head or trailer that has come so far. */
  #partial = new Uint8Array(0);
  /** Bytes of body or chunk still to skip. */
  #skip = 0;
  #isChunk = false;
  #lineBytes = 0;
  #digits = 0;

  /** True while part of a head or trailer is waiting for its end: its host is not known yet. */
  get midHead(): boolean {
    return this.#partial.length > 0;
  }

  /** Reads the next bytes of the stream, in order, and says what they held. */
  push(bytes: Uint8Array): Followed {
    const requests: Request[] = [];
    let at = 0;
    while (at < bytes.length && this.#defect === null && this.#opaque === null) {
      if (this.#state === "head") at = this.#readHead(bytes, at, requests);
      else if (this.#state === "trailer") at = this.#readTrailer(bytes, at);
      else if (this.#state === "body") at = this.#skipBody(bytes, at);
      else this.#readChunkByte(bytes[at++]!);
    }
    return { requests, defect: this.#defect, opaque: this.#opaque };
  }

  #readHead(bytes: Uint8Array, at: number, requests: Request[]): number {
    const known = this.#partial.length;
    const head = this.#withPartial(bytes, at);
    const result = parseRequest(head);
    if (result.state === "need_more") {
      this.#keep(head);
      return bytes.length;
    }
    this.#partial = new Uint8Array(0);
    if (result.state !== "request") {
      this.#defect = { state: result.state, detail: result.state === "malformed" ? result.defect : null };
      return bytes.length;
    }
    const { request } = result;
    requests.push(request);
    if (request.method === "CONNECT") {
      this.#opaque = "connect";
      return bytes.length;
    }
    this.#upgrade = request.upgrade;
    if (request.body.kind === "none") this.#endRequest();
    else if (request.body.kind === "chunked") this.#startChunk();
    else this.#startSkip(request.body.bytes, false);
    return at + request.headerBytes - known;
  }

  #readTrailer(bytes: Uint8Array, at: number): number {
    const known = this.#partial.length;
    const trailer = this.#withPartial(bytes, at);
    let forbidden = false;
    // A trailer that repeats what frames or routes the request is read by some servers (RFC 9110 section 6.5.1).
    const end = readFields(trailer, 0, forbiddenInTrailer, () => {
      forbidden = true;
    });
    if (forbidden) return this.#refuse("forbidden_trailer", bytes.length);
    if (end === fieldsNeedMore) {
      if (trailer.length < maxHeadBytes) this.#keep(trailer);
      else {
        this.#defect = { state: "too_large", detail: null };
        this.#partial = new Uint8Array(0);
      }
      return bytes.length;
    }
    if (typeof end === "string") return this.#refuse(end, bytes.length);
    this.#partial = new Uint8Array(0);
    this.#endRequest();
    return at + end - known;
  }

  #skipBody(bytes: Uint8Array, at: number): number {
    const taken = Math.min(this.#skip, bytes.length - at);
    this.#skip -= taken;
    if (this.#skip === 0) {
      if (this.#isChunk) {
        this.#lineBytes = 0;
        this.#state = "chunk_data_end";
      } else this.#endRequest();
    }
    return at + taken;
  }

  /** RFC 9112 section 7.1, byte by byte: size in hexadecimal, extensions, CRLF, data, CRLF. */
  #readChunkByte(byte: number): void {
    if (this.#state === "chunk_data_end") {
      if (byte !== (this.#lineBytes++ === 0 ? 0x0d : 0x0a)) this.#refuse("chunk_syntax", 0);
      else if (this.#lineBytes === 2) this.#startChunk();
      return;
    }
    if (++this.#lineBytes > maxChunkLine) this.#refuse("chunk_syntax", 0);
    else if (this.#state === "chunk_line_end") {
      if (byte !== 0x0a) this.#refuse("chunk_syntax", 0);
      else if (this.#skip > 0) this.#startSkip(this.#skip, true);
      else this.#state = "trailer";
    } else if (byte === 0x0d && this.#digits > 0) this.#state = "chunk_line_end";
    else if (this.#state === "chunk_extension") {
      if ((byte < 0x20 && byte !== 0x09) || byte >= 0x7f) this.#refuse("chunk_syntax", 0);
    } else if (byte === 0x3b && this.#digits > 0) this.#state = "chunk_extension";
    else {
      const digit = hexDigit(byte);
      // Twelve digits stay exact in a double; longer sizes overflow somebody's integer.
      if (digit < 0 || ++this.#digits > 12) this.#refuse("chunk_syntax", 0);
      else this.#skip = this.#skip * 16 + digit;
    }
  }

  #startChunk(): void {
    this.#state = "chunk_size";
    this.#skip = 0;
    this.#digits = 0;
    this.#lineBytes = 0;
  }

  #startSkip(bytes: number, isChunk: boolean): void {
    this.#state = "body";
    this.#skip = bytes;
    this.#isChunk = isChunk;
  }

  #endRequest(): void {
    this.#state = "head";
    if (this.#upgrade) this.#opaque = "upgrade";
  }

  #refuse(detail: NonNullable<StreamDefect["detail"]>, consumed: number): number {
    this.#defect = { state: "malformed", detail };
    this.#partial = new Uint8Array(0);
    return consumed;
  }

  /** What waits, and as much of the new bytes as a head may still have. */
  #withPartial(bytes: Uint8Array, at: number): Uint8Array {
    const known = this.#partial.length;
    if (known === 0) return bytes.subarray(at, at + maxHeadBytes);
    const joined = new Uint8Array(Math.min(maxHeadBytes, known + bytes.length - at));
    joined.set(this.#partial);
    joined.set(bytes.subarray(at, at + joined.length - known), known);
    return joined;
  }

  #keep(head: Uint8Array): void {
    this.#partial = new Uint8Array(head);
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
