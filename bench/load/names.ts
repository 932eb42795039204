/**
 * Asks for one name again and again, one question at a time, and prints JSON: times from question to answer in microseconds, and
 * how many found none within two seconds. They show when the gateway had no time for them.
 * `node names.ts SERVER NAME SECONDS PAUSE_MS`
 */
import { createSocket } from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";
import dnsPacket from "dns-packet";
import { distribution } from "./distribution.ts";

const [server, name, seconds, pause] = process.argv.slice(2) as [string, string, string, string];
const socket = createSocket("udp4");
const times: number[] = [];
let lost = 0;
let id = 0;
let answered: (id: number) => void = () => {};
socket.on("message", (message) => answered(message.readUInt16BE(0)));

const until = performance.now() + Number(seconds) * 1000;
while (performance.now() < until) {
  id = (id + 1) & 0xffff;
  const question = dnsPacket.encode({ type: "query", id, flags: 0x100, questions: [{ type: "A", name }] });
  const got = Promise.withResolvers<boolean>();
  answered = (which) => {
    if (which === id) got.resolve(true);
  };
  const late = setTimeout(() => got.resolve(false), 2_000);
  const start = performance.now();
  socket.send(question, 53, server);
  if (await got.promise) times.push((performance.now() - start) * 1000);
  else lost++;
  clearTimeout(late);
  await sleep(Number(pause));
}
socket.close();
console.log(JSON.stringify({ ...distribution(times), lost }));
