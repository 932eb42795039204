/**
 * Promises: whatever a sink does (refuses, answers 429 or 500, hangs, breaks off in the middle, says that it is too much), it
 * gets every record, at least once and in order; a restart goes on where it was; what it can never get is said. Over real
 * HTTP on loopback.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { denial, memory, segmentsOf, temporary, until, writeRecord } from "../audit/test-support.ts";
import { Spool } from "../audit/spool.ts";
import type { EventBody } from "../audit/event.ts";
import { waitAfter, waits } from "./backoff.ts";
import { Cursor } from "./cursor.ts";
import { beginning } from "./record.ts";
import { WebhookSink } from "./sinks/webhook.ts";
import { hang, Peer, type Answer } from "./testing/peer.ts";
import { runCourier, type Running } from "./testing/record.ts";

const bounds = { records: 10, bytes: 1e6 };
const webhook = (url: string) =>
  new WebhookSink({ name: "sink", kinds: null, to: "webhook", url, headers: {}, tls: {}, format: "native" });

async function recordOf(count: number): Promise<string> {
  const state = temporary(memory);
  await writeRecord(state, count);
  return state;
}

const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);
const delivered = (peer: Peer, count: number) => until(`${count} records`, () => new Set(peer.taken).size >= count);

/** Runs a record of 35 to a peer that misbehaves; returns what was told when it has everything. */
async function deliverTo(answer: Answer, more: Parameters<typeof runCourier>[2] = {}) {
  const state = await recordOf(35);
  const peer = await Peer.start(answer);
  const running = await runCourier(state, webhook(peer.url), { bounds, ...more });
  try {
    await delivered(peer, 35);
    await until("it rests", () => running.courier.idle);
    assert.deepEqual([...new Set(peer.taken)], upTo(35));
    assert.deepEqual(running.incidents, []);
    return { peer, status: running.courier.status(Date.now()) };
  } finally {
    await running.stop();
    await peer.close();
  }
}

test("a sink that takes everything gets everything once, in batches, and the lag is zero", async () => {
  const { peer, status } = await deliverTo(() => {});
  assert.deepEqual(peer.taken, upTo(35));
  assert.equal(peer.asked.length, 4);
  assert.match(peer.asked[0]!.headers["content-type"]!, /ndjson/);
  assert.deepEqual([status.seq, status.lag, status.delivered, status.failures, status.lost], [35, 0, 35, 0, 0]);
});

test("500 and 503 are tried again until they end", async () => {
  const { status } = await deliverTo(({ number }, response) => {
    if (number % 2 === 1) response.writeHead(number % 4 === 1 ? 500 : 503).end("out of order");
  });
  assert.ok(status.failures >= 4);
  assert.match(status.last_error!.message, /^answered 50[03]: out of order$/);
});

test("429 is tried again, and not before Retry-After", async () => {
  let refusedAt = 0;
  let cameAt = 0;
  const { status } = await deliverTo(({ number }, response) => {
    if (number === 2) {
      refusedAt = performance.now();
      response.writeHead(429, { "retry-after": "2" }).end();
    } else if (number === 3) cameAt = performance.now();
  });
  assert.ok(cameAt - refusedAt >= 1_950, `after ${cameAt - refusedAt} ms`);
  assert.equal(status.failures, 1);
});

test("a sink that hangs runs into the time limit and is asked again", async () => {
  const { status } = await deliverTo((asked, ...rest) => (asked.number === 2 ? hang(asked, ...rest) : undefined), {
    timeoutMs: 1_500,
  });
  assert.deepEqual([status.failures, status.last_error?.message], [1, "no answer within 1.5 s"]);
});

test("a sink that breaks off, before it answers or in the middle of its answer, is sent the batch again", async () => {
  const { peer, status } = await deliverTo(({ number }, response, request) => {
    if (number === 1) request.socket.destroy();
    if (number === 3) {
      response.writeHead(200, { "content-length": "100" });
      response.write("only a part", () => request.socket.destroy());
    }
  });
  assert.equal(status.failures, 2);
  assert.ok(peer.asked.length >= 6);
});

test("413 halves what is sent at once; a single record that is too large is passed over and said", async () => {
  const { peer, status } = await deliverTo(({ body }, response) => {
    if (body.split("\n").length > 4) response.writeHead(413).end();
  });
  assert.equal(status.rejected, 0);
  assert.ok(peer.taken.length === 35);

  const state = await recordOf(5);
  const picky = await Peer.start(({ body }, response) => {
    if (body.includes('"seq":3,')) response.writeHead(413).end();
  });
  const running = await runCourier(state, webhook(picky.url), { bounds });
  await delivered(picky, 4);
  await until("it rests", () => running.courier.idle);
  assert.deepEqual(
    picky.taken.toSorted((a, b) => a - b),
    [1, 2, 4, 5],
  );
  const { rejected, lost, problem } = running.courier.status(Date.now());
  assert.deepEqual([rejected, lost], [1, 0]);
  assert.match(problem!, /refused 1 records for good among 3 to 3: answered 413/);
  assert.deepEqual(running.incidents[0]?.data, {
    ...{ sink: "sink", first: 3, last: 3 },
    ...{ rejected: 1, rejected_so_far: 1 },
  });
  await running.stop();
  await picky.close();
});

test("a sink that refuses everything for good is told of once: what is told would be refused as well", async () => {
  const state = await recordOf(6);
  const peer = await Peer.start((_, response) => void response.writeHead(413).end());
  const running = await runCourier(state, webhook(peer.url), { bounds });
  await until("all are refused", () => running.courier.status(Date.now()).rejected === 6);
  assert.equal(running.incidents.length, 1);
  assert.match(running.courier.status(Date.now()).problem!, /refused 1 records for good among 6 to 6/);
  await running.stop();
  await peer.close();
});

test("a refusal that looks for good (400, 401, a redirect) loses nothing: it is repeated until somebody repairs it", async () => {
  const codes = [400, 401, 302];
  const { status } = await deliverTo(({ number }, response) => {
    const code = codes[number - 1];
    if (code !== undefined) response.writeHead(code, { location: "http://127.0.0.1:1/" }).end();
  });
  assert.equal(status.failures, 3);
});

test("a sink that is not there yet gets everything when it comes", async () => {
  const place = await Peer.start();
  const { url, port } = place;
  await place.close();
  const state = await recordOf(20);
  const running = await runCourier(state, webhook(url), { bounds });
  await until("it was tried", () => running.courier.status(Date.now()).failures >= 2);
  const status = running.courier.status(Date.now());
  assert.equal(status.state, "failing");
  assert.equal(status.lag, 20);
  assert.ok(status.lag_seconds >= 0);
  assert.match(status.last_error!.message, /ECONNREFUSED/);
  const peer = await Peer.start(() => {}, port);
  await delivered(peer, 20);
  await running.stop();
  await peer.close();
});

test("a restart goes on where it was, and sends again only what was under way", async () => {
  const state = await recordOf(30);
  const peer = await Peer.start();
  const first = await runCourier(state, webhook(peer.url), { bounds });
  await delivered(peer, 30);
  await until("it rests", () => first.courier.idle);
  await first.stop();
  const spool = await Spool.open({ directory: state });
  for (let port = 31; port <= 40; port++) spool.append(denial(port));
  await spool.close();
  peer.answer = ({ number }, response, request) => {
    if (number === 4) request.socket.destroy();
    else if (number === 5) hang({} as never, response, request);
  };
  const second = await runCourier(state, webhook(peer.url), { bounds });
  await until("it hangs", () => peer.asked.length >= 5);
  // Killed here: the cursor knows only of what was taken.
  await second.stop();
  assert.equal((JSON.parse(readFileSync(join(state, "export/sink.json"), "utf8")) as { seq: number }).seq, 30);
  peer.answer = () => {};
  const third = await runCourier(state, webhook(peer.url), { bounds });
  await delivered(peer, 40);
  await until("it rests", () => third.courier.idle);
  assert.deepEqual(peer.taken, upTo(40));
  await third.stop();
  await peer.close();
});

test("what retention took before the sink had it is said: in status, as an incident, with its numbers", async () => {
  const state = temporary(memory);
  await writeRecord(state, 60, { segmentBytes: 8_000, flushBytes: 1 });
  const segments = segmentsOf(state);
  const third = Number(/\d+/.exec(segments[2]!)![0]);
  await new Cursor(state, "sink").write(beginning);
  for (const name of segments.slice(0, 2)) rmSync(join(state, "events", name));
  const peer = await Peer.start();
  const running = await runCourier(state, webhook(peer.url), { bounds });
  await delivered(peer, 60 - third + 1);
  const status = running.courier.status(Date.now());
  assert.equal(status.lost, third - 1);
  assert.match(status.problem!, new RegExp(`^sink sink never got ${third - 1} records, 1 to ${third - 1}`));
  assert.deepEqual(
    running.incidents.map(({ data }) => data),
    [{ sink: "sink", first: 1, last: third - 1 }],
  );
  await running.stop();
  await peer.close();
});

test("a record that was begun anew is sent from its beginning, and that is said", async () => {
  const state = await recordOf(30);
  const peer = await Peer.start();
  const first = await runCourier(state, webhook(peer.url), { bounds });
  await delivered(peer, 30);
  await until("it rests", () => first.courier.idle);
  await first.stop();
  rmSync(join(state, "events"), { recursive: true });
  await writeRecord(state, 5);
  const second = await runCourier(state, webhook(peer.url), { bounds });
  await until("all again", () => peer.taken.length >= 35);
  assert.deepEqual(peer.taken.slice(30), upTo(5));
  assert.match(second.incidents[0]!.message, /sent everything again/);
  await second.stop();
  await peer.close();
});

test("a record that was begun anew is sent from its beginning also where it has grown past what the sink has", async () => {
  const state = await recordOf(30);
  const peer = await Peer.start();
  const first = await runCourier(state, webhook(peer.url), { bounds });
  await delivered(peer, 30);
  await until("it rests", () => first.courier.idle);
  await first.stop();
  rmSync(join(state, "events"), { recursive: true });
  await writeRecord(state, 50);
  peer.taken.length = 0;
  const second = await runCourier(state, webhook(peer.url), { bounds });
  await until("it rests", () => second.courier.idle);
  assert.deepEqual(peer.taken, upTo(50));
  assert.deepEqual(
    second.incidents.map(({ data }) => data),
    [{ seq: 30, durable: 50 }],
  );
  await second.stop();
  await peer.close();
});

test("a damaged cursor does not make up a loss of what retention took long ago", async () => {
  const state = temporary(memory);
  await writeRecord(state, 60, { segmentBytes: 5000, flushBytes: 1000 });
  const [oldest, next] = segmentsOf(state);
  rmSync(join(state, "events", oldest!));
  await new Cursor(state, "sink").write(beginning);
  writeFileSync(join(state, "export/sink.json"), "{");
  const peer = await Peer.start();
  const running = await runCourier(state, webhook(peer.url), { bounds });
  await until("it rests", () => running.courier.idle);
  assert.equal(peer.taken[0], Number(/\d{12}/.exec(next!)![0]));
  assert.equal(running.courier.status(0).lost, 0);
  assert.match(running.incidents.map(({ message }) => message).join(), /^the cursor of sink sink is damaged/);
  await running.stop();
  await peer.close();
});

test("a cursor that is damaged is the beginning: again rather than never", async () => {
  const state = await recordOf(8);
  const peer = await Peer.start();
  const first = await runCourier(state, webhook(peer.url), { bounds });
  await delivered(peer, 8);
  await until("it rests", () => first.courier.idle);
  await first.stop();
  writeFileSync(join(state, "export/sink.json"), '{"schema":"sallyport.cursor/1","seq":-1');
  const second: Running = await runCourier(state, webhook(peer.url), { bounds });
  await until("all again", () => peer.taken.length >= 16);
  await second.stop();
  await peer.close();
});

test("only the kinds that are wanted are sent, and the cursor passes the others", async () => {
  const state = temporary(memory);
  const spool = await Spool.open({ directory: state });
  for (let i = 1; i <= 30; i++) spool.append(i % 10 === 0 ? { kind: "policy", message: "x" } : denial(i));
  await spool.close();
  const peer = await Peer.start();
  const running = await runCourier(state, webhook(peer.url), { bounds, kinds: ["policy"] });
  await until("it rests", () => running.courier.status(Date.now()).seq === 30);
  assert.deepEqual(peer.taken, [10, 20, 30]);
  await running.stop();
  await peer.close();
});

test("waits double up to a minute, never all at one moment, and keep the sink's wish", () => {
  const own = (failures: number, chance: number) => waitAfter(failures, null, chance);
  assert.deepEqual(
    [1, 2, 3, 8, 100].map((n) => own(n, 1)),
    [500, 1_000, 2_000, waits.longest, waits.longest],
  );
  assert.equal(own(3, 0), 1_000);
  assert.equal(waitAfter(1, 30_000, 0.5), 30_000);
  assert.equal(waitAfter(1, 1e12, 0.5), waits.wish);
});

test("a new sink begins at the oldest record that retention left, and misses nothing; one that was behind does", async () => {
  const state = temporary(memory);
  await writeRecord(state, 60, { segmentBytes: 5000, flushBytes: 1000 });
  const [first, second] = segmentsOf(state);
  const begins = Number(/\d{12}/.exec(second!)![0]);
  // One that cannot be reached: it has nothing, and that is on the disk.
  const gone = await runCourier(state, webhook("http://127.0.0.1:9/"), { name: "behind" });
  await until("it failed", () => gone.courier.status(0).failures > 0);
  await gone.stop();
  rmSync(join(state, "events", first!));
  const peer = await Peer.start(() => {});
  for (const [name, lost] of [
    ["new", 0],
    ["behind", begins - 1],
  ] as const) {
    peer.taken.length = 0;
    const running = await runCourier(state, webhook(peer.url), { name });
    await delivered(peer, 60 - begins + 1);
    await until("it rests", () => running.courier.idle);
    await running.stop();
    const status = running.courier.status(0);
    assert.deepEqual([peer.taken[0], status.lost, running.incidents.length], [begins, lost, lost === 0 ? 0 : 1], name);
  }
  await peer.close();
});

test("over a line too thin for a full batch in time, it arrives in smaller ones", async () => {
  // 20 ms a record: a batch of ten takes longer than an attempt may.
  const { peer, status } = await deliverTo(
    ({ body }, response) => {
      const records = body.split("\n").length - 1;
      hang({} as never, response, undefined as never);
      setTimeout(() => response.destroyed || response.end(), records * 20);
    },
    { timeoutMs: 150 },
  );
  assert.ok(status.failures >= 1 && status.failures <= 6, `${status.failures} failures`);
  assert.ok(peer.asked.length > 6);
});

test("a record that a format cannot take is passed over and said, and holds up none of those after it", async () => {
  const state = temporary(memory);
  const spool = await Spool.open({ directory: state });
  const broken = { kind: "dns", destination: { name: "a.example" }, dns: { qtype: "A", answers: 5 } };
  for (let i = 1; i <= 20; i++) spool.append(i === 7 ? (broken as unknown as EventBody) : denial(i));
  await spool.close();
  const peer = await Peer.start();
  const sink = { name: "sink", kinds: null, to: "webhook", url: peer.url, headers: {}, tls: {} } as const;
  const running = await runCourier(state, new WebhookSink({ ...sink, format: "ocsf" }), { bounds });
  await until("it rests", () => running.courier.idle);
  const status = running.courier.status(0);
  assert.deepEqual([status.seq, status.delivered, status.rejected, status.failing], [20, 19, 1, 0]);
  assert.match(status.problem!, /refused 1 records for good among 7 to 7: record 7 is no event of ours/);
  await running.stop();
  await peer.close();
});

test("told to stop while it reads, it begins no delivery", async () => {
  const state = await recordOf(5);
  const peer = await Peer.start(hang);
  const reading = Promise.withResolvers<void>();
  let stop = () => {};
  const held = new Proxy(bounds, {
    // The batch is being read: its bounds are looked at.
    get: (target, name, receiver) => {
      if (name === "bytes") {
        stop();
        reading.resolve();
      }
      return Reflect.get(target, name, receiver) as number;
    },
  });
  const running = await runCourier(state, webhook(peer.url), { bounds: held, timeoutMs: 3_000 });
  stop = () => running.courier.stop();
  await reading.promise;
  const started = performance.now();
  await running.stop();
  assert.ok(performance.now() - started < 2_000);
  assert.equal(peer.asked.length, 0);
  await peer.close();
});

test("a loss is a problem until the sink is past it for a while; its count stays", async () => {
  const state = temporary(memory);
  await writeRecord(state, 60, { segmentBytes: 8_000, flushBytes: 1 });
  const segments = segmentsOf(state);
  await new Cursor(state, "sink").write(beginning);
  rmSync(join(state, "events", segments[0]!));
  const second = Number(/\d{12}/.exec(segments[1]!)![0]);
  let isThere = false;
  const peer = await Peer.start((_, response) => {
    if (!isThere) response.writeHead(503).end();
  });
  const running = await runCourier(state, webhook(peer.url), { bounds, problemMs: 300 });
  const problem = () => running.courier.status(0).problem;
  await until("it is told", () => problem() !== null);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.match(problem()!, /never got/, "not over while the sink has nothing from behind the gap");
  isThere = true;
  await until("it rests", () => running.courier.idle);
  await until("it is over", () => problem() === null);
  assert.equal(running.courier.status(0).lost, second - 1);
  assert.equal(running.incidents.length, 1);
  await running.stop();
  await peer.close();
});
