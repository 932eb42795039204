/**
 * The ways out that use DNS, one test a row: what a policed client tries, and what reaches the far end.
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
  dnsmasq,
  engineOf,
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
import { encode } from "../wire/dns/encode.ts";
import { formatName, fromLabels } from "../wire/dns/name.ts";
import { Class, EdnsOption, Rcode, type ResourceRecord, SvcKey, Type } from "../wire/dns/types.ts";

const nothingReached = (far: { received: unknown[] }) => assert.deepEqual(far.received, []);

test("D1: a denied name is answered at once and never goes upstream, whatever the type", async (t) => {
  const far = await server(t);
  const { port, events } = await stand(t, [far.endpoint]);
  for (const type of ["A", "AAAA", "TXT", "NULL", "MX", "SRV", "CNAME", "ANY", "HTTPS", "NS", "SOA", "TYPE64999"]) {
    const said = await dig(port, "secret-data.evil.example", type);
    assert.match(said, /status: NXDOMAIN/, type);
    assert.match(said, /EDE: 15 \(Blocked\): \(default: /, type);
  }
  nothingReached(far);
  assert.equal(events.length, 12);
  for (const event of events) {
    assert.equal(event.verdict, "deny");
    assert.equal(event.reason, "default");
    assert.equal(event.destination?.name, "secret-data.evil.example");
    assert.equal(event.dns?.rcode, "NXDOMAIN");
    assert.deepEqual(event.rule, { name: null, tier: 3, mode: "enforce", policy: event.rule?.policy });
  }
});

test("D1: a rule's denial names the rule and its reason; `refused` is answered where configured", async (t) => {
  const far = await server(t);
  const { port, events } = await stand(t, [far.endpoint], { deny: "refused" });
  const said = await dig(port, "gist.example");
  assert.match(said, /status: REFUSED/);
  assert.match(said, /rule \\?"no gists\\?": exfiltration sink/);
  assert.equal(events[0]?.rule?.name, "no gists");
  nothingReached(far);
});

test("D1: query types that are tunnels or say nothing to a build are refused for allowed names too", async (t) => {
  const far = await server(t);
  const { port, events } = await stand(t, [far.endpoint]);
  for (const type of ["NULL", "ANY", "NS", "SOA", "DS", "DNSKEY", "TYPE64999", "CAA", "NAPTR"]) {
    assert.match(await dig(port, "+notcp", "allowed.example", type), /status: REFUSED/, type);
  }
  assert.match(await dig(port, "allowed.example", "AXFR"), /Transfer failed|REFUSED/);
  nothingReached(far);
  assert.deepEqual(new Set(events.map(({ reason }) => reason)), new Set(["query_type"]));
});

test("D2, D3: case, EDNS options, padding, flags and ID of the client do not reach the upstream", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port } = await stand(t, [far.endpoint]);
  const options = [
    "+subnet=198.51.100.0/24",
    "+ednsopt=65001:73656372657421",
    "+padding=128",
    "+cookie=0123456789abcdef",
  ];
  const said = await dig(port, ...options, "+dnssec", "+cdflag", "+adflag", "aLLoWeD.ExAmPlE");
  assert.match(said, /status: NOERROR/);
  assert.match(
    said,
    /aLLoWeD\.ExAmPlE\.\s+300\s+IN\s+A\s+192\.0\.2\.7/,
    "the answer repeats the client's own spelling",
  );
  assert.equal(far.received.length, 1);
  const arrived = far.received[0]!.bytes;
  const plain = queryBytes("allowed.example", Type.A, { udpSize: 1232, version: 0, dnssecOk: false, options: [] });
  assert.deepEqual(Buffer.from(arrived.subarray(2)), Buffer.from(plain.subarray(2)), "byte for byte our own query");
});

test("D2: each query has an ID and a source port of its own", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port } = await stand(t, [far.endpoint]);
  await Promise.all(Array.from({ length: 40 }, (_, i) => ask(port, `n${i}.wild.example`)));
  assert.equal(far.received.length, 40);
  assert.ok(new Set(far.received.map(({ bytes }) => (bytes[0]! << 8) | bytes[1]!)).size > 35);
  const ports = far.received.map(({ from }) => from);
  assert.ok(new Set(ports).size > 35);
  assert.ok(Math.max(...ports) - Math.min(...ports) > 1000, "ports are not taken in a row");
});

test("D2: distinct names under a wildcard are budgeted per source; repeats and other sources are not hit", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const made = await stand(t, [far.endpoint], { limits: { namesPerDomain: 5 } });
  for (let i = 0; i < 5; i++)
    assert.equal((await ask(made.port, `chunk${i}.wild.example`)).header.rcode, Rcode.NOERROR);
  assert.match(await dig(made.port, "chunk5.wild.example"), /status: REFUSED[^]*EDE: 15 \(Blocked\): \(query_budget/);
  assert.equal(far.received.length, 5);
  assert.equal(made.events.at(-1)?.reason, "query_budget");
  assert.equal((await ask(made.port, "chunk0.wild.example")).header.rcode, Rcode.NOERROR);
  assert.equal((await ask(made.port, "other.example")).header.rcode, Rcode.NOERROR);
  assert.equal((await ask(made.port, "chunk9.wild.example", Type.A, inside)).header.rcode, Rcode.NOERROR);
  made.skew = 3_700_000;
  assert.equal((await ask(made.port, "chunk5.wild.example")).header.rcode, Rcode.NOERROR, "an hour later");
});

test("D2: service labels before an allowed host are held to their syntax and count against the budget", async (t) => {
  const far = await server(t);
  const { port } = await stand(t, [far.endpoint], { limits: { namesPerDomain: 2, upstreamTimeout: 50 } });
  const denied = await ask(port, "data.in.labels._tcp.allowed.example", Type.SRV);
  assert.equal(denied.header.rcode, Rcode.NXDOMAIN);
  nothingReached(far);
  for (const name of ["_a._tcp.allowed.example", "_b._tcp.allowed.example"]) await ask(port, name, Type.SRV);
  const before = far.received.length;
  assert.equal((await ask(port, "_c._tcp.allowed.example", Type.SRV)).header.rcode, Rcode.REFUSED);
  assert.equal(far.received.length, before);
});

test("D2: reverse lookups are answered from bindings and never go upstream", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port, events } = await stand(t, [far.endpoint]);
  assert.match(await dig(port, "-x", "192.0.2.7"), /status: NXDOMAIN/);
  await ask(port, "allowed.example");
  const sent = far.received.length;
  assert.match(
    await dig(port, "-x", "192.0.2.7"),
    /7\.2\.0\.192\.in-addr\.arpa\.\s+30\s+IN\s+PTR\s+allowed\.example\./,
  );
  assert.match(await dig(port, "data.in-addr.arpa", "PTR"), /status: NXDOMAIN/);
  assert.match(await dig(port, "-x", "2001:db8::1"), /status: NXDOMAIN/);
  assert.equal(far.received.length, sent);
  assert.deepEqual(
    events.filter(({ dns }) => dns?.qtype === "PTR").map(({ verdict }) => verdict),
    ["deny", "allow", "deny", "deny"],
  );
});

test("D4: a query to another resolver is answered by ours, and its event says where it was meant to go", async (t) => {
  const chosen = await server(t, fixed("203.0.113.66"));
  const ours = await server(t, fixed("192.0.2.7"));
  const { port, events } = await stand(t, [ours.endpoint], { originalServer: () => chosen.endpoint });
  assert.match(await dig(port, "+short", "allowed.example"), /^192\.0\.2\.7$/m);
  nothingReached(chosen);
  assert.equal(events[0]?.dns?.server, `127.0.0.1:${chosen.endpoint.port}`);
  assert.equal(events[0]?.destination?.port, chosen.endpoint.port);
});

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

test("the answer leaves only after every binding is written; where that fails there is no answer", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const order: string[] = [];
  let fail = false;
  const { port } = await stand(t, [far.endpoint], {
    bind: async () => {
      order.push("bind starts");
      await new Promise((resolve) => setTimeout(resolve, 150));
      if (fail) throw new TypeError("a worker is gone");
      order.push("bind ends");
    },
  });
  // The second question finds the cached answer while the first one's binding is still being written.
  const asked = ask(port, "allowed.example").then(() => order.push("answer"));
  await new Promise((resolve) => setTimeout(resolve, 60));
  await Promise.all([asked, ask(port, "allowed.example").then(() => order.push("answer"))]);
  assert.equal(order.indexOf("answer") > order.indexOf("bind ends"), true, order.join());
  assert.deepEqual(order.toSorted(), ["answer", "answer", "bind ends", "bind ends", "bind starts", "bind starts"]);
  await ask(port, "allowed.example");
  assert.equal(order.length, 6, "a binding that still holds is not written again");
  fail = true;
  assert.equal((await ask(port, "other.example")).header.rcode, Rcode.SERVFAIL);
});

test("an answer that comes after a policy change is judged by the new policy", async (t) => {
  let engine = engineOf("version: 1\nrules:\n  - { name: r, to: [allowed.example] }\ndefault: { mode: enforce }\n");
  const far = await server(t, ({ bytes }, answer) => {
    engine = engineOf("version: 1\nrules:\n  - { name: r, to: [other.example] }\ndefault: { mode: enforce }\n");
    answer(answerTo(bytes, [address("allowed.example", "192.0.2.7")]));
  });
  const { port, bindings } = await stand(t, [far.endpoint], { policy: () => engine });
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.NXDOMAIN);
  assert.deepEqual(bindings, []);
});

test("cached answers count down and equal questions in flight are asked once", async (t) => {
  const far = await server(
    t,
    ({ bytes }, answer) =>
      void setTimeout(() => answer(answerTo(bytes, [address("allowed.example", "192.0.2.7", 100)])), 100),
  );
  const made = await stand(t, [far.endpoint]);
  await Promise.all(Array.from({ length: 20 }, () => ask(made.port, "allowed.example")));
  made.skew = 40_000;
  const { ttl } = (await ask(made.port, "allowed.example")).answers[0]!;
  assert.ok(ttl >= 58 && ttl <= 60, String(ttl));
  assert.equal(far.received.length, 1);
  made.skew = 101_000;
  await ask(made.port, "allowed.example");
  assert.equal(far.received.length, 2);
});

test("dnsmasq upstream: every forwarded type as dig reads it", async (t) => {
  const upstream = await dnsmasq(
    t,
    "--host-record=allowed.example,192.0.2.7,2001:db8::7,120",
    "--cname=www.wild.example,allowed.example,90",
    "--txt-record=allowed.example,v=spf1 -all",
    "--mx-host=allowed.example,mail.wild.example,10",
    "--srv-host=_imaps._tcp.allowed.example,mail.wild.example,993,1,2",
    "--local=/example/",
  );
  const { port, bindings } = await stand(t, [upstream]);
  const short = async (...args: string[]) => (await dig(port, "+short", ...args)).trim();
  assert.equal(await short("allowed.example"), "192.0.2.7");
  assert.equal(await short("allowed.example", "AAAA"), "2001:db8::7");
  assert.equal(await short("www.wild.example"), "allowed.example.\n192.0.2.7");
  assert.equal(await short("allowed.example", "TXT"), '"v=spf1 -all"');
  assert.equal(await short("allowed.example", "MX"), "10 mail.wild.example.");
  assert.equal(await short("_imaps._tcp.allowed.example", "SRV"), "1 2 993 mail.wild.example.");
  assert.match(await dig(port, "nothere.wild.example"), /status: NXDOMAIN/);
  assert.deepEqual(new Set(bindings.map(({ name }) => name)), new Set(["allowed.example", "www.wild.example"]));
});

test("unbound as a client that randomises case (0x20) accepts our answers", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const made = await stand(t, [far.endpoint]);
  const client = await unbound(t, { address: "127.0.0.1", port: made.port });
  assert.equal((await dig(client.port, "+short", "allowed.example")).trim(), "192.0.2.7");
  assert.match(await dig(client.port, "evil.example"), /status: NXDOMAIN/);
  for (const { bytes } of far.received) assert.match(formatName(read(bytes).questions[0]!.name), /^[^A-Z]*$/);
});

test("too many queries under way: SERVFAIL for the source that has them, service for the others", async (t) => {
  const far = await server(t, ({ bytes }, answer) => {
    if (formatName(read(bytes).questions[0]!.name) === "other.example")
      fixed("192.0.2.7")({ transport: "udp", bytes, from: 0 }, answer, null);
  });
  const { port, firewall, events } = await stand(t, [far.endpoint], {
    limits: { outstandingPerSource: 8, upstreamTimeout: 400 },
  });
  const flood = Promise.all(Array.from({ length: 30 }, (_, i) => ask(port, `n${i}.wild.example`)));
  assert.equal((await ask(port, "other.example", Type.A, inside)).header.rcode, Rcode.NOERROR);
  for (const { header } of await flood) assert.equal(header.rcode, Rcode.SERVFAIL);
  assert.equal(firewall.stats().overLimit, 22);
  assert.equal(events.filter(({ reason }) => reason === "over_limit").length, 22);
  assert.equal(firewall.stats().outstanding, 0);
});

test("cookies and padding come back to nobody: our own OPT carries the Extended DNS Error alone", async (t) => {
  const far = await server(t);
  const { port } = await stand(t, [far.endpoint]);
  const options = [{ code: EdnsOption.cookie, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }];
  const answer = read(
    (await exchange(port, queryBytes("evil.example", Type.A, { udpSize: 4096, version: 0, dnssecOk: true, options })))!,
  );
  assert.deepEqual(
    answer.edns?.options.map(({ code }) => code),
    [EdnsOption.extendedError],
  );
  const plain = read((await exchange(port, queryBytes("evil.example")))!);
  assert.equal(plain.edns, null);
  assert.ok(encode(plain).length < 512);
});
