/** N9 with a real client: ngtcp2's Initials are opened and show its hello. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { QuicInitial, type QuicResult } from "./initial.ts";

async function capture(): Promise<QuicResult> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const port = String(socket.address().port);
  const args = ["127.0.0.1", port, "https://localhost/"];
  const child = spawn("gtlsclient", args, { stdio: "ignore" });
  const failed = once(child, "error").then(([error]: Error[]) => {
    throw new Error(`install the Debian/Ubuntu package ngtcp2-client: ${error!.message}`);
  });
  failed.catch(() => {});
  const quic = new QuicInitial();
  try {
    for (;;) {
      const message = once(socket, "message", { signal: AbortSignal.timeout(10_000) });
      const [datagram] = (await Promise.race([message, failed])) as [Uint8Array];
      const result = quic.add(datagram);
      if (result.state !== "need_more") return result;
    }
  } finally {
    child.kill("SIGKILL");
    socket.close();
  }
}

test("N9: a real client's hello is read", async () => {
  const result = await capture();
  assert.ok(result.state === "hello", JSON.stringify(result));
  // What this client calls a server that it reaches by address.
  assert.deepEqual(result.hello.sni, { kind: "name", raw: "localhost" });
  assert.equal(result.hello.version, "TLS 1.3");
  assert.ok(result.hello.alpn.includes("h3"));
});
