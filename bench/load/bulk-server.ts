/** Sends without end to whoever has sent a whole hello. `node bulk-server.ts PORT BYTES` */
import { accept, closeAbruptly, IN, listen, OUT, Poller, recv, send } from "./sockets.ts";

const [port, bytes] = process.argv.slice(2).map(Number) as [number, number];
const listener = listen(port);
const poller = new Poller();
poller.add(listener, IN);
const got = new Map<number, number>();
const buffer = Buffer.alloc(65_536);
const body = Buffer.alloc(512 * 1024, 7);

console.log("listening");
for (;;) {
  poller.wait(1000, (fd, events) => {
    if (fd === listener) {
      for (let client = accept(listener); client >= 0; client = accept(listener)) {
        got.set(client, 0);
        poller.add(client, IN);
      }
    } else if ((events & IN) !== 0) {
      const read = recv(fd, buffer);
      if (read <= 0) {
        got.delete(fd);
        closeAbruptly(fd);
        return;
      }
      const total = (got.get(fd) ?? 0) + read;
      got.set(fd, total);
      if (total >= bytes) poller.change(fd, IN | OUT);
    } else send(fd, body);
  });
}
