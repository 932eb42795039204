/**
 * The promises of the language, one by one, as flows a job could start. Each holds for the reference and for the compiled
 * engine; the threats are those that a policy decision alone can stop (spoofed names, shared addresses, raw addresses,
 * rebinding, protocols that are not what the rule says).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import { compile } from "./compile.ts";
import type { Application, ConnectFacts, Engine, NameFacts } from "./decision.ts";
import { isPolicyProblems, readPolicy } from "./load.ts";
import { naiveEngine } from "./naive.ts";
import { formatProblem } from "./problem.ts";

const now = Date.UTC(2030, 0, 1);

function engines(rules: string, mode = "enforce"): [string, Engine][] {
  const text = `version: 1
sources: { team: { subnets: [10.20.1.0/24, "2001:db8:1::/48"] }, everyone: { subnets: [10.20.0.0/16] } }
rules:
${rules}
default: { mode: ${mode} }
`;
  const policy = readPolicy(text, "p.yaml");
  assert.ok(!isPolicyProblems(policy), isPolicyProblems(policy) ? policy.problems.map(formatProblem).join("\n") : "");
  return [
    ["reference", naiveEngine(policy, now)],
    ["compiled", compile(policy, now)],
  ];
}

const address = (text: string): Address => parseAddress(text)!;

function facts(to: string, names: string[], extra: Partial<ConnectFacts> = {}): ConnectFacts {
  const source = address("10.20.1.5");
  const rest = { process: null, local: false, transport: "tcp", port: 443 } as const;
  return { source, destination: address(to), ...rest, names, ...extra };
}

function shown(connect: ConnectFacts, application: Application, name: string | null, ech = false): NameFacts {
  return { ...connect, application, name, ech };
}

/** `verdict reason` of a flow that showed a name, or of its first packet. */
function at(engine: Engine, flow: ConnectFacts | NameFacts): string {
  const answer = "application" in flow ? engine.name(flow) : engine.connect(flow);
  return answer.answer === "not_yet" ? `not yet, hold ${answer.hold}` : `${answer.verdict} ${answer.reason}`;
}

function expect(list: [string, Engine][], cases: [ConnectFacts | NameFacts, string][]): void {
  for (const [which, engine] of list) {
    for (const [flow, expected] of cases) assert.equal(at(engine, flow), expected, `${which}: ${JSON.stringify(flow)}`);
  }
}

const pypi = facts("203.0.113.5", ["pypi.org"]);
const stranger = facts("198.51.100.66", []);

test("an allowed name at an address that was never handed out for it does not get past the SYN", () => {
  expect(engines("  - { name: a, to: pypi.org }"), [
    [pypi, "not yet, hold true"],
    [shown(pypi, "tls", "pypi.org"), "allow rule"],
    [stranger, "deny no_name"],
    [shown(stranger, "tls", "pypi.org"), "deny name_mismatch"],
    [facts("198.51.100.66", ["evil.example"]), "deny default"],
  ]);
});

test("two names at one shared address: the shown one decides", () => {
  const cdn = facts("203.0.113.5", ["pypi.org", "evil.example"]);
  expect(engines("  - { name: a, to: pypi.org }"), [
    [cdn, "not yet, hold true"],
    [shown(cdn, "tls", "pypi.org"), "allow rule"],
    [shown(cdn, "tls", "evil.example"), "deny default"],
    [shown(cdn, "tls", null), "deny missing_name"],
    [shown(pypi, "tls", "evil.example"), "deny default"],
  ]);
});

test("a tls rule takes TLS alone, an http rule HTTP, an ssh rule SSH, a quic rule QUIC over UDP", () => {
  const rules = `  - { name: a, to: pypi.org }
  - { name: b, to: "web.example:80" }
  - { name: c, to: "git.example:22" }
  - { name: d, to: quic.example, protocol: quic }`;
  const web = facts("203.0.113.6", ["web.example"], { port: 80 });
  const git = facts("203.0.113.7", ["git.example"], { port: 22 });
  const quic = facts("203.0.113.8", ["quic.example"], { transport: "udp" });
  expect(engines(rules), [
    [shown(pypi, "ssh", null), "deny not_protocol"],
    [shown(pypi, "other", null), "deny not_protocol"],
    [shown(pypi, "http", "pypi.org"), "deny not_protocol"],
    [shown(web, "http", "web.example"), "allow rule"],
    [shown(web, "tls", "web.example"), "deny not_protocol"],
    [shown(git, "ssh", null), "allow rule"],
    [shown(git, "tls", "git.example"), "deny not_protocol"],
    [shown(quic, "quic", "quic.example"), "allow rule"],
    [shown(quic, "other", null), "deny not_protocol"],
    [{ ...shown(quic, "tls", "quic.example"), transport: "tcp" }, "deny default"],
    [{ ...shown(pypi, "quic", "pypi.org"), transport: "udp" }, "deny default"],
  ]);
});

test("an opaque rule goes by the names DNS handed the address out for, and settles at the SYN", () => {
  const db = facts("203.0.113.9", ["db.example"], { port: 5432 });
  expect(engines('  - { name: a, to: "db.example:5432", protocol: tcp }'), [
    [db, "allow rule"],
    [{ ...db, names: ["other.example"] }, "deny default"],
    [{ ...db, names: [] }, "deny no_name"],
    [{ ...db, transport: "udp" }, "deny default"],
  ]);
});

test("no name rule reaches an internal address, whatever DNS answered; a CIDR rule that says so does", () => {
  const internal = [
    "10.0.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "fd00:ec2::254",
    "::ffff:203.0.113.5",
    "64:ff9b::10.0.0.1",
    "2002:cb00:7105::1",
    "fe80::1",
  ];
  const name = '  - { name: a, to: "**:*", protocol: tcp }';
  for (const to of internal) expect(engines(name), [[facts(to, ["pypi.org"]), "deny private_address"]]);
  expect(engines(name), [[{ ...pypi, local: true }, "deny private_address"]]);
  const cidr = '  - { name: a, to: ["169.254.169.254:80", "10.0.0.0/8:443"], protocol: tcp }';
  expect(engines(cidr), [
    [facts("169.254.169.254", [], { port: 80 }), "allow rule"],
    [facts("169.254.169.254", []), "deny private_address"],
    [facts("10.1.2.3", [], { local: true }), "allow rule"],
  ]);
});

test("a CIDR rule needs no name, but its protocol still holds", () => {
  const flow = facts("203.0.113.5", []);
  expect(engines("  - { name: a, to: 203.0.113.0/24 }"), [
    [flow, "not yet, hold true"],
    [shown(flow, "tls", null), "allow rule"],
    [shown(flow, "tls", "anything.example"), "allow rule"],
    [shown(flow, "other", null), "deny not_protocol"],
    [facts("203.0.114.5", []), "deny no_name"],
  ]);
});

test("garbage in place of a hello does not evade a deny rule", () => {
  const rules = `  - { name: no, to: gist.example, action: deny }
  - { name: all, to: "**:*", protocol: tcp }`;
  const gist = facts("203.0.113.5", ["gist.example"]);
  const shared = facts("203.0.113.5", ["gist.example", "pypi.org"]);
  expect(engines(rules), [
    [gist, "not yet, hold true"],
    [shown(gist, "other", null), "deny rule"],
    [shown(gist, "tls", null), "deny rule"],
    [shown(gist, "tls", "gist.example"), "deny rule"],
    [shown(shared, "tls", "pypi.org"), "allow rule"],
    [shown(shared, "ssh", null), "deny rule"],
    [shown(facts("198.51.100.7", ["pypi.org"]), "tls", "gist.example"), "deny rule"],
    [pypi, "not yet, hold true"],
  ]);
});

test("icmp and other IP protocols are refused unless a rule says icmp", () => {
  expect(engines("  - { name: a, to: pypi.org }"), [
    [{ ...pypi, transport: "icmp", port: 0 }, "deny protocol_denied"],
    [{ ...pypi, transport: "other", port: 0 }, "deny protocol_denied"],
  ]);
  expect(engines("  - { name: a, to: pypi.org, protocol: icmp }"), [
    [{ ...pypi, transport: "icmp", port: 0 }, "allow rule"],
    [{ ...stranger, transport: "icmp", port: 0 }, "deny protocol_denied"],
  ]);
});

test("the first enforcing rule decides; monitor rules are noted and change nothing", () => {
  const rules = `  - { name: watch, to: pypi.org, action: deny, mode: monitor }
  - { name: take, to: pypi.org }
  - { name: late, to: "**", mode: monitor }`;
  for (const [which, engine] of engines(rules)) {
    const decision = engine.name(shown(pypi, "tls", "pypi.org"));
    assert.equal(decision.rule?.name, "take", which);
    assert.deepEqual(
      decision.monitored.map((r) => r.name),
      ["watch"],
      which,
    );
    const other = engine.name(shown(facts("203.0.113.5", ["b.example"]), "tls", "b.example"));
    assert.deepEqual([other.verdict, other.monitored.map((r) => r.name)], ["deny", ["late"]], which);
  }
});

test("monitor mode holds nothing back and records the name; an enforced deny in it still refuses", () => {
  expect(engines("  - { name: a, to: pypi.org }", "monitor"), [
    [stranger, "not yet, hold false"],
    [shown(stranger, "tls", "evil.example"), "would_deny default"],
    [shown(stranger, "tls", "pypi.org"), "would_deny name_mismatch"],
    [{ ...stranger, transport: "other" }, "would_deny protocol_denied"],
  ]);
  expect(engines("  - { name: no, to: evil.example, action: deny }", "monitor"), [
    [stranger, "not yet, hold true"],
    [shown(stranger, "tls", "evil.example"), "deny rule"],
    [{ ...stranger, port: 80 }, "not yet, hold false"],
  ]);
});

test("a rule for one source is no rule for another", () => {
  const outside = { ...pypi, source: address("192.0.2.1") };
  expect(engines("  - { name: a, from: team, to: pypi.org }"), [
    [shown(pypi, "tls", "pypi.org"), "allow rule"],
    [shown({ ...pypi, source: address("2001:db8:1::9") }, "tls", "pypi.org"), "allow rule"],
    [shown({ ...pypi, source: address("10.20.2.5") }, "tls", "pypi.org"), "deny default"],
    [outside, "deny default"],
  ]);
});

test("DNS answers only names that some flow could use", () => {
  const rules = `  - { name: no gists, to: gist.github.com, action: deny }
  - { name: github, from: team, to: "**.github.com" }
  - { name: later, to: later.example, mode: monitor }`;
  const verdict = (engine: Engine, name: string, source = "10.20.1.5"): unknown[] => {
    const { verdict: v, rule, monitored } = engine.dns({ source: address(source), name });
    return [v, rule?.name ?? null, ...monitored.map((r) => r.name)];
  };
  for (const [which, engine] of engines(rules)) {
    assert.deepEqual(verdict(engine, "api.github.com"), ["allow", "github"], which);
    assert.deepEqual(verdict(engine, "api.github.com", "10.20.2.5"), ["deny", null], which);
    assert.deepEqual(verdict(engine, "gist.github.com"), ["deny", "no gists"], which);
    assert.deepEqual(verdict(engine, "github.com"), ["deny", null], which);
    assert.deepEqual(verdict(engine, "later.example"), ["deny", null, "later"], which);
    assert.deepEqual(verdict(engine, "stolen-data.evil.example"), ["deny", null], which);
  }
  for (const [which, engine] of engines(rules, "monitor")) {
    assert.deepEqual(verdict(engine, "evil.example"), ["would_deny", null], which);
  }
});

test("only enforcing allow rules open private answers", () => {
  const rules = `  - { name: a, from: team, to: 10.9.0.0/16 }
  - { name: b, to: 10.8.0.0/16, mode: monitor }
  - { name: c, to: 10.7.0.0/16, action: deny }`;
  for (const [which, engine] of engines(rules)) {
    const allows = (to: string, from = "10.20.1.5") => engine.cidrAllows(address(from), address(to));
    assert.deepEqual([allows("10.9.1.1"), allows("10.8.1.1"), allows("10.7.1.1")], [true, false, false], which);
    assert.equal(allows("10.9.1.1", "192.0.2.1"), false, which);
  }
});

test("a source's group is the first one declared that holds it", () => {
  for (const [which, engine] of engines("  - { name: a, to: pypi.org }")) {
    assert.equal(engine.group(address("10.20.1.5")), "team", which);
    assert.equal(engine.group(address("10.20.2.5")), "everyone", which);
    assert.equal(engine.group(address("192.0.2.1")), null, which);
  }
});

test("a hello with Encrypted Client Hello is refused by the rule that matches, and no later rule is asked", () => {
  const list = engines(`
  - { name: shop, to: [shop.example, pypi.org], ech: deny }
  - { name: network, to: "203.0.113.0/24", protocol: tls }
  - { name: anything, to: "**", protocol: tcp, ports: [443], reason: last }`);
  const shop = facts("203.0.113.5", ["shop.example"]);
  expect(list, [
    [shown(shop, "tls", "shop.example"), "allow rule"],
    [shown(shop, "tls", "shop.example", true), "deny ech"],
    // Not that rule's name: what it says of the extension is not asked.
    [shown(shop, "tls", "other.example", true), "allow rule"],
    [shown(facts("198.51.100.7", ["other.example"]), "tls", "other.example", true), "allow rule"],
    // Every name passes, with and without; only the hello shows which it is.
    [shop, "not yet, hold true"],
    [facts("198.51.100.7", ["other.example"]), "allow rule"],
  ]);
  for (const [which, engine] of list) {
    const decision = engine.name(shown(shop, "tls", "shop.example", true));
    assert.deepEqual(
      [decision.rule?.name, decision.tier, decision.stage, decision.passes, decision.enforced],
      ["shop", 2, "name", false, true],
      which,
    );
    assert.equal(engine.dns({ source: shop.source, name: "shop.example" }).verdict, "allow", which);
  }
});

test("without a choice, Encrypted Client Hello is refused behind known fronts and allowed elsewhere", () => {
  const list = engines(`
  - { name: front, to: ["*.cloudfront.net", cloudflare-ech.com, shop.example] }
  - { name: quic, to: "*.azureedge.net", protocol: quic }
  - { name: browsers, to: "*.fastly.net", ech: allow }`);
  const at443 = (name: string) => facts("203.0.113.5", [name]);
  const udp = (name: string) => facts("203.0.113.5", [name], { transport: "udp" });
  expect(list, [
    [shown(at443("d1.cloudfront.net"), "tls", "d1.cloudfront.net"), "allow rule"],
    [shown(at443("d1.cloudfront.net"), "tls", "d1.cloudfront.net", true), "deny ech"],
    [shown(at443("cloudflare-ech.com"), "tls", "cloudflare-ech.com", true), "deny ech"],
    [shown(at443("shop.example"), "tls", "shop.example", true), "allow rule"],
    [shown(udp("a.azureedge.net"), "quic", "a.azureedge.net", true), "deny ech"],
    [shown(at443("a.fastly.net"), "tls", "a.fastly.net", true), "allow rule"],
    // A name at an address that is not its own is what it was before.
    [shown(at443("shop.example"), "tls", "d1.cloudfront.net", true), "deny name_mismatch"],
  ]);
});

test("an allow rule refuses no Encrypted Client Hello that the monitoring default would pass", () => {
  const rules = "  - { name: shop, to: shop.example, ech: deny }";
  const list = engines(rules, "monitor");
  const shop = facts("203.0.113.5", ["shop.example"]);
  expect(list, [
    [shop, "not yet, hold false"],
    [shown(shop, "tls", "shop.example", true), "would_deny ech"],
  ]);
  const monitored = engines("  - { name: shop, to: shop.example, ech: deny, mode: monitor }");
  for (const [which, engine] of monitored) {
    const decision = engine.name(shown(shop, "tls", "shop.example", true));
    assert.deepEqual([decision.reason, decision.monitored.map((rule) => rule.name)], ["default", ["shop"]], which);
  }
});
