/**
 * Opens connections as fast as the path lets it, `concurrency` at a time, each: connect, send the hello, wait for the
 * answer, close. Prints JSON: connections per second, and connect-to-answer times in microseconds.
 * `node client.ts IP PORT CONCURRENCY SECONDS HELLO_FILE`
 */
import { readFileSync } from "node:fs";
import { distribution } from "./distribution.ts";
import { address, closeAbruptly, connect, IN, NONBLOCK, OUT, Poller, recv, send, socket } from "./sockets.ts";

const [ip, port, concurrency, seconds, file] = process.argv.slice(2) as [string, string, string, string, string];
const to = address(ip, Number(port));
const hello = readFileSync(file);
const poller = new Poller();
const started = new Map<number, number>();
const buffer = Buffer.alloc(65536);
const times: number[] = [];
let failed = 0;

function begin(): void {
  const fd = socket(NONBLOCK);
  started.set(fd, performance.now());
  connect(fd, to);
  poller.add(fd, OUT);
}

function ready(fd: number, events: number): void {
  if ((events & OUT) !== 0 && (events & IN) === 0) {
    if (send(fd, hello) < 0) return end(fd, false);
    poller.change(fd, IN);
    return;
  }
  end(fd, recv(fd, buffer) > 0);
}

function end(fd: number, answered: boolean): void {
  if (answered) times.push((performance.now() - started.get(fd)!) * 1000);
  else failed++;
  started.delete(fd);
  closeAbruptly(fd);
  if (performance.now() < until) begin();
}

const warm = performance.now() + 500;
let until = warm;
for (let i = 0; i < Number(concurrency); i++) begin();
while (started.size > 0) poller.wait(100, ready);
const warmed = times.length + failed;
times.length = 0;
failed = 0;
const start = performance.now();
until = start + Number(seconds) * 1000;
for (let i = 0; i < Number(concurrency); i++) begin();
while (started.size > 0 && performance.now() < until + 5000) poller.wait(100, ready);
const elapsed = (performance.now() - start) / 1000;
console.log(
  JSON.stringify({
    perSecond: Math.round(times.length / elapsed),
    ...distribution(times),
    failed,
    made: warmed + times.length + failed,
  }),
);
