/** Opens connections, sends each the hello, waits for every answer, then keeps them open. `node hold.ts IP PORT COUNT HELLO_FILE`. */
import { readFileSync } from "node:fs";
import { address, connect, IN, NONBLOCK, OUT, Poller, recv, send, socket } from "./sockets.ts";

const [ip, port, count, file] = process.argv.slice(2) as [string, string, string, string];
const to = address(ip, Number(port));
const hello = readFileSync(file);
const poller = new Poller();
const buffer = Buffer.alloc(64);
const finished = Buffer.from("f");
const wanted = Number(count);
let begun = 0;
let open = 0;

function begin(): void {
  if (begun++ >= wanted) return;
  const fd = socket(NONBLOCK);
  connect(fd, to);
  poller.add(fd, OUT);
}

for (let i = 0; i < 64; i++) begin();
for (;;) {
  if (open >= wanted) break;
  poller.wait(100, (fd, events) => {
    if ((events & IN) === 0) {
      send(fd, hello);
      poller.change(fd, IN);
      return;
    }
    recv(fd, buffer);
    // As a TLS client's Finished does: it acknowledges the answer, and the kernel forwards alone from here on.
    send(fd, finished);
    poller.change(fd, 0);
    open++;
    begin();
  });
}
console.log("open");
setInterval(() => {}, 1000);
