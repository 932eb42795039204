/**
 * The proxy that one would write with `node:net`: read the hello, look its name up on a list, resolve it, dial it, pipe. One
 * process for each processor (`node:cluster`). `node node-proxy.ts PORT TARGET_PORT[,TARGET_PORT]`, a port each from PORT on.
 */
import cluster from "node:cluster";
import { lookup } from "node:dns/promises";
import net from "node:net";
import { availableParallelism } from "node:os";
import { parseTls } from "../../src/wire/tls/client-hello.ts";

const [port, targets] = process.argv.slice(2) as [string, string];
const allowed = new Set(["bench.example"]);
const addresses = new Map<string, string>();

async function addressOf(name: string): Promise<string> {
  let address = addresses.get(name);
  if (address === undefined) {
    address = (await lookup(name, 4)).address;
    addresses.set(name, address);
    setTimeout(() => addresses.delete(name), 60_000).unref();
  }
  return address;
}

function serve(client: net.Socket, targetPort: number): void {
  let head = Buffer.alloc(0);
  client.setNoDelay(true);
  client.on("error", () => client.destroy());
  client.on("data", function take(chunk: Buffer) {
    head = Buffer.concat([head, chunk]);
    const read = parseTls(head);
    if (read.state === "need_more") return;
    client.off("data", take);
    client.pause();
    const name = read.state === "hello" && read.hello.sni.kind === "name" ? read.hello.sni.raw : "";
    if (allowed.has(name)) void dial(client, head, name, targetPort);
    else client.resetAndDestroy();
  });
}

async function dial(client: net.Socket, head: Buffer, name: string, targetPort: number): Promise<void> {
  const server = net.connect({ host: await addressOf(name), port: targetPort, noDelay: true });
  server.on("error", () => client.destroy());
  client.on("close", () => server.resetAndDestroy());
  server.on("close", () => client.destroy());
  server.write(head);
  client.pipe(server).pipe(client);
}

if (cluster.isPrimary) {
  for (let i = 0; i < availableParallelism(); i++) cluster.fork();
} else {
  for (const [index, target] of targets.split(",").entries()) {
    const server = net.createServer({ pauseOnConnect: false }, (client) => serve(client, Number(target)));
    server.listen({ port: Number(port) + index, host: "0.0.0.0", backlog: 16_384 });
  }
}
