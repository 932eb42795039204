/**
 * Follows the client's half of an allowed plain-HTTP connection, so that every request on it is judged, not only the first
 * (threat N4: a second request with another Host on a kept-alive connection). Keeps the place in the stream and enough of
 * what went on to tell a retransmission from a substitution; bodies are skipped, not stored.
 */
import { RequestStream } from "../wire/http/request-stream.ts";
import { StreamHistory } from "./history.ts";

const nothing = new Uint8Array(0);

/** Where a segment falls. `fresh` are the bytes that continue the stream (none for a faithful repeat). */
export type Placed =
  | { state: "fresh"; fresh: Uint8Array }
  /** Leaves a gap: dropped, the client sends it again. */
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
  /** An Upgrade or CONNECT of a judged request: what follows is not HTTP. */
  opaque: boolean;
}

export class HttpFollow {
  /** The sequence number of the next byte, which is what the server expects next. */
  next: number;
  /** The host of the last request, canonical. */
  host: string | null = null;
  readonly #requests = new RequestStream();
  readonly #history = new StreamHistory();

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

  /** Takes bytes that continue the stream. */
  take(bytes: Uint8Array): Taken {
    if (bytes.length === 0) return { hosts: [], defect: false, opaque: false };
    this.#history.record(bytes);
    this.next = (this.next + bytes.length) >>> 0;
    const hosts: (string | null)[] = [];
    const { requests, defect, opaque } = this.#requests.push(bytes);
    for (const request of requests) {
      this.host = request.host.kind === "name" ? request.host.name : null;
      hosts.push(this.host);
    }
    return { hosts, defect: defect !== null, opaque: opaque !== null };
  }
}
