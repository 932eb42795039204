/**
 * GitHub's REST API, asked one thing at a time: pages by the Link header, limits waited for while that is short, and every failure
 * a line that says what is missing. The token goes to the API's own origin alone. Nothing here throws for what a server answers.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { SallyportError } from "../../errors.ts";

/** Milliseconds for one answer. */
const patience = 30_000;
/** Bytes. The largest answers (a tree of 100 000 paths) are a third of it. */
const largest = 32 * 1024 * 1024;
const mostPages = 1_000;
/** A server that asks for no time, each time, is not asked for ever. */
const mostWaits = 20;

export interface Answer {
  /** `GET /orgs/octo/actions/runners`. */
  readonly endpoint: string;
  readonly value: unknown;
}

export interface Refused {
  readonly endpoint: string;
  /** 0: no answer came. */
  readonly status: number;
  /** In words, for a report. */
  readonly why: string;
  /** A limit of GitHub's: what is asked next meets it, too. */
  readonly isLimit?: true;
}

export function isRefused(answer: Answer | Refused): answer is Refused {
  return "why" in answer;
}

export interface ClientOptions {
  /** `https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise Server. */
  readonly url: string;
  readonly token: string | null;
  /** Seconds that a limit is waited for; beyond, the request counts as refused. */
  readonly maxWait: number;
  readonly progress: (text: string) => void;
}

export class GithubClient {
  readonly #options: ClientOptions;
  readonly #base: URL;
  /** Why nothing more is asked: a token that GitHub does not know never becomes right. */
  #closed: Omit<Refused, "endpoint"> | null = null;
  /** Of a classic token, by its own answers; null: another kind, or nothing was answered yet. */
  scopes: readonly string[] | null = null;

  /** Throws USAGE where the URL is none. */
  constructor(options: ClientOptions) {
    this.#options = options;
    const url = URL.parse(options.url.replace(/\/*$/, "/"));
    const isHere = url?.hostname === "localhost" || url?.hostname === "127.0.0.1" || url?.hostname === "[::1]";
    if (url === null || url.username !== "" || (url.protocol !== "https:" && !(url.protocol === "http:" && isHere)))
      throw new SallyportError("USAGE", "--api-url: write https://HOST/api/v3 (GitHub Enterprise Server).");
    this.#base = url;
  }

  /** Nothing more is asked: GitHub does not know the token. */
  get isClosed(): boolean {
    return this.#closed !== null;
  }

  /** One object or list. `query` goes behind `?`. */
  get(path: string, query: Record<string, string> = {}): Promise<Answer | Refused> {
    return this.#ask("GET", this.#urlOf(path, query), null).then(({ answer }) => answer);
  }

  send(method: "PUT" | "PATCH" | "POST", path: string, body: unknown): Promise<Answer | Refused> {
    return this.#ask(method, this.#urlOf(path, {}), body).then(({ answer }) => answer);
  }

  /** Every item of a list over all its pages; `key`: the field that holds it, null where the answer is the list. */
  async list(path: string, key: string | null, query: Record<string, string> = {}): Promise<Answer | Refused> {
    const items: unknown[] = [];
    let url: URL | null = this.#urlOf(path, { per_page: "100", ...query });
    const endpoint = `GET /${path}`;
    for (let page = 0; url !== null; page++) {
      if (page >= mostPages) return { endpoint, status: 0, why: `it has more than ${mostPages} pages` };
      const { answer, next } = await this.#ask("GET", url, null);
      if (isRefused(answer)) return items.length === 0 ? answer : { ...answer, why: `page ${page + 1}: ${answer.why}` };
      const { value } = answer;
      const list: unknown = key === null ? value : (value as Record<string, unknown> | null)?.[key];
      if (!Array.isArray(list))
        return { endpoint, status: 0, why: `the answer has no list${key === null ? "" : ` ${key}`}` };
      items.push(...(list as unknown[]));
      if (next !== null && next.origin !== this.#base.origin)
        return { endpoint, status: 0, why: `its next page is on ${next.origin}, which is not asked` };
      url = next;
    }
    return { endpoint, value: items };
  }

  /** A text, such as a job's log; fetch takes the token off where GitHub redirects to another origin. */
  async text(path: string, most: number): Promise<Answer | Refused> {
    const endpoint = `GET /${path}`;
    if (this.#closed !== null) return { endpoint, ...this.#closed };
    const response = await this.#fetch("GET", this.#urlOf(path, {}), null);
    if (response instanceof Error) return { endpoint, status: 0, why: reasonOf(response) };
    const text = await bodyOf(response, most, true).catch((error: unknown) => error as Error);
    if (text instanceof Error) return { endpoint, status: 0, why: reasonOf(text) };
    return response.ok ? { endpoint, value: text } : { endpoint, status: response.status, why: said(response, text) };
  }

  #urlOf(path: string, query: Record<string, string>): URL {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }

  async #ask(method: string, url: URL, body: unknown): Promise<{ answer: Answer | Refused; next: URL | null }> {
    const shown = url.href.slice(this.#base.href.length).replace(/\?.*$/, "");
    const endpoint = `${method} /${shown}`;
    const refuse = (status: number, why: string) => ({ answer: { endpoint, status, why }, next: null });
    const limited = (status: number, why: string) => {
      const answer = { endpoint, status, why, isLimit: true } as const;
      return { answer, next: null };
    };
    if (this.#closed !== null) return refuse(this.#closed.status, this.#closed.why);
    let left = this.#options.maxWait;
    for (let failures = 0, waits = 0; ;) {
      const response = await this.#fetch(method, url, body);
      if (response instanceof Error) return refuse(0, reasonOf(response));
      this.#noteScopes(response);
      const text = await bodyOf(response, largest, false).catch((error: unknown) => error as Error);
      if (text instanceof Error) return refuse(response.status, reasonOf(text));
      if (response.ok) {
        const value = jsonOf(text);
        if (value === undefined)
          return refuse(response.status, `the answer is no whole JSON (${text.length} characters)`);
        return { answer: { endpoint, value }, next: nextOf(response) };
      }
      if (response.status === 401) {
        this.#closed = { status: 401, why: "GitHub does not know the token (401): it is wrong, expired or revoked" };
        return refuse(401, this.#closed.why);
      }
      const wait = waitOf(response, text);
      if (wait !== null) {
        if (wait > left || ++waits > mostWaits)
          return limited(
            response.status,
            `GitHub's limit: it asks to wait ${wait} s (--max-wait ${this.#options.maxWait})`,
          );
        this.#options.progress(`GitHub's limit is reached: waiting ${wait} s`);
        left -= wait;
        await sleep(wait * 1000);
        continue;
      }
      if (response.status >= 500 && method === "GET" && ++failures < 3) {
        await sleep(failures * 500);
        continue;
      }
      return refuse(response.status, said(response, text));
    }
  }

  async #fetch(method: string, url: URL, body: unknown): Promise<Response | Error> {
    const { token } = this.#options;
    try {
      return await fetch(url, {
        method,
        headers: {
          accept: "application/vnd.github+json",
          "x-github-api-version": "2022-11-28",
          "user-agent": "sallyport",
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === null ? {} : { "content-type": "application/json" }),
        },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(patience),
        // What changes something is never sent elsewhere.
        redirect: method === "GET" ? "follow" : "error",
      });
    } catch (error) {
      return error as Error;
    }
  }

  #noteScopes(response: Response): void {
    const scopes = response.headers.get("x-oauth-scopes");
    if (scopes !== null) this.scopes = scopes.split(/,\s*/).filter((each) => each !== "");
  }
}

/** The body as text; throws where it is too large, or `cut` takes what there is up to that. */
async function bodyOf(response: Response, most: number, cut: boolean): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  if (response.body === null) return "";
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > most && !cut) throw new Error(`the answer has more than ${most} bytes`);
    text += decoder.decode(chunk, { stream: true });
    if (bytes > most) break;
  }
  return text;
}

function jsonOf(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The next page by the Link header (RFC 8288); null: this was the last. */
function nextOf(response: Response): URL | null {
  const links = (response.headers.get("link") ?? "").split(",");
  const next = links.find((link) => /;\s*rel="?next"?/.test(link));
  const target = /<([^>]*)>/.exec(next ?? "")?.[1];
  return target === undefined ? null : URL.parse(target, response.url);
}

/**
 * Seconds until a limit is over; null: it is none. GitHub answers 403 or 429, with Retry-After for secondary limits, or with
 * nothing left until a time (docs.github.com, "Rate limits for the REST API").
 */
function waitOf(response: Response, text: string): number | null {
  if (response.status !== 403 && response.status !== 429) return null;
  const after = Number(response.headers.get("retry-after") ?? NaN);
  if (after >= 0) return Math.ceil(after);
  if (response.headers.get("x-ratelimit-remaining") === "0") {
    const reset = Number(response.headers.get("x-ratelimit-reset") ?? NaN);
    return Number.isFinite(reset) ? Math.max(1, Math.ceil(reset - Date.now() / 1000)) : 60;
  }
  return response.status === 429 || /secondary rate limit/i.test(text) ? 60 : null;
}

function said(response: Response, text: string): string {
  const body = jsonOf(text) as { message?: unknown } | null | undefined;
  const message = typeof body?.message === "string" ? `: ${body.message.slice(0, 200)}` : "";
  const accepted =
    response.headers.get("x-accepted-github-permissions") ?? response.headers.get("x-accepted-oauth-scopes");
  const needs = accepted === null || accepted === "" ? "" : ` (it takes ${accepted})`;
  if (response.status === 404) {
    if (message !== "" && message !== ": Not Found") return `404${message}${needs}`;
    return `not there, or the token may not see it (404)${needs}`;
  }
  if (response.status === 403) return `the token may not (403${message})${needs}`;
  return `${response.status}${message}`;
}

function reasonOf(error: Error): string {
  if (error.name === "TimeoutError") return `no answer within ${patience / 1000} s`;
  const { cause } = error;
  const reason = cause instanceof Error && cause.message !== "" ? `${error.message}: ${cause.message}` : error.message;
  return `no whole answer: ${reason}`;
}
