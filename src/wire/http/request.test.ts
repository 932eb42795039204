/**
 * N4, N5, T12: the host of an HTTP request is the one every server will see, or there is none. Whatever two servers could
 * read in two ways is refused, which is what keeps request smuggling out.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ascii } from "../../../test/wire/hello.ts";
import { maxFields, maxHeadBytes, parseRequest, type Request } from "./request.ts";

const head = (...lines: string[]) => ascii([...lines, "", ""].join("\r\n"));

function read(...lines: string[]): Request {
  const result = parseRequest(head(...lines));
  assert.ok(result.state === "request", JSON.stringify(result));
  return result.request;
}

function refusal(bytes: Uint8Array): string {
  const result = parseRequest(bytes);
  return result.state === "malformed" ? result.defect : result.state;
}

const host = (...fields: string[]) => read("GET / HTTP/1.1", ...fields).host;

describe("a request", () => {
  test("method, target, host, length of its head", () => {
    const bytes = head("GET /simple/ HTTP/1.1", "Accept: */*", "HOST:\t PyPI.org.:8080 ");
    const result = parseRequest(Uint8Array.from([...bytes, ...ascii("body")]));
    assert.ok(result.state === "request");
    assert.deepEqual(result.request, {
      method: "GET",
      target: "/simple/",
      form: "origin",
      version: "1.1",
      host: { kind: "name", name: "pypi.org", port: 8080 },
      body: { kind: "none" },
      upgrade: false,
      headerBytes: bytes.length,
    });
  });

  test("no strict prefix of it is anything but a reason to wait", () => {
    const bytes = head("POST /upload HTTP/1.1", "Host: pypi.org", "Content-Length: 12", "X: \u00e9");
    for (let size = 0; size < bytes.length; size++) {
      assert.equal(parseRequest(bytes.subarray(0, size)).state, "need_more", `${size} bytes`);
    }
    assert.equal(parseRequest(bytes).state, "request");
  });
});

describe("N5: the Host", () => {
  test("none", () => {
    assert.deepEqual(host(), { kind: "none" });
    assert.deepEqual(read("GET / HTTP/1.0").host, { kind: "none" });
  });

  test("two, empty, an address, userinfo, percent-encoding, bad ports: a host, but no name", () => {
    const cases: [string[], string][] = [
      [["Host: pypi.org", "Host: pypi.org"], "two_hosts"],
      [["Host:"], "empty"],
      [["Host: :80"], "empty"],
      [["Host: 203.0.113.5"], "ip_literal"],
      [["Host: [2001:db8::1]:80"], "ip_literal"],
      [["Host: pypi.org@evil.example"], "userinfo"],
      [["Host: pypi%2eorg"], "bad_character"],
      [["Host: pypi.org, evil.example"], "bad_character"],
      [["Host: pypi.org/"], "bad_character"],
      [["Host: p\u00fdpi.org"], "bad_character"],
      [["Host: pypi..org"], "empty_label"],
      [["Host: pypi.org:"], "port"],
      [["Host: pypi.org:0"], "port"],
      [["Host: pypi.org:65536"], "port"],
      [["Host: pypi.org:80:80"], "port"],
      [["Host: pypi.org:+80"], "port"],
    ];
    for (const [fields, defect] of cases) assert.deepEqual(host(...fields), { kind: "invalid", defect });
  });

  test("the authority in the target wins, and must agree with the field (RFC 9112 section 3.2.2)", () => {
    const absolute = (target: string, ...fields: string[]) => head(`GET ${target} HTTP/1.1`, ...fields);
    const name = { kind: "name", name: "pypi.org", port: null };
    assert.deepEqual(read("GET http://PyPI.org/x HTTP/1.1", "Host: pypi.org").host, name);
    assert.deepEqual(read("GET http://pypi.org?q HTTP/1.1", "Host: pypi.org:80").host, name);
    assert.deepEqual(read("GET http://pypi.org HTTP/1.1").host, name);
    assert.equal(refusal(absolute("http://pypi.org/", "Host: evil.example")), "host_disagrees");
    assert.equal(refusal(absolute("http://evil.example/", "Host: pypi.org")), "host_disagrees");
    assert.equal(refusal(absolute("http://pypi.org:8080/", "Host: pypi.org")), "host_disagrees");
    assert.equal(refusal(absolute("http://pypi.org\\@evil.example/", "Host: pypi.org")), "request");
    assert.equal(read("GET http://pypi.org\\@evil.example/ HTTP/1.1").host.kind, "invalid");
    for (const target of ["ftp://pypi.org/", "pypi.org", "pypi.org:80", "*", "/#x", "http://pypi.org/#x"]) {
      assert.equal(refusal(absolute(target, "Host: pypi.org")), "target");
    }
    assert.equal(read("OPTIONS * HTTP/1.1", "Host: pypi.org").form, "asterisk");
  });

  test("T12: CONNECT asks for its target, port included", () => {
    const request = read("CONNECT ghcr.io:443 HTTP/1.1", "Host: ghcr.io:443");
    assert.deepEqual([request.form, request.host], ["authority", { kind: "name", name: "ghcr.io", port: 443 }]);
    assert.equal(refusal(head("CONNECT ghcr.io HTTP/1.1", "Host: ghcr.io")), "target");
    assert.equal(refusal(head("CONNECT evil.example:443 HTTP/1.1", "Host: ghcr.io:443")), "host_disagrees");
    assert.equal(refusal(head("CONNECT ghcr.io:443 HTTP/1.1", "Content-Length: 3")), "connect_body");
    assert.equal(read("CONNECT 203.0.113.5:443 HTTP/1.1").host.kind, "invalid");
  });
});

describe("N4: request smuggling", () => {
  const post = (...fields: string[]) => head("POST / HTTP/1.1", "Host: pypi.org", ...fields);

  test("bodies framed once", () => {
    const body = (...fields: string[]) => read("POST / HTTP/1.1", ...fields).body;
    assert.deepEqual(body("Content-Length: 17"), { kind: "length", bytes: 17 });
    assert.deepEqual(body("Content-Length: 0"), { kind: "none" });
    assert.deepEqual(body("Transfer-Encoding: Chunked"), { kind: "chunked" });
  });

  test("framed twice, or in a way that servers read differently", () => {
    assert.equal(refusal(post("Content-Length: 5", "Transfer-Encoding: chunked")), "two_framings");
    for (const value of ["5, 5", "+5", "-5", "0x5", "5 5", "", "1e3", "9999999999999999"]) {
      assert.equal(refusal(post(`Content-Length: ${value}`)), "content_length", value);
    }
    assert.equal(refusal(post("Content-Length: 5", "Content-Length: 5")), "content_length");
    for (const value of ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "\u000bchunked", ""]) {
      assert.notEqual(refusal(post(`Transfer-Encoding: ${value}`)), "request", value);
    }
    assert.equal(refusal(post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")), "transfer_encoding");
    assert.equal(refusal(head("POST / HTTP/1.0", "Transfer-Encoding: chunked")), "transfer_encoding");
  });

  test("lines that only some servers accept", () => {
    const cases: [string, string][] = [
      ["GET / HTTP/1.1\r\nHost: pypi.org\r\n folded\r\n\r\n", "folded_line"],
      ["GET / HTTP/1.1\r\n Host: pypi.org\r\n\r\n", "folded_line"],
      ["GET / HTTP/1.1\r\nHost : pypi.org\r\n\r\n", "field_name"],
      ["GET / HTTP/1.1\r\nHo\0st: pypi.org\r\n\r\n", "field_name"],
      ["GET / HTTP/1.1\r\n: pypi.org\r\n\r\n", "field_name"],
      ["GET / HTTP/1.1\r\nHost: pypi.org\0\r\n\r\n", "field_value"],
      ["GET / HTTP/1.1\nHost: pypi.org\n\n", "request_line"],
      ["GET / HTTP/1.1\r\nHost: pypi.org\nX: y\r\n\r\n", "bare_lf"],
      ["GET / HTTP/1.1\r\nHost: pypi.org\rX: y\r\n\r\n", "bare_cr"],
      ["GET / HTTP/1.1\r\nHost: pypi.org\r\n\n", "bare_lf"],
      ["GET / HTTP/1.1 \r\nHost: pypi.org\r\n\r\n", "request_line"],
      ["GET /\u00e9 HTTP/1.1\r\n\r\n", "target"],
      ["GET  / HTTP/1.1\r\n\r\n", "target"],
    ];
    for (const [bytes, defect] of cases) {
      const got = refusal(ascii(bytes));
      // An empty target leaves "/" where the version should be.
      assert.equal(got, bytes.startsWith("GET  ") ? "not_http" : defect, JSON.stringify(bytes));
    }
  });
});

describe("what is not HTTP/1", () => {
  test("HTTP/2 with prior knowledge, HTTP/0.9, lower case, other protocols", () => {
    for (const text of [
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET /\r\n",
      "GET / HTTP/2\r\n",
      "GET / HTTP/1.2\r\n",
      "get / HTTP/1.1\r\n",
      "\r\nGET / HTTP/1.1\r\n",
      "EHLO\r\n",
      "A".repeat(40),
      "\u0016\u0003\u0001",
    ]) {
      assert.equal(parseRequest(ascii(text)).state, "not_http", JSON.stringify(text));
    }
  });
});

describe("bounds", () => {
  test("bytes of the head", () => {
    const filled = (size: number) => head("GET / HTTP/1.1", `X: ${"x".repeat(size - 23)}`);
    assert.equal(filled(maxHeadBytes).length, maxHeadBytes);
    assert.equal(parseRequest(filled(maxHeadBytes)).state, "request");
    assert.equal(parseRequest(filled(maxHeadBytes + 1)).state, "too_large");
    assert.equal(parseRequest(ascii(`GET /${"x".repeat(maxHeadBytes)}`)).state, "too_large");
  });

  test("fields", () => {
    const fields = (count: number) => head("GET / HTTP/1.1", ...Array.from({ length: count }, (_, i) => `X${i}: y`));
    assert.equal(parseRequest(fields(maxFields)).state, "request");
    assert.equal(refusal(fields(maxFields + 1)), "too_many_fields");
  });
});
