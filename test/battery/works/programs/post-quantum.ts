/** `post-quantum.ts URL FAMILY`: HTTPS with a hybrid key share, so that the hello is larger than a packet. */
import { get } from "node:https";
import type { TLSSocket } from "node:tls";

const [url = "", family = "4"] = process.argv.slice(2);
const request = get(url, { family: Number(family), ecdhCurve: "X25519MLKEM768", minVersion: "TLSv1.3" });
request.on("response", (response) => {
  let body = "";
  const socket = response.socket as TLSSocket;
  const facts = { version: socket.getProtocol(), authorized: socket.authorized };
  response.setEncoding("utf8").on("data", (text: string) => (body += text));
  response.on("end", () => {
    const { server, address, sni, path } = JSON.parse(body) as { [key: string]: unknown };
    console.log(JSON.stringify({ ...facts, server, address, sni, path }));
  });
});
