/** Answers one byte to whoever has sent a whole hello (its length is the second argument). `node server.ts PORT BYTES`. */
import { accept, closeAbruptly, IN, listen, Poller, recv, send } from "./sockets.ts";

const [port, bytes] = process.argv.slice(2).map(Number) as [number, number];
const listener = listen(port);
const poller = new Poller();
poller.add(listener, IN);
const got = new Map<number, number>();
const buffer = Buffer.alloc(65536);
const answer = Buffer.from("!");
console.log("listening");
for (;;) {
  poller.wait(1000, (fd) => {
    if (fd === listener) {
      for (let client = accept(listener); client >= 0; client = accept(listener)) {
        got.set(client, 0);
        poller.add(client, IN);
      }
      return;
    }
    const read = recv(fd, buffer);
    if (read <= 0) {
      got.delete(fd);
      closeAbruptly(fd);
      return;
    }
    const total = (got.get(fd) ?? 0) + read;
    got.set(fd, total);
    if (total >= bytes && total - read < bytes) send(fd, answer);
  });
}
