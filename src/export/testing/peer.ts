/** A collector on loopback that does with each request what a test tells it to, and keeps what it took. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Event } from "../../audit/event.ts";

export interface Asked {
  /** 1, 2, …: which request of this peer. */
  number: number;
  path: string;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** How a request is answered; a peer without a word for a request takes it. */
export type Answer = (asked: Asked, response: http.ServerResponse, request: http.IncomingMessage) => void;

export class Peer {
  readonly asked: Asked[] = [];
  /** Numbers of the records in the requests that were answered 200, in order of arrival. */
  readonly taken: number[] = [];
  answer: Answer;
  readonly #server: http.Server;

  private constructor(answer: Answer) {
    this.answer = answer;
    this.#server = http.createServer((request, response) => this.#request(request, response));
  }

  /** On a port of its own, or on one that was its own before. */
  static async start(answer: Answer = () => {}, port = 0): Promise<Peer> {
    const peer = new Peer(answer);
    await new Promise<void>((resolve, reject) => {
      peer.#server.once("error", reject);
      peer.#server.listen(port, "127.0.0.1", resolve);
    });
    // A test that fails half way must end all the same.
    peer.#server.unref();
    return peer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/in`;
  }

  /** Ends it and every connection. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #request(request: http.IncomingMessage, response: http.ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on("error", () => {});
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString("utf8");
      const asked = { number: this.asked.length + 1, path: request.url ?? "", headers: request.headers, body };
      this.asked.push(asked);
      response.on("finish", () => {
        if (response.statusCode === 200) this.taken.push(...numbersIn(body));
      });
      this.answer(asked, response, request);
      if (!response.headersSent && !response.destroyed && !held.has(response)) response.end();
    });
  }
}

const held = new WeakSet<http.ServerResponse>();

/** An answer that never comes. */
export const hang: Answer = (_, response) => void held.add(response);

function numbersIn(body: string): number[] {
  return body
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => (JSON.parse(line) as Event).seq)
    .filter((seq) => typeof seq === "number");
}
