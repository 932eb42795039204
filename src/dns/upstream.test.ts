/**
 * When upstreams misbehave: silence, refusals, cut answers, servers that know no EDNS; and how long an old answer helps.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { address, answerTo, ask, dig, exchange, fixed, queryBytes, read, server, stand } from "../../test/dns/peers.ts";
import { parseAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";
import { encode } from "../wire/dns/encode.ts";
import { fromLabels } from "../wire/dns/name.ts";
import { Class, Rcode, type ResourceRecord, Type } from "../wire/dns/types.ts";
import { DnsFirewall } from "./firewall.ts";

const limits = { upstreamTimeout: 200 };

test("a silent server costs one time-out, then the next one is asked, and asked first from then on", async (t) => {
  const silent = await server(t);
  const good = await server(t, fixed("192.0.2.7"));
  const { port } = await stand(t, [silent.endpoint, good.endpoint], { limits });
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.NOERROR);
  assert.equal((await ask(port, "other.example")).header.rcode, Rcode.NOERROR);
  assert.deepEqual([silent.received.length, good.received.length], [1, 2]);
});

test("a server that is not there, or refuses, is passed over at once", async (t) => {
  const gone = await server(t);
  const refusing = await server(t, ({ bytes }, send) => send(answerTo(bytes, [], { rcode: Rcode.REFUSED })));
  const good = await server(t, fixed("192.0.2.7"));
  // A port that nothing listens on: the kernel's ICMP says so.
  const closed = { address: "127.0.0.1", port: 9 };
  const { port } = await stand(t, [closed, refusing.endpoint, good.endpoint], { limits: { upstreamTimeout: 5000 } });
  const started = performance.now();
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.NOERROR);
  assert.ok(performance.now() - started < 4000, "no time-out was waited for");
  assert.deepEqual(gone.received, []);
});

test("no answer anywhere: SERVFAIL that says so, an event, and a moment's rest before the next attempt", async (t) => {
  const silent = await server(t);
  const made = await stand(t, [silent.endpoint], { limits });
  assert.match(
    await dig(made.port, "allowed.example"),
    /status: SERVFAIL[^]*EDE: 22 \(No Reachable Authority\): \(upstream_failed/,
  );
  assert.equal(silent.received.length, 3);
  assert.deepEqual(
    [made.events[0]?.verdict, made.events[0]?.reason, made.events[0]?.dns?.rcode],
    ["allow", "upstream_failed", "SERVFAIL"],
  );
  await ask(made.port, "allowed.example");
  assert.equal(silent.received.length, 3, "within a second nobody is asked again (RFC 9520)");
  silent.answerer = fixed("192.0.2.7");
  made.skew = 1100;
  assert.equal((await ask(made.port, "allowed.example")).header.rcode, Rcode.NOERROR);
});

test("an old answer is served while upstreams fail, for an hour, with a short TTL and its bindings renewed (RFC 8767)", async (t) => {
  const far = await server(t, fixed("192.0.2.7", 60));
  const made = await stand(t, [far.endpoint], { limits });
  await ask(made.port, "allowed.example");
  far.answerer = () => {};
  made.skew = 10 * 60_000;
  const before = made.bindings.length;
  const said = await dig(made.port, "allowed.example");
  assert.match(said, /status: NOERROR[^]*EDE: 3 \(Stale Answer\)/);
  assert.match(said, /allowed\.example\.\s+30\s+IN\s+A\s+192\.0\.2\.7/);
  assert.equal(made.bindings.length, before + 1);
  assert.ok(made.bindings.at(-1)!.expires >= Date.now() + made.skew + 80_000);
  assert.equal(made.firewall.stats().staleAnswers, 1);
  const asked = far.received.length;
  await ask(made.port, "allowed.example");
  assert.equal(far.received.length, asked, "a failed upstream is left alone for half a minute");
  made.skew = 62 * 60_000;
  assert.equal((await ask(made.port, "allowed.example")).header.rcode, Rcode.SERVFAIL);
});

test("a slow refresh gives the old answer within two seconds, and the new one when it has come", async (t) => {
  const far = await server(t, fixed("192.0.2.7", 60));
  const made = await stand(t, [far.endpoint], { limits: { upstreamTimeout: 4000 } });
  await ask(made.port, "allowed.example");
  const heard = Promise.withResolvers<void>();
  far.answerer = (query, send, peer) => void heard.promise.then(() => fixed("192.0.2.8", 60)(query, send, peer));
  made.skew = 120_000;
  // A timer beside the firewall's own, which is late where the machine is.
  const late = sleep(2100, "late", { ref: false });
  const old = await Promise.race([ask(made.port, "allowed.example"), late]);
  assert.ok(typeof old !== "string", "no answer within two seconds");
  assert.deepEqual(old.answers[0]?.data, { kind: "address", address: parseAddress("192.0.2.7") });
  heard.resolve();
  const fresh = await ask(made.port, "allowed.example");
  assert.deepEqual(fresh.answers[0]?.data, { kind: "address", address: parseAddress("192.0.2.8") });
  assert.equal(far.received.length, 2);
});

test("a cut answer is asked for again over TCP; one that is cut even there is no answer", async (t) => {
  const many = Array.from({ length: 100 }, (_, i) => address("allowed.example", `192.0.2.${i}`));
  const far = await server(t, ({ bytes, transport }, send) =>
    send(transport === "udp" ? answerTo(bytes, many.slice(0, 3), { truncated: true }) : answerTo(bytes, many)),
  );
  const { port } = await stand(t, [far.endpoint]);
  assert.equal((await dig(port, "+short", "allowed.example")).trim().split("\n").length, 100);
  assert.deepEqual(
    far.received.map(({ transport }) => transport),
    ["udp", "tcp"],
  );
  // Too large for the client's UDP as well: as many as fit, flagged, and never more than was announced.
  for (const size of [0, 512, 800, 4096]) {
    const edns = size === 0 ? null : { udpSize: size, version: 0, dnssecOk: false, options: [] };
    const answer = (await exchange(port, queryBytes("allowed.example", Type.A, edns)))!;
    assert.ok(answer.length <= Math.min(Math.max(size, 512), 1232), `${answer.length} of ${size}`);
    assert.ok(read(answer).header.truncated);
  }
  far.answerer = ({ bytes }, send) =>
    send(answerTo(bytes, [address("other.example", "192.0.2.7")], { truncated: true }));
  assert.equal((await ask(port, "other.example")).header.rcode, Rcode.SERVFAIL);
});

test("malformed and oversized answers are failures, not answers", async (t) => {
  const far = await server(t, ({ bytes }, send) => {
    const answer = answerTo(bytes, [address("allowed.example", "192.0.2.7")]);
    send(Uint8Array.from([...answer, ...Array<number>(60_000).fill(0)]));
  });
  const { port, bindings } = await stand(t, [far.endpoint]);
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.SERVFAIL);
  far.answerer = ({ bytes }, send) => {
    const looping = answerTo(bytes, [address("allowed.example", "192.0.2.7")]);
    const at = looping.length - 16;
    looping[at] = 0xc0 | (at >> 8);
    looping[at + 1] = at & 255;
    send(looping);
  };
  assert.equal((await ask(port, "other.example")).header.rcode, Rcode.SERVFAIL);
  assert.deepEqual(bindings, []);
});

test("a late answer is nobody's", async (t) => {
  const far = await server(
    t,
    (query, send, peer) => void setTimeout(() => fixed("203.0.113.66")(query, send, peer), 900),
  );
  const { port, bindings, firewall } = await stand(t, [far.endpoint], { limits: { upstreamTimeout: 100 } });
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.SERVFAIL);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.deepEqual([bindings, firewall.stats().cacheEntries], [[], 1]);
});

test("a server without EDNS is asked again without it (RFC 6891 section 7)", async (t) => {
  const far = await server(t, (query, send, peer) => {
    if (read(query.bytes).edns === null) return fixed("192.0.2.7")(query, send, peer);
    const bytes = Uint8Array.from(query.bytes.subarray(0, 12));
    bytes.set([0x81, Rcode.FORMERR, 0, 0, 0, 0, 0, 0, 0, 0], 2);
    send(bytes);
  });
  const { port } = await stand(t, [far.endpoint]);
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.NOERROR);
});

test("a negative answer is kept as long as its SOA says, at most five minutes; without SOA not at all (RFC 2308)", async (t) => {
  const soa = (minimum: number): ResourceRecord => ({
    name: fromLabels(["example"])!,
    type: Type.SOA,
    class: Class.IN,
    ttl: 86_400,
    data: {
      kind: "soa",
      primary: fromLabels(["a"])!,
      mailbox: fromLabels(["b"])!,
      serial: 1,
      refresh: 1,
      retry: 1,
      expire: 1,
      minimum,
    },
  });
  let authority: ResourceRecord[] = [];
  const far = await server(t, ({ bytes }, send) => {
    const { header, questions } = read(bytes);
    send(
      encode({
        header: { ...header, response: true, rcode: Rcode.NXDOMAIN },
        questions,
        answers: [],
        authorities: authority,
        additionals: [],
        edns: null,
      }),
    );
  });
  const made = await stand(t, [far.endpoint]);
  const asks = async (name: string, skew: number) => {
    made.skew = skew;
    assert.equal((await ask(made.port, name)).header.rcode, Rcode.NXDOMAIN);
    return far.received.length;
  };
  assert.equal(await asks("allowed.example", 0), 1);
  assert.equal(await asks("allowed.example", 0), 2);
  authority = [soa(7200)];
  assert.equal(await asks("other.example", 0), 3);
  assert.equal(await asks("other.example", 298_000), 3);
  assert.equal(await asks("other.example", 302_000), 4);
});

test("upstreams that are no addresses, or none at all, are the user's error", () => {
  for (const upstreams of [[], [{ address: "dns.example", port: 53 }], [{ address: "192.0.2.1", port: 0 }]]) {
    assert.throws(
      () =>
        new DnsFirewall({
          upstreams,
          policy: () => assert.fail(),
          bind: async () => {},
          originalServers: (_, queries) => queries.map(() => null),
          record: () => {},
          deny: "nxdomain",
          now: () => 0,
        }),
      (error) => error instanceof SallyportError && error.code === "USAGE",
    );
  }
});
