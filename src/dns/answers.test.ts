/**
 * The ways in that an answer offers: forged, surplus, looping, private, malformed. What a policed client hears, and what
 * the data path is told, is only what can be vouched for.
 */
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { test } from "node:test";
import {
  address,
  alias,
  answerTo,
  ask,
  dig,
  exchange,
  fixed,
  inside,
  policed,
  queryBytes,
  read,
  server,
  stand,
  unbound,
} from "../../test/dns/peers.ts";
import { formatAddress, parseAddress } from "../address/ip.ts";
import { formatName, fromLabels } from "../wire/dns/name.ts";
import { Class, Rcode, type ResourceRecord, SvcKey, Type } from "../wire/dns/types.ts";

const nothingReached = (far: { received: unknown[] }) => assert.deepEqual(far.received, []);

test("D5: a response sent to us is not answered, not passed on and binds nothing", async (t) => {
  const far = await server(t);
  const { port, bindings, events } = await stand(t, [far.endpoint]);
  const forged = answerTo(queryBytes("allowed.example"), [address("allowed.example", "203.0.113.66")]);
  assert.equal(await exchange(port, forged, policed, 300), null);
  nothingReached(far);
  assert.deepEqual(bindings, []);
  assert.equal(events[0]?.reason, "query_malformed");
});

test("D5: wrong ID, wrong question, another port: only the answer to our own question counts", async (t) => {
  const stranger = dgram.createSocket("udp4");
  t.after(() => stranger.close());
  const far = await server(t, ({ bytes, from }, answer) => {
    const evil = [address("allowed.example", "203.0.113.66")];
    const wrongId = answerTo(bytes, evil);
    wrongId[0]! ^= 1;
    answer(wrongId);
    const other = queryBytes("other.example", Type.A, null, (bytes[0]! << 8) | bytes[1]!);
    answer(answerTo(other, [address("other.example", "203.0.113.66")]));
    answer(answerTo(queryBytes("allowed.example", Type.AAAA, null, (bytes[0]! << 8) | bytes[1]!), []));
    answer(bytes);
    // The right ID and question, from a port that was not asked.
    stranger.send(answerTo(bytes, evil), from, "127.0.0.1");
    setTimeout(() => answer(answerTo(bytes, [address("allowed.example", "192.0.2.7")])), 50);
  });
  const { port, bindings, firewall } = await stand(t, [far.endpoint]);
  const answer = await ask(port, "allowed.example");
  assert.deepEqual(
    answer.answers.map(({ data }) => data),
    [{ kind: "address", address: parseAddress("192.0.2.7") }],
  );
  assert.deepEqual(
    bindings.map(({ address }) => formatAddress(address)),
    ["192.0.2.7"],
  );
  assert.equal(firewall.stats().upstreamMismatches, 4);
});

test("D5: a flood of forged answers moves the question to TCP", async (t) => {
  const far = await server(t, ({ bytes, transport }, answer) => {
    if (transport === "tcp") return answer(answerTo(bytes, [address("allowed.example", "192.0.2.7")]));
    for (let i = 1; i < 20; i++) {
      const forged = answerTo(bytes, [address("allowed.example", "203.0.113.66")]);
      forged[1]! ^= i;
      answer(forged);
    }
  });
  const { port } = await stand(t, [far.endpoint]);
  assert.match(await dig(port, "+short", "allowed.example"), /^192\.0\.2\.7$/m);
});

test("D5: records for names nobody asked are dropped: only the chain from the question and its end remain", async (t) => {
  const far = await server(t, ({ bytes }, answer) =>
    answer(
      answerTo(bytes, [
        address("evil.example", "203.0.113.66"),
        address("edge.cdn.example", "192.0.2.8"),
        alias("allowed.example", "x.cdn.example", 600),
        alias("x.cdn.example", "edge.cdn.example", 60),
        alias("evil.example", "allowed.example"),
        address("x.cdn.example", "203.0.113.67"),
      ]),
    ),
  );
  const { port, bindings } = await stand(t, [far.endpoint]);
  const { answers, authorities, additionals } = await ask(port, "allowed.example");
  assert.deepEqual(
    answers.map(({ name, type, ttl }) => [formatName(name), type, ttl]),
    [
      ["allowed.example", Type.CNAME, 60],
      ["x.cdn.example", Type.CNAME, 60],
      ["edge.cdn.example", Type.A, 60],
    ],
  );
  assert.deepEqual([authorities, additionals], [[], []]);
  // The name asked is bound, not the chain's inner names, and only to the address that was answered.
  assert.deepEqual(
    bindings.map(({ name, address, source }) => [name, formatAddress(address), source]),
    [["allowed.example", "192.0.2.8", null]],
  );
});

/** Whoever is asked for a name of the chain starts there, as real servers do. */
const chained: Parameters<typeof server>[1] = ({ bytes }, answer) => {
  const asked = formatName(read(bytes).questions[0]!.name);
  const all = [
    alias("allowed.example", "x.cdn.example", 1),
    alias("x.cdn.example", "edge.cdn.example", 1),
    address("edge.cdn.example", "192.0.2.8", 1),
  ];
  const from = all.findIndex((record) => formatName(record.name) === asked);
  answer(answerTo(bytes, from < 0 ? [] : all.slice(from)));
};

test("a resolver of the job's own may follow the aliases of an allowed name, and nobody may ask for them before", async (t) => {
  const far = await server(t, chained);
  const { port, events, bindings } = await stand(t, [far.endpoint]);
  assert.match(await dig(port, "edge.cdn.example"), /status: NXDOMAIN/);
  assert.equal(far.received.length, 0);
  const own = await unbound(t, { address: "127.0.0.1", port });
  assert.match(await dig(own.port, "+short", "allowed.example"), /^192\.0\.2\.8$/m);
  const names = far.received.map(({ bytes }) => formatName(read(bytes).questions[0]!.name));
  assert.ok(names.includes("x.cdn.example"), "unbound asks for the alias by itself");
  // What was learned on the way is the allowed name's, and told as the rule's that allows it.
  assert.deepEqual(new Set(bindings.map(({ name }) => name)), new Set(["allowed.example"]));
  const alike = events.find((event) => event.destination?.name === "x.cdn.example" && event.verdict === "allow");
  assert.equal(alike?.rule?.name, events.find((event) => event.destination?.name === "allowed.example")?.rule?.name);
  // Not for a neighbour, who was told no such alias.
  assert.match(await dig(port, "-b", inside, "x.cdn.example"), /status: NXDOMAIN/);
});

test("an alias is let through for as long as its answer may be held, and never over a rule that denies it", async (t) => {
  const far = await server(t, ({ bytes }, answer) => {
    const name = formatName(read(bytes).questions[0]!.name);
    const target = name === "allowed.example" ? "x.cdn.example" : "gist.example";
    answer(answerTo(bytes, [alias(name, target, 60), address(target, "192.0.2.8", 60)]));
  });
  const made = await stand(t, [far.endpoint]);
  await ask(made.port, "allowed.example");
  await ask(made.port, "n.wild.example");
  assert.match(await dig(made.port, "x.cdn.example"), /status: NOERROR/);
  assert.match(await dig(made.port, "gist.example"), /status: NXDOMAIN/);
  made.skew = 61_000;
  assert.match(await dig(made.port, "x.cdn.example"), /status: NXDOMAIN/);
});

test("D5: alias loops and endless chains end in SERVFAIL, at once", async (t) => {
  const far = await server(t, ({ bytes }, answer) => {
    const question = formatName(read(bytes).questions[0]!.name);
    const endless = Array.from({ length: 40 }, (_, i) =>
      alias(i === 0 ? question : `c${i}.example`, `c${i + 1}.example`),
    );
    const loop = [alias(question, "a.example"), alias("a.example", "b.example"), alias("b.example", "a.example")];
    answer(answerTo(bytes, question === "allowed.example" ? loop : [...endless, address("c40.example", "192.0.2.7")]));
  });
  const { port, bindings, events } = await stand(t, [far.endpoint]);
  assert.match(await dig(port, "allowed.example"), /status: SERVFAIL/);
  assert.match(await dig(port, "other.example"), /status: SERVFAIL/);
  assert.deepEqual(bindings, []);
  assert.deepEqual(
    events.map(({ reason }) => reason),
    ["upstream_failed", "upstream_failed"],
  );
});

test("D6: private, loopback and metadata addresses are taken out; where nothing is left the name is denied", async (t) => {
  const answers: Record<string, string[]> = {
    "allowed.example": ["192.0.2.7", "10.1.2.3", "169.254.169.254"],
    "other.example": ["127.0.0.1", "10.1.2.3"],
  };
  const far = await server(t, ({ bytes }, answer) => {
    const name = formatName(read(bytes).questions[0]!.name);
    answer(
      answerTo(
        bytes,
        (answers[name] ?? []).map((text) => address(name, text)),
      ),
    );
  });
  const { port, bindings, events } = await stand(t, [far.endpoint]);
  assert.equal((await dig(port, "+short", "allowed.example")).trim(), "192.0.2.7");
  assert.match(await dig(port, "other.example"), /status: NXDOMAIN[^]*EDE: 15 \(Blocked\): \(private_address/);
  assert.equal(events.at(-1)?.reason, "private_address");
  // A source that a CIDR rule lets reach the network gets just that part of it, from the same cached answer.
  assert.equal((await dig(port, "+short", "-b", inside, "other.example")).trim(), "10.1.2.3");
  assert.deepEqual(
    bindings.map(({ address }) => formatAddress(address)),
    ["192.0.2.7", "10.1.2.3"],
  );
  assert.equal(far.received.length, 2);
});

test("N8: no ECH keys and no private hints in service bindings; a record that insists on ECH is dropped", async (t) => {
  const hint = (...texts: string[]) => Uint8Array.from(texts.flatMap((text) => text.split(".").map(Number)));
  const service = (priority: number, mandatory: number[], ech: boolean, target: string[] = []): ResourceRecord => ({
    name: fromLabels(["allowed", "example"])!,
    type: Type.HTTPS,
    class: Class.IN,
    ttl: 300,
    data: {
      kind: "svcb",
      priority,
      target: fromLabels(target)!,
      params: [
        ...(mandatory.length > 0
          ? [{ key: SvcKey.mandatory, value: Uint8Array.from(mandatory.flatMap((key) => [0, key])) }]
          : []),
        { key: SvcKey.alpn, value: Uint8Array.of(2, 0x68, 0x32) },
        { key: SvcKey.ipv4hint, value: hint("192.0.2.9", "10.0.0.1") },
        ...(ech ? [{ key: SvcKey.ech, value: Uint8Array.of(0, 1, 2, 3) }] : []),
      ],
    },
  });
  const far = await server(t, ({ bytes }, answer) =>
    answer(
      answerTo(bytes, [
        service(1, [], true),
        service(2, [SvcKey.ech], true),
        service(3, [], false, ["edge", "example"]),
      ]),
    ),
  );
  const { port, bindings } = await stand(t, [far.endpoint]);
  const said = await dig(port, "allowed.example", "HTTPS", "+short");
  assert.equal(said.trim(), '1 . alpn="h2" ipv4hint=192.0.2.9');
  assert.deepEqual(
    bindings.map(({ name, address }) => [name, formatAddress(address)]),
    [["allowed.example", "192.0.2.9"]],
  );
});

test("D7: malformed queries get FORMERR or nothing, the firewall lives on, and nothing goes upstream", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port, firewall } = await stand(t, [far.endpoint]);
  const query = queryBytes("allowed.example");
  const changed = (at: number, value: number) => Uint8Array.from(query, (byte, i) => (i === at ? value : byte));
  const cases: [string, Uint8Array, number | null][] = [
    ["trailing bytes", Uint8Array.from([...query, 0]), Rcode.FORMERR],
    ["no question", changed(5, 0), Rcode.FORMERR],
    ["two questions", changed(5, 2), Rcode.FORMERR],
    [
      "an answer in a query",
      Uint8Array.from([...changed(7, 1), 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]),
      Rcode.FORMERR,
    ],
    ["a compression loop", Uint8Array.from([...query.subarray(0, 12), 0xc0, 12, 0, 1, 0, 1]), Rcode.FORMERR],
    ["cut", query.subarray(0, 20), Rcode.FORMERR],
    ["opcode NOTIFY", changed(2, 0x20), Rcode.NOTIMP],
    ["class CHAOS", changed(query.length - 1, 3), Rcode.REFUSED],
    ["TC in a query", changed(2, 2), Rcode.FORMERR],
    [
      "EDNS version 1",
      queryBytes("allowed.example", Type.A, { udpSize: 1232, version: 1, dnssecOk: false, options: [] }),
      Rcode.BADVERS,
    ],
    ["header cut", query.subarray(0, 11), null],
    ["empty", new Uint8Array(0), null],
  ];
  for (const [what, bytes, rcode] of cases) {
    const answer = await exchange(port, bytes, policed, rcode === null ? 200 : 2000);
    assert.equal(answer === null ? null : read(answer).header.rcode, rcode, what);
  }
  await exchange(port, Buffer.alloc(60000, 0xc0), policed, 200);
  nothingReached(far);
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.NOERROR);
  assert.equal(firewall.stats().failures, 0);
});

test("D7: a label with a dot in it is not the allowed name it looks like", async (t) => {
  const far = await server(t, fixed("203.0.113.66"));
  const { port, events } = await stand(t, [far.endpoint]);
  const header = queryBytes("x").subarray(0, 12);
  for (const labels of [
    ["allowed.example"],
    ["n.wild", "example"],
    ["allowed", "example\0"],
    ["all\xefowed", "example"],
  ]) {
    const name = Uint8Array.from(fromLabels(labels)!, (char) => char.charCodeAt(0));
    const answer = await exchange(port, Uint8Array.from([...header, ...name, 0, 1, 0, 1]));
    assert.equal(read(answer!).header.rcode, Rcode.NXDOMAIN, JSON.stringify(labels));
  }
  nothingReached(far);
  assert.deepEqual(new Set(events.map(({ reason }) => reason)), new Set(["invalid_name"]));
});

test("D8: a binding holds for the TTL, at least half a minute, at most a day, and a minute of grace", async (t) => {
  const ttls: Record<string, number> = {
    "short.wild.example": 0,
    "long.wild.example": 10_000_000,
    "allowed.example": 600,
  };
  const far = await server(t, ({ bytes }, answer) => {
    const name = formatName(read(bytes).questions[0]!.name);
    answer(answerTo(bytes, [address(name, "192.0.2.7", ttls[name])]));
  });
  const start = 1_750_000_000_000;
  const { port, bindings } = await stand(t, [far.endpoint], { now: () => start });
  for (const name of Object.keys(ttls)) await ask(port, name);
  assert.deepEqual(
    bindings.map(({ name, expires }) => [name, (expires - start) / 1000]),
    [
      ["short.wild.example", 30 + 60],
      ["long.wild.example", 86_400 + 60],
      ["allowed.example", 600 + 60],
    ],
  );
  assert.equal((await ask(port, "long.wild.example")).answers[0]!.ttl, 86_400);
});
