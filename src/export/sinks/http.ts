/**
 * One HTTP request to a sink, and what its answer means. No redirects (a secret would go along), no proxy, no more of an
 * answer than is needed; one connection a sink, kept open.
 */
import http from "node:http";
import https from "node:https";
import type { Tls } from "../../config/sink.ts";
import { parseRetryAfter } from "../backoff.ts";
import { DeliveryFailure, wordsOf } from "../failure.ts";

export interface HttpAnswer {
  status: number;
  retryAfterMs: number | null;
  /** At most 64 KiB of it. */
  body: string;
}

const mostBody = 64 * 1024;

class StaleConnection extends Error {}

export class HttpSinkClient {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent: http.Agent;

  /** `headers` go with each request. */
  constructor(url: string, headers: Readonly<Record<string, string>>, tls: Tls) {
    this.#url = new URL(url);
    this.#headers = headers;
    const options = { keepAlive: true, maxSockets: 1 };
    this.#agent =
      this.#url.protocol === "https:"
        ? new https.Agent({ ...options, ...tls, minVersion: "TLSv1.2" })
        : new http.Agent(options);
  }

  /** Without what may be secret: a path or a query often is. */
  get to(): string {
    return this.#url.origin;
  }

  /** POSTs to the URL, or to another path of the same server. Rejects where no whole answer came. */
  async post(body: string, headers: Record<string, string>, signal: AbortSignal, path?: string): Promise<HttpAnswer> {
    const url = path === undefined ? this.#url : new URL(path, this.#url);
    try {
      return await this.#once(url, body, headers, signal);
    } catch (error) {
      // The server ended a kept connection in the moment we used it: no fault of anybody's.
      if (!(error instanceof StaleConnection)) throw error;
      return await this.#once(url, body, headers, signal);
    }
  }

  #once(url: URL, body: string, headers: Record<string, string>, signal: AbortSignal): Promise<HttpAnswer> {
    const bytes = Buffer.from(body);
    return new Promise((resolve, reject) => {
      const options = {
        method: "POST",
        agent: this.#agent,
        signal,
        headers: { ...this.#headers, ...headers, "content-length": String(bytes.length), "user-agent": "sallyport" },
      };
      const request = (url.protocol === "https:" ? https : http).request(url, options, (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        const answer = () =>
          resolve({
            status: response.statusCode ?? 0,
            retryAfterMs: parseRetryAfter(response.headers["retry-after"], Date.now()),
            body: Buffer.concat(chunks).toString("utf8", 0, mostBody),
          });
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length <= mostBody) return;
          answer();
          response.destroy();
        });
        response.on("end", answer);
        response.on("error", reject);
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        const isStale = request.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
        reject(isStale ? new StaleConnection(error.message) : error);
      });
      request.end(bytes);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Returns for an answer that took the batch; throws what any other means. */
export function requireTaken({ status, retryAfterMs, body }: HttpAnswer): void {
  if (status >= 200 && status < 300) return;
  const said = wordsOf(body).slice(0, 120);
  const message = `answered ${status}${said === "" ? "" : `: ${said}`}`;
  if (status >= 300 && status < 400) throw new DeliveryFailure(`${message} (redirects are not followed)`);
  throw new DeliveryFailure(message, { retryAfterMs, tooLarge: status === 413 });
}
