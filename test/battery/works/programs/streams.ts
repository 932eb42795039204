/** `streams.ts URL COUNT FAMILY`: that many HTTP/2 streams at once on one connection; prints the digest of all bodies. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:http2";
import { connect as connectTls } from "node:tls";

const [url = "", count = "100", family = "4"] = process.argv.slice(2);
const { hostname } = new URL(url);
const options = { host: hostname, servername: hostname, port: 443, family: Number(family), ALPNProtocols: ["h2"] };
const session = connect(url, { createConnection: () => connectTls(options) });
await once(session, "connect");
const bodies = await Promise.all(
  Array.from({ length: Number(count) }, async (_, i) => {
    const stream = session.request({ ":path": `/bytes/${5_000 + 97 * i}` });
    const hash = createHash("sha256");
    let size = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      hash.update(chunk);
      size += chunk.length;
    }
    return `${size}:${hash.digest("hex")}`;
  }),
);
session.close();
console.log(
  JSON.stringify({ streams: bodies.length, digest: createHash("sha256").update(bodies.join()).digest("hex") }),
);
