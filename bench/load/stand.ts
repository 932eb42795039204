/** What benchmarks of connections share: a real hello, the end in the lab's internet that answers it, and the middle of figures. */
import { type ChildProcess, spawn } from "node:child_process";
import net from "node:net";
import tls from "node:tls";
import type { Lab } from "../../test/lab/lab.ts";

/** The hello that this Node's TLS client sends for `name`. */
export async function captureHello(name: string): Promise<Buffer> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: at } = server.address() as net.AddressInfo;
  const chunks: Buffer[] = [];
  const got = new Promise<Buffer>((resolve) =>
    server.once("connection", (socket) => {
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        chunks.push(chunk as Buffer);
        const all = Buffer.concat(chunks);
        if (all.length >= 5 && all.length >= 5 + all.readUInt16BE(3)) resolve(all);
      });
    }),
  );
  const client = tls.connect({ host: "127.0.0.1", port: at, servername: name });
  client.on("error", () => {});
  const bytes = await got;
  client.destroy();
  server.close();
  return bytes;
}

/** Starts the answering end, in the lab's internet: a byte for each hello of so many bytes. */
export async function answerHellos(lab: Lab, port: number, bytes: number): Promise<ChildProcess> {
  const file = new URL("./server.ts", import.meta.url).pathname;
  const args = ["netns", "exec", `${lab.id}-internet`, process.execPath, file, String(port), String(bytes)];
  const server = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => server.stdout.once("data", resolve));
  return server;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
