/**
 * `GET /metrics` over TCP, for a scraper. Whoever reaches the port may read it, so it is on loopback unless somebody says
 * otherwise; it tells counts and names of rules, never destinations. The page is made at most once a second, however often
 * it is asked for: making it takes time from the thread that serves DNS.
 */
import http from "node:http";
import { SallyportError } from "../errors.ts";
import { expositionType } from "../metrics/exposition.ts";
import type { MetricsAddress } from "../config/metrics-address.ts";

const freshMs = 1_000;

export class MetricsServer {
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
  }

  /** `page` is null where there is nothing to tell yet. Listens when it resolves; rejects with PORT_IN_USE, or USAGE for an address that is not this host's. */
  static async start({ host, port }: MetricsAddress, page: () => Promise<string> | null): Promise<MetricsServer> {
    let made = { at: Number.NEGATIVE_INFINITY, text: "" };
    const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
      request.resume();
      if (request.method !== "GET" || request.url !== "/metrics") {
        response.writeHead(404, { "content-type": "text/plain" }).end("GET /metrics\n");
        return;
      }
      try {
        const now = performance.now();
        if (now - made.at >= freshMs) {
          const text = await page();
          if (text === null) {
            response.writeHead(503, { "content-type": "text/plain" }).end("not yet\n");
            return;
          }
          made = { at: now, text };
        }
        response.writeHead(200, { "content-type": expositionType }).end(made.text);
      } catch (error) {
        response.writeHead(500, { "content-type": "text/plain" }).end(`${(error as Error).message}\n`);
      }
    };
    const server = http.createServer((request, response) => void answer(request, response));
    server.maxConnections = 32;
    server.requestTimeout = server.headersTimeout = 10_000;
    server.keepAliveTimeout = 30_000;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        const code = error.code === "EADDRINUSE" ? "PORT_IN_USE" : "USAGE";
        reject(new SallyportError(code, `Metrics on ${host} port ${port}: ${error.message}.`, { host, port }, error));
      });
      server.listen(port, host, resolve);
    });
    return new MetricsServer(server);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
