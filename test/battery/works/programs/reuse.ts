/**
 * `reuse.ts ADDRESS HOST COUNT PORTS`: that many connections one after the other from few source ports, as behind a busy
 * address translation. The server closes first and keeps the time-wait; the next connection reuses the pair of ports.
 */
import { connect } from "node:net";

const [address = "", host = "", count = "2000", ports = "100"] = process.argv.slice(2);
const lanes = 4;
const each = Number(ports) / lanes;
const outcomes = new Map<string, number>();

function attempt(localPort: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ host: address, port: 80, localPort });
    socket.on("connect", () => socket.write(`GET /status/204 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`));
    socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
    socket.on("error", (error: NodeJS.ErrnoException) => (answer = error.code ?? error.message));
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
    socket.on("close", () => resolve(answer.split("\r\n")[0]!));
  });
}

await Promise.all(
  Array.from({ length: lanes }, async (_, lane) => {
    for (let i = 0; i < Number(count) / lanes; i++) {
      const outcome = await attempt(20_000 + lane * each + (i % each));
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  }),
);
console.log(JSON.stringify(Object.fromEntries(outcomes)));
