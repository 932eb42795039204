/** An endpoint's text means one thing, and what could mean two is an error that says how to write either. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isEndpointDefect, parseEndpoint } from "./endpoint.ts";
import { isServiceDefect, servicesFor } from "./services.ts";

test("hosts, patterns and prefixes, each with its ports", () => {
  const cases: [string, "name" | "cidr", string, unknown][] = [
    ["pypi.org", "name", "pypi.org", null],
    ["PyPI.org.:443", "name", "pypi.org", [443]],
    ["pypi.org:8443,443,443", "name", "pypi.org", [443, 8443]],
    ["pypi.org:*", "name", "pypi.org", "any"],
    ["*.example.com:80", "name", "*.example.com", [80]],
    ["**", "name", "**", null],
    ["sa{0-49,100-199}.blob.example:443", "name", "sa{0-49,100-199}.blob.example", [443]],
    ["203.0.113.0/24", "cidr", "203.0.113.0/24", null],
    ["203.0.113.7:8443", "cidr", "203.0.113.7", [8443]],
    ["203.0.113.0/24:443,8443", "cidr", "203.0.113.0/24", [443, 8443]],
    ["0.0.0.0/0:*", "cidr", "0.0.0.0/0", "any"],
    ["2001:db8::/32", "cidr", "2001:db8::/32", null],
    ["[2001:db8::/32]:443", "cidr", "2001:db8::/32", [443]],
    ["[2001:DB8::7]", "cidr", "2001:db8::7", null],
    ["[2001:db8::7]:*", "cidr", "2001:db8::7", "any"],
  ];
  for (const [text, kind, canonical, ports] of cases) {
    const parsed = parseEndpoint(text);
    assert.ok(!isEndpointDefect(parsed), text);
    assert.deepEqual([parsed.endpoint.kind, parsed.endpoint.text, parsed.ports], [kind, canonical, ports], text);
  }
});

test("anything else is refused with what to write instead", () => {
  const cases: [string, RegExp][] = [
    ["", /pypi\.org/],
    ["https://pypi.org/simple", /^Write pypi\.org\.$/],
    ["pypi.org/simple", /without a path/],
    ["pypi.org:", /host:443/],
    ["pypi.org:0", /host:443/],
    ["pypi.org:65536", /host:443/],
    ["pypi.org:0443", /host:443/],
    ["pypi.org:443,", /host:443/],
    ["pypi.org:https", /host:443/],
    ["203.0.113.7/24:443", /203\.0\.113\.0\/24/],
    ["127.1:80", /address/],
    ["2130706433", /address/],
    ["0x7f.1", /CIDR/],
    ["2001:db8::1:443", /\[2001:db8::1:443\], or \[2001:db8::1\]:443/],
    ["2001:db8::/32:443", /\[2001:db8::\/32\]:443/],
    ["[2001:db8::]/32:443", /\[2001:db8::\/32\]:443/],
    ["[2001:db8::1", /\[2001:db8::\/32\]:443/],
    ["[pypi.org]:443", /prefix|address/i],
    ["user@pypi.org", /host name/],
    ["example.*", /\*\*/],
  ];
  for (const [text, fix] of cases) {
    const parsed = parseEndpoint(text);
    assert.ok(isEndpointDefect(parsed), text);
    assert.match(parsed.fix, fix, text);
  }
});

test("the protocol follows from the port only where the port has one", () => {
  assert.deepEqual(servicesFor(null, null), [{ port: 443, protocol: "tls" }]);
  assert.deepEqual(servicesFor([22, 80, 443], null), [
    { port: 22, protocol: "ssh" },
    { port: 80, protocol: "http" },
    { port: 443, protocol: "tls" },
  ]);
  assert.deepEqual(servicesFor([80, 8443], "tls"), [
    { port: 80, protocol: "tls" },
    { port: 8443, protocol: "tls" },
  ]);
  assert.deepEqual(servicesFor("any", "tcp"), [{ port: null, protocol: "tcp" }]);
  assert.deepEqual(servicesFor(null, "icmp"), [{ port: null, protocol: "icmp" }]);
  assert.deepEqual(servicesFor(null, "quic"), [{ port: 443, protocol: "quic" }]);
  for (const [ports, protocol, code] of [
    [[8443], null, "protocol_needed"],
    [[443, 8443], null, "protocol_needed"],
    ["any", null, "protocol_needed"],
    [null, "ssh", "port_needed"],
    [null, "http", "port_needed"],
    [[443], "icmp", "port_needed"],
  ] as const) {
    const services = servicesFor(ports, protocol);
    assert.ok(isServiceDefect(services) && services.code === code, `${String(ports)} ${protocol}`);
  }
});
