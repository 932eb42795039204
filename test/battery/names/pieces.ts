/**
 * Row N6: a denied hello in pieces. Cut at every place, out of order, sent twice with different bytes, over several records,
 * padded, slow: it is put together, or refused, and never let through unread.
 */
import { bytes, buildHello, filler, records, serverNames, type Extension } from "../../wire/hello.ts";
import type { Attack } from "../case.ts";
import type { Job } from "../job.ts";
import { hello, letGo, markedHello, refused } from "../refusals.ts";
import { EvilConnection } from "../tcp/evil.ts";
import { flags } from "../tcp/raw.ts";

const kind = "attack";
const row = "N6";

const message = (name: string, ...more: Extension[]): Uint8Array =>
  buildHello({ extensions: [filler(21, 40), serverNames(name), filler(35, 200), ...more] });
/** Where records cut a name in two, the marker is also in a record behind them. */
const trailer = (marker: string): Uint8Array => bytes(23, 3, 3, 0, marker.length, Buffer.from(marker));
/** Both hellos of the same length, so that one can take the other's place byte for byte. */
const pair = (marker: string): { good: Uint8Array; evil: Uint8Array } => {
  const name = `${marker}.evil.example`;
  return {
    good: records(message("allowed.example", filler(42, name.length - 15))),
    evil: records(message(name, filler(42, 0))),
  };
};

/** Refused at the shared address for this reason, whatever name was read. */
const because = (reason: string) => (job: Job) => refused(reason, { ip: job.dot(10), port: 443 }, "name");

/** Monitor hands a connection to the kernel once its first bytes are read: it tells which name those showed. */
const readAs = (name: string) => (job: Job) => ({ ...hello(name, "rule")(job), ...letGo });

/** An attempt with a connection whose segments the attacker makes. */
function evil(
  variant: string,
  act: (connection: EvilConnection, hellos: ReturnType<typeof pair>, job: Job) => void | Promise<void>,
  refusal: Attack["refusal"],
  more: Partial<Attack> = {},
): Attack {
  return {
    kind,
    row,
    variant,
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      const connection = await EvilConnection.open(job, job.dot(10));
      await act(connection, pair(marker), job);
      await connection.answered();
    },
    refusal,
    ...more,
  };
}

/** Cuts into `n` pieces of about equal size, each with its offset. */
function cut(stream: Uint8Array, n: number): [number, Uint8Array][] {
  const size = Math.ceil(stream.length / n);
  return Array.from({ length: Math.ceil(stream.length / size) }, (_, i) => [
    i * size,
    stream.subarray(i * size, (i + 1) * size),
  ]);
}

const denied = markedHello(".evil.example");
/** A hello in records that are cut, or interrupted, like this. */
const recorded = (variant: string, make: (message: Uint8Array) => Uint8Array, refusal: Attack["refusal"]): Attack =>
  ({
    kind,
    row,
    variant,
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      const connection = await EvilConnection.open(job, job.dot(10));
      const stream = bytes(make(message(`${marker}.evil.example`)), trailer(marker));
      for (const [offset, piece] of cut(stream, Math.ceil(stream.length / 1200))) connection.send(offset, piece);
      await connection.answered();
    },
    refusal,
  }) satisfies Attack;

const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);

export const pieceCases: Attack[] = [
  {
    kind,
    row,
    variant: "cut in two at every place",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      const { evil: stream } = pair(marker);
      await job.node(everyCut, [job.dot(10), Buffer.from(stream).toString("hex")], { timeoutMs: 40_000 });
    },
    refusal: denied,
  },
  ...[2, 3, 8, 20].map((n) =>
    evil(`in ${n} segments`, (c, { evil: e }) => cut(e, n).forEach(([at, piece]) => c.send(at, piece)), denied),
  ),
  evil(
    "in 8 segments, last first",
    (c, { evil: e }) =>
      cut(e, 8)
        .toReversed()
        .forEach(([at, p]) => c.send(at, p)),
    denied,
  ),
  evil(
    "in 8 segments, each twice",
    (c, { evil: e }) => cut(e, 8).forEach(([at, p]) => [1, 2].forEach(() => c.send(at, p))),
    denied,
  ),
  evil(
    "one byte a segment",
    (c, { evil: e }) => cut(e, e.length).forEach(([at, p]) => c.send(at, p)),
    because("over_limit"),
    { foretold: because("too_large") },
  ),
  evil(
    "the first byte last",
    (c, { evil: e }) => {
      c.send(1, e.subarray(1));
      c.send(0, e.subarray(0, 1));
    },
    denied,
  ),
  evil(
    "the allowed hello first, the denied in its place",
    (c, { good, evil: e }) => {
      c.send(0, good.subarray(0, 140));
      c.send(0, e);
    },
    because("overlap"),
  ),
  evil(
    "the denied first, the allowed in its place",
    (c, { good, evil: e }) => {
      c.send(60, e.subarray(60));
      c.send(0, good);
    },
    because("overlap"),
  ),
  evil(
    "the tail of the denied first, the whole allowed over it",
    (c, { good, evil: e }) => {
      c.send(80, e.subarray(80, 160));
      c.send(40, good.subarray(40));
      c.send(0, good.subarray(0, 40));
    },
    because("overlap"),
  ),
  evil(
    "the whole allowed hello but its first byte, the denied over it",
    (c, { good, evil: e }) => {
      c.send(1, good.subarray(1));
      c.send(50, e.subarray(50));
      c.send(0, e.subarray(0, 1));
    },
    because("overlap"),
  ),
  evil(
    "overlapping by one byte, which differs",
    (c, { evil: e }) => {
      const middle = 100;
      c.send(0, bytes(e.subarray(0, middle), e[middle]! ^ 1));
      c.send(middle, e.subarray(middle));
    },
    because("overlap"),
  ),
  evil(
    "the allowed hello whole, and at once the denied in its place",
    (c, { good, evil: e }) => {
      c.send(0, good);
      c.send(0, e);
    },
    because("overlap"),
    { foretold: readAs("allowed.example") },
  ),
  evil(
    "the same with an acknowledgement of nothing yet between them",
    (c, { good, evil: e }) => {
      c.send(0, good);
      c.acknowledge();
      c.send(0, e);
    },
    because("overlap"),
    { foretold: readAs("allowed.example") },
  ),
  evil(
    "the denied hello in a segment that also ends the stream",
    (c, { evil: e }) => c.send(0, e, flags.psh | flags.ack | flags.fin),
    denied,
  ),
  evil(
    "behind an end of the stream that covers nothing",
    (c, { evil: e }) => {
      c.send(e.length, new Uint8Array(0), flags.fin | flags.ack);
      c.send(0, e);
    },
    denied,
  ),
  recorded("in two records, cut inside the list of extensions", (m) => records(m, 70), denied),
  recorded("in two records, cut inside the name", (m) => records(m, 112), denied),
  recorded("in two records, cut inside the header", (m) => records(m, 2), denied),
  recorded("in sixteen records", (m) => records(m, ...range(20, m.length, Math.ceil(m.length / 16))), denied),
  recorded("in a record for every byte", (m) => records(m, ...range(1, m.length)), because("too_large")),
  recorded("with an empty record before it", (m) => bytes(22, 3, 1, 0, 0, records(m)), because("malformed")),
  recorded("with an alert before it", (m) => bytes(21, 3, 1, 0, 2, 1, 0, records(m)), because("malformed")),
  recorded(
    "with a change of cipher in the middle",
    (m) => bytes(records(m.subarray(0, 50)), 20, 3, 1, 0, 1, 1, records(m.subarray(50))),
    because("malformed"),
  ),
  {
    ...recorded("padded to 15 kB", (m) => m, denied),
    run: (job, marker) => large(job, message(`${marker}.evil.example`, filler(42, 15_000))),
  },
  {
    ...recorded("padded beyond what one hello may have", (m) => m, because("too_large")),
    run: (job, marker) =>
      large(
        job,
        buildHello({
          extensions: [serverNames(`${marker}.evil.example`), ...range(0, 10).map((n) => filler(100 + n, 15_000))],
        }),
      ),
  },
];

/** A hello of many segments, through a socket: the kernel paces it. */
async function large(job: Job, hello: Uint8Array): Promise<void> {
  await job.resolve("allowed.example");
  const stream = records(hello, ...range(16_000, hello.length, 16_000));
  await job.exec(process.execPath, ["-e", fromInput, job.dot(10)], { input: Buffer.from(stream) });
}

const fromInput = `
const chunks = [];
process.stdin.on("data", (c) => chunks.push(c)).on("end", () => {
  const socket = require("net").connect({ host: process.argv[1], port: 443 }, () => socket.write(Buffer.concat(chunks)));
  socket.on("error", () => process.exit()).on("data", () => process.exit()).on("close", () => process.exit());
  setTimeout(() => process.exit(), 2500);
});`;

/** A connection for each place where the bytes can be cut, thirty-two at a time. */
const everyCut = `
const [, host, hex] = process.argv;
const bytes = Buffer.from(hex, "hex"), { connect } = require("net");
let next = 1;
const one = () => new Promise((done) => {
  const at = next++;
  const socket = connect({ host, port: 443, noDelay: true }, () => {
    socket.write(bytes.subarray(0, at), () => setImmediate(() => socket.write(bytes.subarray(at))));
  });
  socket.setTimeout(1500, () => socket.destroy());
  socket.on("error", () => {}).on("data", () => socket.destroy()).on("close", done);
});
const lane = async () => { while (next < bytes.length) await one(); };
Promise.all(Array.from({ length: 32 }, lane)).then(() => process.exit());`;
