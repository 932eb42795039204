/**
 * Downloads by so many connections and counts the bytes, which the kernel throws away (MSG_TRUNC, tcp(7)): only the path is
 * measured. Prints JSON {@link Bulk}: after so many seconds, or when a connection was ended by somebody else.
 * `node bulk-client.ts IP PORT CONNECTIONS SECONDS HELLO_FILE`
 */
import { readFileSync } from "node:fs";
import { address, closeAbruptly, connect, discard, IN, NONBLOCK, OUT, Poller, send, socket } from "./sockets.ts";

export interface Bulk {
  bytes: number;
  seconds: number;
  /** Wall clock in ms, when the first connection was ended by somebody else; null where none was. */
  ended: number | null;
}

const [ip, port, connections, seconds, file] = process.argv.slice(2) as [string, string, string, string, string];
const hello = readFileSync(file);
const poller = new Poller();
const open = new Set<number>();
let bytes = 0;
let ended: number | null = null;
let flowing = 0;

for (let i = 0; i < Number(connections); i++) {
  const fd = socket(NONBLOCK);
  connect(fd, address(ip, Number(port)));
  poller.add(fd, OUT);
  open.add(fd);
}
const greeted = new Set<number>();
const begun = performance.now();
/** The first part is TCP's start. */
const warmMs = 300;
let start = 0;
let until = begun + warmMs + Number(seconds) * 1000;
while (performance.now() < until) {
  poller.wait(100, (fd) => {
    if (!greeted.has(fd)) {
      greeted.add(fd);
      send(fd, hello);
      poller.change(fd, IN);
      return;
    }
    const read = discard(fd);
    if (read <= 0) {
      ended ??= Date.now();
      until = 0;
    } else if (bytes === 0 && flowing++ === 0) console.log("flowing");
    if (read > 0) bytes += read;
  });
  if (start === 0 && ended === null && performance.now() - begun >= warmMs) {
    start = performance.now();
    until = start + Number(seconds) * 1000;
    bytes = 0;
  }
}
const took = (performance.now() - (start === 0 ? begun : start)) / 1000;
for (const fd of open) closeAbruptly(fd);
console.log(JSON.stringify({ bytes, seconds: took, ended } satisfies Bulk));
