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
  /** What it says, for people: one line of it, without our secrets. */
  said: string;
}

const mostBody = 64 * 1024;

/** Shorter ones are words that an answer may well have for itself. */
const shortestSecret = 8;
const shortestPathSecret = 16;

class StaleConnection extends Error {}

export class HttpSinkClient {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent: http.Agent;
  /** What an answer may repeat and nobody shall read: longest first, so that none is left in part. */
  readonly #secrets: readonly string[];

  /** `headers` go with each request. */
  constructor(url: string, headers: Readonly<Record<string, string>>, tls: Tls) {
    this.#url = new URL(url);
    this.#headers = headers;
    const options = { keepAlive: true, maxSockets: 1 };
    this.#agent =
      this.#url.protocol === "https:"
        ? // Said, not left to the default: a variable of the environment changes that.
          new https.Agent({ ...options, ...tls, minVersion: "TLSv1.2", rejectUnauthorized: true })
        : new http.Agent(options);
    this.#secrets = secretsOf(this.#url, headers);
  }

  /** A text of the other side without our secrets. */
  redact(text: string): string {
    return this.#secrets.reduce((left, secret) => left.replaceAll(secret, "(secret)"), text);
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
        const answer = () => {
          const body = Buffer.concat(chunks).toString("utf8", 0, mostBody);
          resolve({
            status: response.statusCode ?? 0,
            retryAfterMs: parseRetryAfter(response.headers["retry-after"], Date.now()),
            body,
            said: wordsOf(this.redact(body)).slice(0, 120),
          });
        };
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
export function requireTaken({ status, retryAfterMs, said }: Omit<HttpAnswer, "body">): void {
  if (status >= 200 && status < 300) return;
  const message = `answered ${status}${said === "" ? "" : `: ${said}`}`;
  if (status >= 300 && status < 400) throw new DeliveryFailure(`${message} (redirects are not followed)`);
  throw new DeliveryFailure(message, { retryAfterMs, tooLarge: status === 413 });
}

/** Values of headers and their words (the token behind a scheme), of a query, and long parts of a path. */
function secretsOf(url: URL, headers: Readonly<Record<string, string>>): string[] {
  const words = Object.values(headers).flatMap((value) => [value, ...value.split(/\s+/)]);
  const query = [...url.search.slice(1).split(/[&=]/), ...url.searchParams.values()];
  const path = url.pathname.split("/").filter((part) => part.length >= shortestPathSecret);
  const found = [...words, ...query].filter((each) => each.length >= shortestSecret);
  return [...new Set([...found, ...path])].toSorted((a, b) => b.length - a.length);
}
