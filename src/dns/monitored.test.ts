/**
 * Monitor mode changes nothing that a job can notice: what a watched client sends arrives where it was meant to, what that
 * server answers comes back, byte for byte but for the ID. And what it learns on the side binds no more than it may.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import {
  address,
  alias,
  answerTo,
  ask,
  dig,
  dnsmasq,
  engineOf,
  exchange,
  fixed,
  policed,
  queryBytes,
  read,
  server,
  stand,
  watched,
} from "../../test/dns/peers.ts";
import { until } from "../../test/support/until.ts";
import { formatAddress, parseAddress } from "../address/ip.ts";
import type { Engine } from "../policy/decision.ts";
import { Rcode, Type } from "../wire/dns/types.ts";
import { FrameReader, frame } from "./frames.ts";

const withoutId = (bytes: Uint8Array) => Buffer.from(bytes).subarray(2).toString("hex");

test("query and answer are the same bytes but for the ID, for any name, type, option and oddity", async (t) => {
  const far = await server(t);
  const upstream = await server(t);
  const { port } = await stand(t, [upstream.endpoint], {
    originalServers: (_, queries) => queries.map(() => far.endpoint),
  });
  const options = [{ code: 65001, data: Uint8Array.of(1, 2, 3) }];
  const queries = [
    queryBytes("Evil.Example", Type.NULL, { udpSize: 4096, version: 0, dnssecOk: true, options }),
    queryBytes("allowed.example"),
    queryBytes("7.2.0.192.in-addr.arpa", Type.PTR),
    // Not well formed, and still somebody's protocol.
    Uint8Array.from([...queryBytes("allowed.example"), 1, 2, 3]),
    Uint8Array.of(1, 2, 3, 4, 5),
    answerTo(queryBytes("allowed.example"), []),
  ];
  for (const query of queries) {
    const answer = Uint8Array.from([0, 0, ...Array.from({ length: 900 }, (_, i) => (i * 7) & 255)]);
    far.answerer = ({ bytes }, send) => send(Uint8Array.from(answer, (byte, i) => (i < 2 ? bytes[i]! : byte)));
    const got = await exchange(port, query, watched);
    assert.ok(got !== null);
    assert.equal(withoutId(got), withoutId(answer));
    assert.deepEqual([...got.subarray(0, 2)], [...query.subarray(0, 2)]);
    assert.equal(withoutId(far.received.at(-1)!.bytes), withoutId(query));
  }
  assert.deepEqual(upstream.received, []);
});

test("an unknown original server means the configured upstream; an answer that does not come is not invented", async (t) => {
  const upstream = await server(t, fixed("192.0.2.7"));
  const { port } = await stand(t, [upstream.endpoint]);
  assert.match(await dig(port, "-b", watched, "+short", "evil.example"), /192\.0\.2\.7/);
  upstream.answerer = () => {};
  assert.equal(await exchange(port, queryBytes("evil.example"), watched, 500), null);
});

test("the record says what enforcement would have done", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port, events } = await stand(t, [far.endpoint], {
    originalServers: (_, queries) => queries.map(() => far.endpoint),
  });
  await ask(port, "allowed.example", Type.A, watched);
  await ask(port, "evil.example", Type.A, watched);
  await ask(port, "allowed.example", Type.NULL, watched);
  await ask(port, "1.2.0.192.in-addr.arpa", Type.PTR, watched);
  far.answerer = () => {};
  await exchange(port, Uint8Array.from([...queryBytes("allowed.example"), 1]), watched, 200);
  assert.deepEqual(
    events.slice(0, 4).map(({ verdict, reason, enforced }) => [verdict, reason, enforced]),
    [
      ["allow", "rule", true],
      ["would_deny", "default", false],
      ["would_deny", "query_type", false],
      ["would_deny", "query_type", false],
    ],
  );
  assert.deepEqual(events[0]?.rule?.name, "packages");
  assert.deepEqual(events[0]?.dns, {
    qtype: "A",
    server: `127.0.0.1:${far.endpoint.port}`,
    rcode: "NOERROR",
    answers: ["192.0.2.7"],
    ttl: 300,
  });
  assert.equal(events[1]?.rule?.mode, "monitor");
});

test("a denial that the policy enforces for a watched source refuses it, and the name never leaves", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const enforcing = engineOf(
    "version: 1\nrules:\n  - { name: r, to: [allowed.example] }\ndefault: { mode: enforce }\n",
  );
  // Watched as a source, and yet refused this name: what a policy may one day say.
  const policy: Engine = {
    hash: enforcing.hash,
    group: () => null,
    enforcedFor: () => false,
    enforces: true,
    asksProcess: false,
    dns: (facts) => enforcing.dns(facts),
    connect: (facts) => enforcing.connect(facts),
    name: (facts) => enforcing.name(facts),
    cidrAllows: () => false,
  };
  const { port, events } = await stand(t, [far.endpoint], {
    originalServers: (_, queries) => queries.map(() => far.endpoint),
    policy: () => policy,
  });
  assert.match(await dig(port, "-b", watched, "gist.example"), /status: NXDOMAIN[^]*EDE: 15/);
  assert.match(await dig(port, "-b", watched, "+tcp", "gist.example"), /status: NXDOMAIN[^]*EDE: 15/);
  assert.deepEqual(far.received, []);
  assert.deepEqual(
    events.map(({ verdict }) => verdict),
    ["deny", "deny"],
  );
});

test("answers of a server the client chose bind for that client only; those of an upstream bind for all", async (t) => {
  const chosen = await server(t, fixed("203.0.113.66"));
  const upstream = await server(t, fixed("192.0.2.7"));
  const made = await stand(t, [upstream.endpoint], {
    originalServers: (_, queries) => queries.map(() => chosen.endpoint),
  });
  await ask(made.port, "allowed.example", Type.A, watched);
  made.options.originalServers = (_, queries) => queries.map(() => upstream.endpoint);
  const other = await stand(t, [upstream.endpoint], {
    originalServers: (_, queries) => queries.map(() => upstream.endpoint),
  });
  await ask(other.port, "allowed.example", Type.A, watched);
  const shown = (list: typeof made.bindings) =>
    list.map(({ name, address, source }) => [name, formatAddress(address), source]);
  assert.deepEqual(shown(made.bindings), [["allowed.example", "203.0.113.66", parseAddress(watched)]]);
  assert.deepEqual(shown(other.bindings), [["allowed.example", "192.0.2.7", null]]);
  // Nor does the chosen server's answer reach a policed client, by cache or by reverse lookup.
  assert.match(await dig(made.port, "-b", policed, "-x", "203.0.113.66"), /status: NXDOMAIN/);
  assert.match(await dig(made.port, "-b", policed, "+short", "allowed.example"), /^192\.0\.2\.7$/m);
});

test("an answer to another question, or with surplus records, binds nothing it should not", async (t) => {
  const far = await server(t, ({ bytes }, send) => {
    const id = (bytes[0]! << 8) | bytes[1]!;
    const name = read(bytes).questions[0]!.name.includes("other") ? "other.example" : "allowed.example";
    if (name === "other.example")
      return send(
        answerTo(queryBytes("allowed.example", Type.A, null, id), [address("allowed.example", "203.0.113.66")]),
      );
    send(
      answerTo(bytes, [
        alias(name, "cdn.example", 20),
        address("cdn.example", "192.0.2.7", 900),
        address("other.example", "203.0.113.67"),
      ]),
    );
  });
  const { port, bindings } = await stand(t, [far.endpoint]);
  await exchange(port, queryBytes("other.example"), watched);
  await ask(port, "allowed.example", Type.A, watched);
  assert.deepEqual(
    bindings.map(({ name, address }) => [name, formatAddress(address)]),
    [["allowed.example", "192.0.2.7"]],
  );
});

test("the binding is written before the watched client hears the answer; a failure to write does not withhold it", async (t) => {
  const order: string[] = [];
  const far = await server(t, fixed("192.0.2.7"));
  const { port, firewall } = await stand(t, [far.endpoint], {
    bind: async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      order.push("bound");
      throw new TypeError("a worker is gone");
    },
  });
  await ask(port, "allowed.example", Type.A, watched).then(() => order.push("answer"));
  assert.deepEqual(order, ["bound", "answer"]);
  assert.equal(firewall.stats().failures, 1);
});

test("over TCP: same bytes, same order, a zone transfer of several messages, and each side's end ends the other", async (t) => {
  const parts = Array.from({ length: 5 }, (_, i) =>
    Uint8Array.from([0, 0, 0x80, 0, ...Array.from({ length: 200 }, () => i)]),
  );
  const far = await server(t, ({ bytes }, send, peer) => {
    if (bytes.length > 40) peer?.end();
    else for (const part of parts) send(Uint8Array.from(part, (byte, i) => (i < 2 ? bytes[i]! : byte)));
  });
  const { port, firewall } = await stand(t, [far.endpoint], {
    originalServers: (_, queries) => queries.map(() => far.endpoint),
  });
  const socket = net.connect({ host: "127.0.0.1", port, localAddress: watched });
  const frames = new FrameReader();
  const got: Uint8Array[] = [];
  socket.on("data", (chunk: Uint8Array) => void got.push(...frames.push(chunk)));
  const query = queryBytes("zone.example", Type.AXFR);
  socket.write(frame(query));
  while (got.length < parts.length) await once(socket, "data");
  assert.deepEqual(got.map(withoutId), parts.map(withoutId));
  for (const message of got) assert.deepEqual([...message.subarray(0, 2)], [...query.subarray(0, 2)]);
  assert.equal(withoutId(far.received[0]!.bytes), withoutId(query));
  assert.equal(far.received[0]!.transport, "tcp");
  // A client that shuts its side after the question still gets the whole transfer.
  const half = net.connect({ host: "127.0.0.1", port, localAddress: watched });
  const rest: Uint8Array[] = [];
  const halfFrames = new FrameReader();
  half.on("data", (chunk: Uint8Array) => void rest.push(...halfFrames.push(chunk)));
  half.end(frame(query));
  await once(half, "close");
  assert.deepEqual(rest.map(withoutId), parts.map(withoutId));
  socket.write(frame(queryBytes("a-much-longer-name.that-ends-the-connection.example")));
  await once(socket, "close");
  await until(() => firewall.stats().connections === 0, 5_000);
  assert.deepEqual([firewall.stats().outstanding, firewall.stats().connections], [0, 0]);
});

test("dig notices no difference between dnsmasq asked directly and through us", async (t) => {
  const upstream = await dnsmasq(
    t,
    "--host-record=allowed.example,192.0.2.7,120",
    "--txt-record=evil.example,text",
    "--local=/example/",
  );
  const { port } = await stand(t, [upstream], { originalServers: (_, queries) => queries.map(() => upstream) });
  const strip = (text: string) =>
    text.replace(/^;; (Query time|SERVER|WHEN|Got).*$|id: \d+|^; <<>>.*$|COOKIE.*$/gm, "");
  for (const args of [
    ["allowed.example"],
    ["evil.example", "TXT"],
    ["evil.example", "TXT", "+tcp"],
    ["nothing.example", "AAAA", "+dnssec"],
    ["version.bind", "CH", "TXT"],
  ]) {
    const direct = await dig(upstream.port, "-b", watched, ...args);
    assert.equal(strip(await dig(port, "-b", watched, ...args)), strip(direct), args.join(" "));
  }
  const answer = await ask(port, "allowed.example", Type.A, watched);
  assert.equal(answer.header.rcode, Rcode.NOERROR);
});
