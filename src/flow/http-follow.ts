/**
 * Follows the client's half of an allowed plain-HTTP connection, so that every request on it is judged, not only the first
 * (threat N4: a second request with another Host on a kept-alive connection). Keeps the place in the stream and enough of
 * what went on to tell a retransmission from a substitution; bodies are skipped, not stored.
 */
import { maxHeadBytes } from "../wire/http/request.ts";
import { RequestStream } from "../wire/http/request-stream.ts";
import { StreamHistory } from "./history.ts";

const nothing = new Uint8Array(0);

/** Where a segment falls. `fresh` are the bytes that continue the stream (none for a faithful repeat). */
export type Placed =
  | { state: "fresh"; fresh: Uint8Array }
  /** Leaves a gap. */
  | { state: "ahead" }
  /** A repeat of bytes no longer kept. */
  | { state: "unknown" }
  /** A repeat with different bytes. */
  | { state: "overlap" };

/** What the bytes held. */
export interface Taken {
  /** Hosts of the requests whose heads ended in them; null for one without a host. */
  hosts: (string | null)[];
  /** The stream cannot be read any further. */
  defect: boolean;
  /** A CONNECT: what follows would not be HTTP. */
  tunnel: boolean;
}

export class HttpFollow {
  /** The sequence number of the next byte, which is what the server expects next. */
  next: number;
  /** The host of the last request, canonical. */
  host: string | null = null;
  /** Segments of a head that is not whole wait for its end. */
  isWaiting = false;
  #requests = new RequestStream();
  readonly #history = new StreamHistory();
  /** Bytes taken in all, and how many of them end with the last request; NaN after one whose body says no length. */
  #taken = 0;
  #end = 0;

  constructor(next: number) {
    this.next = next;
  }

  place(sequence: number, bytes: Uint8Array): Placed {
    const ahead = (sequence - this.next) | 0;
    if (ahead > 0) return { state: "ahead" };
    if (ahead === 0) return { state: "fresh", fresh: bytes };
    const compared = this.#history.compare(bytes, -ahead);
    if (compared === "unknown") return { state: "unknown" };
    if (compared === "different") return { state: "overlap" };
    return { state: "fresh", fresh: bytes.length > -ahead ? bytes.subarray(-ahead) : nothing };
  }

  /** The head of a request has begun and its host is not known yet: these bytes may not go on. */
  get midHead(): boolean {
    return this.#requests.midHead;
  }

  /** Bytes of memory held. */
  get memory(): number {
    return this.#history.capacity + (this.midHead ? maxHeadBytes : 0);
  }

  /** The memory it would take to keep `more` further bytes for comparison, at most `most` of history. */
  wanted(more: number, most: number): number {
    return this.#history.wanted(more, most) + maxHeadBytes;
  }

  /** Takes more memory: as much as was {@link wanted}. */
  grow(memory: number): void {
    this.#history.grow(memory - maxHeadBytes);
  }

  /** Takes bytes that continue the stream. */
  take(bytes: Uint8Array): Taken {
    const taken: Taken = { hosts: [], defect: false, tunnel: false };
    if (bytes.length === 0) return taken;
    this.#history.record(bytes);
    this.next = (this.next + bytes.length) >>> 0;
    this.#taken += bytes.length;
    this.#push(bytes, taken);
    return taken;
  }

  #push(bytes: Uint8Array, taken: Taken): void {
    for (let rest = bytes; rest.length > 0;) {
      const { requests, defect, opaque } = this.#requests.push(rest);
      for (const { host, headerBytes, body } of requests) {
        this.host = host.kind === "name" ? host.name : null;
        taken.hosts.push(this.host);
        this.#end += headerBytes + (body.kind === "none" ? 0 : body.kind === "length" ? body.bytes : Number.NaN);
      }
      taken.defect = defect !== null;
      taken.tunnel = opaque === "connect";
      if (opaque !== "upgrade") return;
      // Asking for another protocol is not getting it: a server that ignores the Upgrade reads on (RFC 9110 section 7.8), and
      // the next request may have another host. So do we; a protocol that was really changed to ends the connection.
      const left = this.#taken - this.#end;
      if (Number.isNaN(left)) taken.defect = true;
      if (taken.defect) return;
      this.#requests = new RequestStream();
      rest = left === 0 ? nothing : rest.subarray(rest.length - left);
    }
  }
}
