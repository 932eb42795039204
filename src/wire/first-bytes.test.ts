/**
 * N5, N6, N7: the first bytes are one protocol or none, the name shown is canonical or refused, and nothing is decided
 * before the bytes that decide it are there.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  alpn,
  ascii,
  buildHello,
  bytes,
  filler,
  records,
  serverNames,
  supportedVersions,
} from "../../test/wire/hello.ts";
import { ja4 } from "./tls/ja4.ts";
import { classify } from "./first-bytes.ts";

const tls = (...names: string[]) =>
  records(buildHello({ extensions: names.length === 0 ? [] : [serverNames(...names)] }));

function name(prefix: Uint8Array) {
  const first = classify(prefix);
  assert.ok(first.state === "done", JSON.stringify(first));
  return first.name;
}

function application(text: string | Uint8Array): string {
  const first = classify(typeof text === "string" ? ascii(text) : text);
  return first.state === "done" ? first.application : first.state;
}

describe("N5: names are canonical or refused", () => {
  test("upper case and one trailing dot are spelled away", () => {
    assert.deepEqual(name(tls("PyPI.org")), { kind: "name", name: "pypi.org" });
    assert.deepEqual(name(tls("pypi.org.")), { kind: "name", name: "pypi.org" });
  });

  test("names that only contain an allowed one stay other names", () => {
    for (const other of ["pypi.org.evil.example", "evilpypi.org", "xn--pypi-5na.org"]) {
      assert.deepEqual(name(tls(other)), { kind: "name", name: other });
    }
  });

  test("no name, an address, an empty label, two names, NUL", () => {
    assert.deepEqual(name(tls()), { kind: "none" });
    const cases: [Uint8Array, string][] = [
      [tls("203.0.113.5"), "ip_literal"],
      [tls("2001:db8::1"), "ip_literal"],
      [tls("0x7f.1"), "ip_literal"],
      [tls("pypi..org"), "empty_label"],
      [tls("."), "empty_label"],
      [tls(`${"a".repeat(64)}.org`), "label_too_long"],
      [tls("pypi.org/x"), "bad_character"],
      [tls("pypi.org", "evil.example"), "two_names"],
      [tls("pypi.org\0.evil.example"), "not_ascii"],
    ];
    for (const [prefix, defect] of cases) assert.deepEqual(name(prefix), { kind: "invalid", defect });
  });
});

describe("N7: one protocol or none", () => {
  test("the protocols", () => {
    assert.equal(application(tls("pypi.org")), "tls");
    assert.equal(application("GET / HTTP/1.1\r\nHost: pypi.org\r\n\r\n"), "http");
    assert.equal(application("SSH-2.0-x\r\n"), "ssh");
    assert.equal(application("SSHOW / HTTP/1.1\r\n\r\n"), "http");
  });

  test("others, at their second byte where that is enough", () => {
    assert.equal(application(bytes(0x80, 46)), "other");
    assert.equal(application(bytes(0, 0)), "other");
    assert.equal(application('{"'), "other");
    assert.equal(application("\n\n"), "other");
    assert.equal(application(bytes(0x80, 3, 1, 1)), "other");
    assert.equal(application(bytes(22, 2)), "other");
    assert.equal(application("SSH-1.5-x\r\n"), "other");
    assert.equal(application("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "other");
    assert.equal(application("EHLO mail.example\r\n"), "other");
    assert.equal(application("QUIT\r\n"), "other");
  });

  test("undecided bytes wait", () => {
    for (const text of [
      "",
      "S",
      "SS",
      "SSH",
      "SSH-",
      "SSH-2.0-x",
      "G",
      "GET / HTTP/1.",
      "\u0016",
      "\u0016\u0003",
      "\n",
      "\n\u0003",
    ]) {
      assert.equal(classify(ascii(text)).state, "need_more", JSON.stringify(text));
    }
  });

  test("TLS behind a record that servers pass over is no other protocol", () => {
    const hello = tls("pypi.org");
    for (const [before, detail] of [
      [bytes(0, 3, 3, 0, 0), "empty_record"],
      [bytes(0x41, 3, 3, 0, 0), "empty_record"],
      [bytes(20, 3, 3, 0, 0), "record_type"],
      [bytes(21, 3, 3, 0, 2, 1, 90), "record_type"],
    ] as const) {
      const first = classify(bytes(before, hello));
      assert.deepEqual(first, { state: "defect", application: "tls", reason: "malformed", detail });
    }
  });

  test("TLS or HTTP that breaks off is a defect of it, never another protocol", () => {
    assert.deepEqual(classify(records(bytes(buildHello(), 0))), {
      state: "defect",
      application: "tls",
      reason: "malformed",
      detail: "bytes_after_hello",
    });
    assert.deepEqual(classify(bytes(22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff)), {
      state: "defect",
      application: "tls",
      reason: "too_large",
      detail: null,
    });
    assert.deepEqual(classify(ascii("GET / HTTP/1.1\nHost: pypi.org\n\n")), {
      state: "defect",
      application: "http",
      reason: "malformed",
      detail: "request_line",
    });
    const long = classify(ascii(`GET /${"x".repeat(20000)}`));
    assert.ok(long.state === "defect" && long.reason === "too_large");
  });
});

test("an event's words for a hello", () => {
  const message = buildHello({
    extensions: [serverNames("pypi.org"), alpn("h2", "http/1.1"), supportedVersions(0x0304), filler(0xfe0d, 9)],
  });
  const first = classify(records(message, 9));
  assert.ok(first.state === "done");
  assert.ok(first.hello !== null);
  const words = { version: "TLS 1.3", alpn: ["h2", "http/1.1"], ech: true, bytes: message.length };
  assert.deepEqual(first.tls, { ...words, ja4: ja4(first.hello, "tcp") });
});
