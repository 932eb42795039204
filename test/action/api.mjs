/** As much of GitHub's REST interface as the action asks: one file of a repository. */
import { readFileSync } from "node:fs";
import http from "node:http";

const [, , address, port, file] = process.argv;
http
  .createServer((request, response) => {
    const { policy, status, hang } = JSON.parse(readFileSync(file, "utf8"));
    if (hang === true) return;
    if (status !== undefined) return response.writeHead(status).end("{}");
    const isFile = request.url.startsWith("/repos/o/r/contents/.github/sallyport.yaml?");
    if (!isFile || policy === null) response.writeHead(404).end("{}");
    else response.writeHead(200).end(policy);
  })
  .listen(Number(port), address, () => console.log("listening"));
