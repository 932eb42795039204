/**
 * N4: a second request on a kept-alive connection with another Host. Every request on the connection is found, however its
 * bytes are cut, and none can hide in a body or a trailer of the one before.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ascii } from "../../../test/wire/hello.ts";
import { RequestStream, type Followed } from "./request-stream.ts";

/** What a connection showed, pushed in pieces that end at the given places. */
function follow(bytes: Uint8Array, cuts: readonly number[] = []) {
  const stream = new RequestStream();
  const hosts: string[] = [];
  let last: Followed = { requests: [], defect: null, opaque: null };
  const edges = [0, ...cuts, bytes.length];
  for (let i = 1; i < edges.length; i++) {
    last = stream.push(bytes.subarray(edges[i - 1], edges[i]));
    for (const { host } of last.requests) hosts.push(host.kind === "name" ? host.name : host.kind);
  }
  return { hosts, defect: last.defect, opaque: last.opaque, midHead: stream.midHead };
}

const get = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const post = (host: string, field: string) => `POST / HTTP/1.1\r\nHost: ${host}\r\n${field}\r\n\r\n`;
const chunked = (host: string) => post(host, "Transfer-Encoding: chunked");
const evil = get("evil.example");

describe("N4: every request on the connection", () => {
  const connection = ascii(
    get("pypi.org") +
      post("pypi.org", `Content-Length: ${evil.length}`) +
      evil +
      chunked("pypi.org") +
      `${evil.length.toString(16)};note="x"\r\n${evil}\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n` +
      chunked("pypi.org") +
      "0\r\n\r\n" +
      get("other.example"),
  );
  const hosts = ["pypi.org", "pypi.org", "pypi.org", "pypi.org", "other.example"];

  test("pipelined, with requests inside bodies that are none", () => {
    assert.deepEqual(follow(connection), { hosts, defect: null, opaque: null, midHead: false });
  });

  test("byte by byte", () => {
    assert.deepEqual(follow(connection, [...connection.keys()].slice(1)).hosts, hosts);
  });

  test("cut anywhere, any number of times", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: connection.length }), { maxLength: 20 }), (cuts) => {
        const sorted = cuts.toSorted((a, b) => a - b);
        assert.deepEqual(follow(connection, sorted), { hosts, defect: null, opaque: null, midHead: false });
      }),
    );
  });

  test("a head that has begun and not ended is known to be waiting", () => {
    assert.equal(follow(ascii(get("pypi.org") + evil.slice(0, 20))).midHead, true);
  });
});

describe("N4: requests hidden by framing", () => {
  const cases: [string, string, string][] = [
    ["a size that is no number", `${chunked("pypi.org")}x\r\n`, "chunk_syntax"],
    ["a signed size", `${chunked("pypi.org")}-1\r\n`, "chunk_syntax"],
    ["a size with a prefix", `${chunked("pypi.org")}0x5\r\n`, "chunk_syntax"],
    ["a size past every integer", `${chunked("pypi.org")}${"f".repeat(17)}\r\n`, "chunk_syntax"],
    ["no size", `${chunked("pypi.org")}\r\n`, "chunk_syntax"],
    ["an extension without a size", `${chunked("pypi.org")};x\r\n`, "chunk_syntax"],
    ["a bare LF after the size", `${chunked("pypi.org")}1\nx\r\n0\r\n\r\n`, "chunk_syntax"],
    ["a bare LF inside an extension", `${chunked("pypi.org")}1;a\nx\r\n`, "chunk_syntax"],
    ["an endless extension", `${chunked("pypi.org")}1;${"a".repeat(300)}\r\n`, "chunk_syntax"],
    ["a chunk longer than its size", `${chunked("pypi.org")}1\r\nxx\r\n`, "chunk_syntax"],
    ["a bare LF after the data", `${chunked("pypi.org")}1\r\nx\n0\r\n\r\n`, "chunk_syntax"],
    ["a host in the trailer", `${chunked("pypi.org")}0\r\nHost: evil.example\r\n\r\n`, "forbidden_trailer"],
    ["a length in the trailer", `${chunked("pypi.org")}0\r\nContent-Length: 5\r\n\r\n`, "forbidden_trailer"],
    ["a trailer line without a colon", `${chunked("pypi.org")}0\r\nGET / HTTP/1.1\r\n\r\n`, "field_name"],
    ["a second head with bare LFs", `${get("pypi.org")}GET / HTTP/1.1\nHost: evil.example\n\n`, "request_line"],
    ["an empty line before a head", `${get("pypi.org")}\r\n${evil}`, "not_http"],
    ["a body that was not announced", `${get("pypi.org")}hello`, "not_http"],
  ];
  for (const [title, text, defect] of cases) {
    test(title, () => {
      for (const cuts of [[], [...ascii(text).keys()].slice(1)]) {
        const { hosts, defect: got } = follow(ascii(text), cuts);
        assert.deepEqual(hosts, ["pypi.org"]);
        assert.equal(got?.detail ?? got?.state, defect);
      }
    });
  }

  test("nothing waits after a defect in a trailer that came in two pieces", () => {
    const text = `${chunked("pypi.org")}0\r\nX: y\r\nno colon\r\n`;
    assert.equal(follow(ascii(text), [text.length - 12]).midHead, false);
    const piecemeal = `${chunked("pypi.org")}0\r\nX: ${"y".repeat(20_000)}`;
    assert.equal(follow(ascii(piecemeal), [piecemeal.length - 15_000]).midHead, false);
  });

  test("a defect is final", () => {
    const stream = new RequestStream();
    stream.push(ascii("nonsense"));
    const later = stream.push(ascii(get("pypi.org")));
    assert.deepEqual([later.requests, later.defect?.state], [[], "not_http"]);
  });
});

describe("T12: what may stop being HTTP", () => {
  test("CONNECT: opaque at once", () => {
    const { hosts, opaque } = follow(ascii(`CONNECT ghcr.io:443 HTTP/1.1\r\n\r\n${evil}`));
    assert.deepEqual([hosts, opaque], [["ghcr.io"], "connect"]);
  });

  test("Upgrade: opaque after the request's own body", () => {
    const upgrade = `Content-Length: 3\r\nUpgrade: websocket\r\nConnection: upgrade`;
    const before = follow(ascii(`${post("pypi.org", upgrade)}ab`));
    assert.deepEqual([before.hosts, before.opaque], [["pypi.org"], null]);
    assert.equal(follow(ascii(`${post("pypi.org", upgrade)}abc${evil}`)).opaque, "upgrade");
  });
});

describe("bounds", () => {
  test("heads and trailers are bounded, bodies are not stored", () => {
    const stream = new RequestStream();
    stream.push(ascii(post("pypi.org", "Content-Length: 999999999999")));
    for (let i = 0; i < 100; i++) assert.equal(stream.push(new Uint8Array(65536)).defect, null);
    assert.equal(stream.midHead, false);
    assert.equal(follow(ascii(`GET /${"x".repeat(20000)}`)).defect?.state, "too_large");
    assert.equal(
      follow(ascii(`${chunked("pypi.org")}0\r\n${"X: y\r\n".repeat(90)}X: ${"y".repeat(20000)}`)).defect?.state,
      "too_large",
    );
  });

  test("a trailer over the bound is refused alike at once and in pieces, whatever it ends in", () => {
    for (const end of ["\r\n\r\n", "\0\r\n\r\n", `\r\n\r\n${evil}`]) {
      const bytes = ascii(`${chunked("pypi.org")}0\r\nX: ${"y".repeat(16_384)}${end}`);
      const whole = follow(bytes);
      assert.deepEqual(whole.defect, { state: "too_large", detail: null });
      for (const cut of [100, 9_000, bytes.length - 3]) assert.deepEqual(follow(bytes, [cut]), whole);
    }
  });
});
