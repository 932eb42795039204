/**
 * The control socket: HTTP with JSON over a unix socket in the state directory (`control.sock`, mode 0600). Served by an
 * enforcer, asked by `sallyport status`, `reload`, `flows` and `metrics` (which is text). Whoever may open the socket may do all of it.
 */
import { chmodSync, rmSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { SallyportError, errorTable, type ErrorCode } from "../errors.ts";
import { expositionType } from "../metrics/exposition.ts";
import type { Enforcer } from "./enforcer.ts";
import { metricsOf } from "./metrics.ts";

/** sun_path holds 108 bytes with its NUL (unix(7)). */
const longestPath = 107;

export function controlSocket(state: string): string {
  return join(state, "control.sock");
}

/** Throws STATE_UNWRITABLE where the socket of this state directory could not be made, whatever else is right. */
export function checkControlPath(state: string): void {
  const path = controlSocket(state);
  if (Buffer.byteLength(path) <= longestPath) return;
  throw new SallyportError("STATE_UNWRITABLE", `${path} is longer than a unix socket's name may be (${longestPath}).`);
}

export interface ControlHandlers {
  /** Loads the policy file again and puts it in force; rejects with a SallyportError. */
  reload: () => Promise<unknown>;
}

export class ControlServer {
  readonly #server: http.Server;
  readonly #path: string;

  private constructor(server: http.Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /** The caller holds the state directory's lock, so a socket file found there is a dead one. */
  static async start(enforcer: Enforcer, handlers: ControlHandlers): Promise<ControlServer> {
    const path = controlSocket(enforcer.options.state);
    checkControlPath(enforcer.options.state);
    rmSync(path, { force: true });
    const server = http.createServer((request, response) => void answer(enforcer, handlers, request, response));
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) =>
        reject(new SallyportError("STATE_UNWRITABLE", `${path}: ${error.message}`, { path }, error)),
      );
      const mask = process.umask(0o077);
      server.listen(path, resolve);
      process.umask(mask);
    });
    chmodSync(path, 0o600);
    return new ControlServer(server, path);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // A disk that became read-only must not keep the gateway from stopping; the next start removes a dead socket.
    }
  }
}

async function answer(
  enforcer: Enforcer,
  handlers: ControlHandlers,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const reply = (status: number, body: unknown) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  request.resume();
  try {
    const call = `${request.method} ${request.url}`;
    if (call === "GET /status") reply(200, await enforcer.status());
    else if (call === "GET /flows") reply(200, enforcer.flows());
    else if (call === "GET /metrics") {
      const page = await metricsOf(enforcer);
      response.writeHead(200, { "content-type": expositionType }).end(page);
    } else if (call === "POST /reload") reply(200, await handlers.reload());
    else reply(404, { code: "USAGE", message: `No such call: ${call}` });
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : "INTERNAL";
    reply(500, { code, message: (error as Error).message });
  }
}

/** Asks the enforcer of a state directory; throws NOT_RUNNING when none answers, or the error it answered with. */
export async function ask<T>(state: string, method: "GET" | "POST", path: string): Promise<T> {
  const { status, body } = await call(state, method, path);
  const parsed = parse(body);
  if (status === 200 && parsed !== undefined) return parsed as T;
  throw answered(state, parsed);
}

/** The same, for an answer that is text. */
export async function askText(state: string, path: string): Promise<string> {
  const { status, body } = await call(state, "GET", path);
  if (status === 200) return body;
  throw answered(state, parse(body));
}

function call(state: string, method: "GET" | "POST", path: string): Promise<{ status: number; body: string }> {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const request = http.request({ socketPath: controlSocket(state), method, path, timeout: 30_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error("no answer within 30 s")));
    request.on("error", (error) =>
      reject(new SallyportError("NOT_RUNNING", `Nothing answers in ${state}: ${error.message}.`, { state }, error)),
    );
    request.end();
  });
}

/** The error in an answer that is not what was asked for. */
function answered(state: string, parsed: unknown): SallyportError {
  const { code, message } = (parsed ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code !== "string" || typeof message !== "string") {
    return new SallyportError("INTERNAL", `What answers in ${state} is no enforcer: its answer cannot be read.`, {
      state,
    });
  }
  return new SallyportError(Object.hasOwn(errorTable, code) ? (code as ErrorCode) : "INTERNAL", message);
}

/** Undefined where the text is no JSON. */
function parse(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
}
