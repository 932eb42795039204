/** `keep-alive.ts URL COUNT FAMILY`: plain HTTP requests of every method on one connection, one after the other. */
import { Agent, request } from "node:http";

const [url = "", count = "100", family = "4"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const ports = new Set<number>();
const methods = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"];
const seen = new Map<string, number>();
for (let i = 0; i < Number(count); i++) {
  const method = methods[i % methods.length]!;
  const body = method.startsWith("P") ? "x".repeat(i * 37) : "";
  const answer = await new Promise<string>((resolve, reject) => {
    const sent = request(`${url}${i}`, { agent, method, family: Number(family) }, (response) => {
      ports.add(response.socket.localPort ?? 0);
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(text));
    });
    sent.on("error", reject).end(body);
  });
  const read = method === "HEAD" ? { bodyBytes: 0 } : (JSON.parse(answer) as { bodyBytes: number });
  if (read.bodyBytes !== body.length) throw new Error(`${method} ${i}: the server read ${read.bodyBytes}`);
  seen.set(method, (seen.get(method) ?? 0) + 1);
}
agent.destroy();
console.log(JSON.stringify({ connections: ports.size, ...Object.fromEntries(seen) }));
