/**
 * The agent's socket: anybody on the machine may ask how it stands and for the report. It obeys nobody; asking for the report
 * makes one and ends nothing. HTTP over a unix socket, `GET /status` and `GET /finish`.
 */
import { chmodSync } from "node:fs";
import http from "node:http";
import type { Socket } from "node:net";
import { SallyportError } from "../errors.ts";

/** A report takes a reading of the record: one at a time, and not more often than this, ms. */
const pauseMs = 250;
const mostConnections = 64;

export interface Asked {
  status: () => Promise<unknown>;
  finish: () => Promise<unknown>;
}

export async function answerAt(path: string, asked: Asked): Promise<http.Server> {
  let making: Promise<unknown> | null = null;
  let madeAt = 0;
  const finish = () => {
    if (making !== null && performance.now() - madeAt < pauseMs) return making;
    const before = making ?? Promise.resolve();
    madeAt = performance.now();
    making = before.catch(() => {}).then(asked.finish);
    return making;
  };
  const server = http.createServer((request, response) => {
    const reply = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    request.resume();
    const call = `${request.method} ${request.url}`;
    const answer = call === "GET /status" ? asked.status : call === "GET /finish" ? finish : null;
    if (answer === null) reply(404, { message: `No such question: ${call}` });
    else {
      answer().then(
        (body) => reply(200, body),
        (error: Error) => reply(500, { message: error.message }),
      );
    }
  });
  // Whoever holds many open must not keep the next one out: the oldest goes.
  const open = new Set<Socket>();
  server.on("connection", (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    const [oldest] = open;
    if (open.size > mostConnections) oldest?.destroy();
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new SallyportError("STATE_UNWRITABLE", `${path}: ${error.message}.`, {}, error)),
    );
    server.listen(path, resolve);
  });
  chmodSync(path, 0o666);
  return server;
}
