/**
 * What the firewall promises its users: bindings before answers, one policy at a time, old and new peers content, and a
 * share for everyone.
 */
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { test } from "node:test";
import {
  address,
  answerTo,
  ask,
  dig,
  dnsmasq,
  engineOf,
  fixed,
  inside,
  queryBytes,
  read,
  server,
  stand,
  unbound,
} from "../../test/dns/peers.ts";
import { until } from "../../test/support/until.ts";
import { formatName } from "../wire/dns/name.ts";
import { Rcode, Type } from "../wire/dns/types.ts";

test("the answer leaves only after every binding is written; where that fails there is no answer", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const order: string[] = [];
  const both = Promise.withResolvers<void>();
  let fail = false;
  const { port } = await stand(t, [far.endpoint], {
    bind: async () => {
      order.push("bind starts");
      if (order.length === 2) both.resolve();
      await both.promise;
      if (fail) throw new TypeError("a worker is gone");
      order.push("bind ends");
    },
  });
  // The second question finds the cached answer while the first one's binding is still being written.
  const asked = ask(port, "allowed.example").then(() => order.push("answer"));
  assert.ok(await until(() => order.length === 1, 5_000));
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

test("an answer that waited for the data path over a policy change is judged by the new policy", async (t) => {
  const before = engineOf(
    "version: 1\nrules:\n  - { name: r, to: [allowed.example, both.example] }\ndefault: { mode: enforce }\n",
  );
  const after = engineOf("version: 1\nrules:\n  - { name: new, to: [both.example] }\ndefault: { mode: enforce }\n");
  let engine = before;
  const far = await server(t, fixed("192.0.2.7"));
  const { port, events } = await stand(t, [far.endpoint], {
    policy: () => engine,
    bind: async () => {
      engine = after;
    },
  });
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.NXDOMAIN);
  engine = before;
  const { answers } = await ask(port, "both.example");
  assert.equal(answers.length, 1);
  assert.deepEqual(
    events.map(({ verdict, rule }) => [verdict, rule?.name, rule?.policy]),
    [
      ["deny", null, after.hash],
      ["allow", "new", after.hash],
    ],
  );
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

test("a burst of questions with known answers takes no more places than are answered at once", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port, firewall } = await stand(t, [far.endpoint], { limits: { outstandingPerSource: 40 } });
  await ask(port, "allowed.example");
  const client = dgram.createSocket("udp4");
  t.after(() => client.close());
  const answered: number[] = [];
  client.on("message", (bytes) => void answered.push(read(bytes).header.rcode));
  for (let id = 0; id < 90; id++) client.send(queryBytes("allowed.example", Type.A, null, id), port, "127.0.0.1");
  assert.ok(await until(() => answered.length === 90, 5_000), `${answered.length} of 90`);
  assert.deepEqual(new Set(answered), new Set([Rcode.NOERROR]));
  assert.equal(firewall.stats().overLimit, 0);
});
