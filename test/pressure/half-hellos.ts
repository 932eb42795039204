/**
 * Half-open hellos, as many as asked for: connects, sends the first bytes of a ClientHello that never goes on, and keeps the
 * connection until somebody ends it. `node half-hellos.ts IP PORT COUNT AT_A_TIME SECONDS HEX` prints `started`, and after
 * that many seconds JSON: how many were begun, sent, ended by the other side, and open at the end.
 */
import {
  address,
  closeAbruptly,
  connect,
  IN,
  NONBLOCK,
  OUT,
  Poller,
  recv,
  send,
  socket,
} from "../../bench/load/sockets.ts";

const [ip, port, count, atATime, seconds, hex] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const to = address(ip, Number(port));
const bytes = Buffer.from(hex, "hex");
const poller = new Poller();
const buffer = Buffer.alloc(4096);
/** Descriptor to whether its bytes were sent. */
const open = new Map<number, boolean>();
let begun = 0;
let sent = 0;
let ended = 0;
let connecting = 0;

console.log("started");
const end = performance.now() + Number(seconds) * 1000;
while (performance.now() < end) {
  while (begun < Number(count) && connecting < Number(atATime)) {
    const fd = socket(NONBLOCK);
    if (fd < 0) break;
    begun++;
    connecting++;
    open.set(fd, false);
    connect(fd, to);
    poller.add(fd, OUT);
  }
  poller.wait(50, (fd, events) => {
    if (open.get(fd) === false) connecting--;
    if (open.get(fd) === false && (events & ~OUT) === 0 && send(fd, bytes) === bytes.length) {
      sent++;
      open.set(fd, true);
      return poller.change(fd, IN);
    }
    recv(fd, buffer);
    ended++;
    open.delete(fd);
    closeAbruptly(fd);
  });
}
console.log(JSON.stringify({ begun, sent, ended, open: open.size }));
