/** `eyeballs.ts NAME`: Node's own Happy Eyeballs (RFC 8305), on by default; prints the address that it came to, and its answer. */
import { get } from "node:https";

const [name = ""] = process.argv.slice(2);
get(`https://${name}/`, { timeout: 20_000 }, (response) => {
  const { remoteAddress } = response.socket;
  response.resume().on("end", () => console.log(JSON.stringify({ remoteAddress, status: response.statusCode })));
});
