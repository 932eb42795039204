/** The table of a run: right sums, bounded memory, and a suggested policy that the loader takes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EventBody } from "../audit/event.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { Destinations } from "./destinations.ts";
import { table } from "./report.ts";
import { suggestPolicy } from "./suggest.ts";

type Protocol = NonNullable<EventBody["destination"]>["protocol"];

function connection(
  n: number,
  name: string | null,
  ip: string,
  port: number,
  protocol: Protocol,
  more: EventBody | object = {},
): EventBody {
  return {
    kind: "connection",
    verdict: "would_deny",
    enforced: false,
    reason: "default",
    rule: { name: null, tier: 3, mode: "monitor", policy: "" },
    source: { ip: "198.18.0.2", port: n },
    destination: { name, name_from: name === null ? "none" : "sni", ip, port, protocol },
    ...more,
  };
}

describe("a run's destinations", () => {
  test("add up connections, repeats and bytes by name, whichever address each went to", () => {
    const seen = new Destinations();
    for (const [n, ip] of ["203.0.113.1", "203.0.113.2"].entries()) {
      seen.add(connection(n, "pypi.org", ip, 443, "tls"));
      seen.add({ ...connection(n, "pypi.org", ip, 443, "tls"), kind: "flow_end", bytes: { up: 10, down: 100 } });
    }
    seen.add(connection(9, "pypi.org", "203.0.113.1", 443, "tls", { count: 3 }));
    const [row, ...others] = seen.rows();
    assert.deepEqual(others, []);
    assert.deepEqual([row?.ip, row?.connections, row?.bytes_up, row?.bytes_down], ["203.0.113.1", 5, 20, 200]);
  });

  test("a scan of a hundred thousand addresses takes a bounded table, which still counts every one", () => {
    const seen = new Destinations();
    for (let n = 0; n < 100_000; n++) {
      seen.add(connection(n, null, `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, 443, "tcp", { verdict: "deny" }));
    }
    const rows = seen.rows();
    assert.ok(rows.length < 6_000, `${rows.length} rows`);
    assert.equal(
      rows.reduce((sum, row) => sum + row.connections, 0),
      100_000,
    );
    assert.ok(seen.denied);
    assert.ok(table(rows, false).split("\n").length < 110);
  });

  test("make a policy that loads, whatever was contacted, and the same one each time", () => {
    const events = [
      connection(1, "pypi.org", "203.0.113.1", 443, "tls"),
      connection(2, "pypi.org", "203.0.113.1", 8443, "tls"),
      connection(3, "plain.example", "203.0.113.2", 80, "http"),
      connection(4, "git.example", "203.0.113.3", 22, "ssh"),
      connection(5, null, "203.0.113.4", 5432, "tcp"),
      connection(6, null, "2001:db8::4", 5432, "tcp"),
      connection(7, null, "203.0.113.5", 123, "udp"),
      connection(8, "quic.example", "203.0.113.6", 443, "quic"),
      connection(9, null, "203.0.113.7", 443, "tls"),
      connection(10, null, "203.0.113.8", 0, "icmp"),
      connection(11, "refused.example", "203.0.113.9", 443, "tls", { verdict: "deny" }),
    ];
    const policies = [events, events.toReversed()].map((each) => {
      const seen = new Destinations();
      for (const event of each) seen.add(event);
      return suggestPolicy(seen.rows());
    });
    assert.equal(policies[0], policies[1]);
    assert.doesNotMatch(policies[0]!, /refused\.example/);
    for (const text of [policies[0]!, suggestPolicy([])]) {
      const loaded = loadPolicy(text, "suggested", new Date());
      assert.ok(!isPolicyProblems(loaded), `${text}\n${JSON.stringify(loaded)}`);
    }
  });

  test("make a policy that says where it refuses sealed hellos: at a front, and not elsewhere", () => {
    const tls = { version: "1.3", alpn: [], ech: true, ja4: "", hello_bytes: 500, hello_segments: 1 };
    const seen = new Destinations();
    seen.add(connection(1, "d111.cloudfront.net", "203.0.113.1", 443, "tls"));
    seen.add(connection(2, "d111.cloudfront.net", "203.0.113.1", 443, "tls", { tls }));
    seen.add(connection(3, "own.example", "203.0.113.2", 443, "tls", { tls }));
    const text = suggestPolicy(seen.rows());
    assert.match(text, /^# d111\.cloudfront\.net:443: hellos carried Encrypted Client Hello[^]*ech: allow/);
    assert.doesNotMatch(text, /^#.*own\.example/m);
    assert.ok(!isPolicyProblems(loadPolicy(text, "suggested", new Date())), text);
  });
});
