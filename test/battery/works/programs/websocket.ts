/** `websocket.ts URL BYTES`: sends that much to a WebSocket server that echoes; prints digests of what went and what came. */
import { createHash } from "node:crypto";
import { once } from "node:events";

const [url = "", size = "1000000"] = process.argv.slice(2);
const digest = (bytes: ArrayBuffer | Uint8Array): string =>
  createHash("sha256")
    .update(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes)
    .digest("hex");
const message = Uint8Array.from({ length: Number(size) }, (_, i) => (i * 7919) >>> 3);

const socket = new WebSocket(url);
socket.binaryType = "arraybuffer";
await once(socket, "open");
const answers: string[] = [];
for (const each of [message.subarray(0, 10), message.subarray(0, 60_000), message]) {
  socket.send(each);
  const [{ data }] = (await once(socket, "message")) as [{ data: ArrayBuffer }];
  answers.push(digest(data) === digest(each) ? digest(each) : `not what was sent: ${data.byteLength} bytes`);
}
socket.close(1000);
const [closed] = (await once(socket, "close")) as [{ code: number }];
console.log(JSON.stringify({ answers, code: closed.code }));
