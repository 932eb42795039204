/** `idle.ts URL SECONDS FAMILY`: an upload that stands still in the middle, and goes on. */
import { request } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

const [url = "", seconds = "30", family = "4"] = process.argv.slice(2);
const sent = request(url, { method: "PUT", family: Number(family) });
sent.on("response", (response) => {
  let text = "";
  response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  response.on("end", () => {
    const { server, bodyBytes } = JSON.parse(text) as { server: string; bodyBytes: number };
    console.log(JSON.stringify({ server, bodyBytes }));
  });
});
sent.write("before ");
await sleep(Number(seconds) * 1000);
sent.end("and after");
