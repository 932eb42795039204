/**
 * A TLS client whose hello goes out cut: `hello.ts NAME segments|records GROUP STEP`. Every STEPth byte is a place to cut,
 * one connection each; prints how many there were and how many got their answer. Two writes with TCP_NODELAY are two
 * segments; two records share the handshake message between them (RFC 8446 section 5.1).
 */
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { lookup } from "node:dns/promises";

const [name = "", how = "segments", group = "X25519", stepText = "1", family = "4"] = process.argv.slice(2);
const step = Number(stepText);
const { address } = await lookup(name, { family: Number(family) });

/** One connection whose first flight is cut in two at `at`; resolves with its length once the server answered. */
async function attempt(at: number): Promise<number> {
  const socket = connect({ host: address, port: 443, noDelay: true });
  await once(socket, "connect");
  let length = 0;
  const cut = new Duplex({
    read() {
      socket.resume();
    },
    write(chunk: Buffer, _encoding, done) {
      if (length > 0) return void socket.write(chunk, done);
      length = chunk.length;
      const [head, tail] = how === "records" ? inRecords(chunk, at) : [chunk.subarray(0, at), chunk.subarray(at)];
      socket.write(head, () => socket.write(tail, done));
    },
    final(done) {
      socket.end(done);
    },
  });
  feed(socket, cut);
  const tls = connectTls({
    socket: cut,
    servername: name,
    minVersion: "TLSv1.3",
    ecdhCurve: group,
    ciphers: "TLS_AES_128_GCM_SHA256",
  });
  let answer = "";
  tls.setEncoding("latin1").on("data", (text: string) => (answer += text));
  tls.end(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
  await once(tls, "end");
  socket.destroy();
  if (!answer.startsWith("HTTP/1.1 200")) throw new Error(`cut at ${at}: ${answer.slice(0, 200)}`);
  return length;
}

function feed(socket: Socket, into: Duplex): void {
  socket.on("data", (chunk) => {
    if (!into.push(chunk)) socket.pause();
  });
  socket.on("end", () => into.push(null));
  socket.on("error", (error) => into.destroy(error));
}

/** The handshake message of one record, in two records. */
function inRecords(record: Buffer, at: number): [Buffer, Buffer] {
  const head = Buffer.from(record.subarray(0, 5 + at));
  head.writeUInt16BE(at, 3);
  const rest = record.subarray(5 + at);
  const tail = Buffer.concat([record.subarray(0, 5), rest]);
  tail.writeUInt16BE(rest.length, 3);
  return [head, tail];
}

const whole = await attempt(1);
const places: number[] = [];
for (let at = 1; at < (how === "records" ? whole - 5 : whole); at += step) places.push(at);
const waiting = [...places];
const failures: string[] = [];
const lane = async (): Promise<void> => {
  for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
    await attempt(at).catch((error: Error) => failures.push(error.message));
  }
};
await Promise.all(Array.from({ length: 8 }, lane));
console.log(JSON.stringify({ places: places.length, failures }));
process.exitCode = failures.length === 0 ? 0 : 1;
