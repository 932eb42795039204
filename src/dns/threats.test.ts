/**
 * The ways out that a query offers, one test a row: what a policed client sends, and what reaches the far end.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, dig, exchange, fixed, inside, queryBytes, read, server, stand } from "../../test/dns/peers.ts";
import { encode } from "../wire/dns/encode.ts";
import { EdnsOption, Rcode, Type } from "../wire/dns/types.ts";

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

test("D2: names of a budget are no alphabet: questions that no cache answers are counted as well", async (t) => {
  const far = await server(t, fixed("192.0.2.7", 0));
  const { port, events } = await stand(t, [far.endpoint], { limits: { questionsPerDomain: 6, sourcesPerLink: 1 } });
  for (let i = 0; i < 9; i++) {
    // The last three get the last answer again.
    assert.equal((await ask(port, `${"ab"[i % 2]}.wild.example`)).answers.length, 1);
  }
  assert.equal((await ask(port, "a.wild.example", Type.AAAA)).header.rcode, Rcode.REFUSED);
  assert.equal(far.received.length, 6);
  assert.equal(events.at(-1)?.reason, "query_budget");
  assert.equal((await ask(port, "other.example")).header.rcode, Rcode.NOERROR);
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
  const { port, events } = await stand(t, [ours.endpoint], {
    originalServers: (_, queries) => queries.map(() => chosen.endpoint),
  });
  assert.match(await dig(port, "+short", "allowed.example"), /^192\.0\.2\.7$/m);
  nothingReached(chosen);
  assert.equal(events[0]?.dns?.server, `127.0.0.1:${chosen.endpoint.port}`);
  assert.equal(events[0]?.destination?.port, chosen.endpoint.port);
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
