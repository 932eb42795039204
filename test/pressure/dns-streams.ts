/**
 * Asks for other names over TCP, as fast as the answers come: `node dns-streams.ts SERVER BELOW CONNECTIONS SECONDS`. Prints
 * JSON: queries asked and answered, connections that stayed open, and those that were turned away.
 */
import net from "node:net";

const [server, below, connections, seconds] = process.argv.slice(2) as [string, string, string, string];
/** Queries under way on one connection. */
const pipeline = 16;
const done = { asked: 0, answered: 0, open: 0, refused: 0 };
let number = 0;

function query(): Buffer {
  const labels = [`s${number++}`, ...below.split(".")];
  const name = labels.map((label) => String.fromCharCode(label.length) + label).join("");
  const message = Buffer.concat([
    Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    Buffer.from(`${name}\0`, "latin1"),
    Buffer.from([0, 1, 0, 1]),
  ]);
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 0xff]), message]);
}

const sockets = Array.from({ length: Number(connections) }, () => {
  const socket = net.connect(53, server);
  let rest: Buffer = Buffer.alloc(0);
  let answered = 0;
  const ask = (count: number): void => {
    done.asked += count;
    socket.write(Buffer.concat(Array.from({ length: count }, query)));
  };
  socket.on("connect", () => ask(pipeline));
  socket.on("error", () => {});
  socket.on("close", () => answered === 0 && done.refused++);
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    let got = 0;
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      rest = rest.subarray(2 + rest.readUInt16BE(0));
      got++;
    }
    answered += got;
    done.answered += got;
    if (got > 0) ask(got);
  });
  return { socket, answered: () => answered };
});

setTimeout(
  () => {
    done.open = sockets.filter(({ socket, answered }) => !socket.destroyed && answered() > 0).length;
    console.log(JSON.stringify(done));
    process.exit(0);
  },
  Number(seconds) * 1000,
);
