/**
 * N5, N6, N7, N8: whatever way a ClientHello is cut, padded, doubled or broken, the parser gives its one name, waits for
 * more, or refuses. It never takes a hello for something else, and never half of one for a whole.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  alpn,
  ascii,
  buildHello,
  bytes,
  filler,
  records,
  serverNames,
  supportedVersions,
  vector,
  type HelloParts,
} from "../../../test/wire/hello.ts";
import { maxRecords, parseTls, type ClientHello } from "./client-hello.ts";
import { maxAlpn, maxExtensions } from "./extensions.ts";
import { maxHelloBytes } from "./hello.ts";

function read(parts: HelloParts): ClientHello {
  const result = parseTls(records(buildHello(parts)));
  assert.ok(result.state === "hello", JSON.stringify(result));
  return result.hello;
}

function refusal(parts: HelloParts): string {
  const result = parseTls(records(buildHello(parts)));
  return result.state === "malformed" ? result.defect : result.state;
}

const sni = (data: Uint8Array) => read({ extensions: [[0, data]] }).sni;
const entry = (type: number, name: Uint8Array) => bytes(type, vector(2, name));

describe("N6: a hello over many segments and records", () => {
  const message = buildHello({ extensions: [serverNames("files.pythonhosted.org"), filler(21, 40)] });

  test("no strict prefix of a hello is a hello, or anything but a reason to wait", () => {
    for (const whole of [records(message), records(message, 1, 2, 3, 50)]) {
      for (let size = 0; size < whole.length; size++) {
        assert.equal(parseTls(whole.subarray(0, size)).state, "need_more", `${size} bytes`);
      }
      assert.equal(parseTls(whole).state, "hello");
    }
  });

  test("cut into two records at every place, the handshake header's inside too", () => {
    for (let cut = 1; cut < message.length; cut++) {
      const result = parseTls(records(message, cut));
      assert.ok(result.state === "hello");
      assert.deepEqual(result.hello.sni, { kind: "name", raw: "files.pythonhosted.org" });
      assert.deepEqual([result.records, result.hello.bytes], [2, message.length]);
    }
  });

  test("cut at any places, as many as allowed", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: message.length - 1 }), { maxLength: maxRecords - 1 }),
        (cuts) => {
          const result = parseTls(records(message, ...cuts.toSorted((a, b) => a - b)));
          assert.equal(result.state, "hello");
        },
      ),
    );
  });

  test("one record more than allowed is too large, as soon as it is needed", () => {
    const cuts = Array.from({ length: maxRecords }, (_, i) => i + 1);
    assert.equal(parseTls(records(message, ...cuts.slice(1))).state, "hello");
    assert.equal(parseTls(records(message, ...cuts)).state, "too_large");
    assert.equal(parseTls(records(message, ...cuts).subarray(0, maxRecords * 6)).state, "too_large");
  });

  test("padded to the cap it is read; one byte more is too large, whatever follows", () => {
    const padded = (size: number) => buildHello({ extensions: [serverNames("pypi.org"), filler(21, size)] });
    const size = maxHelloBytes - (padded(0).length - 4);
    assert.equal(parseTls(records(padded(size), 16384, 32768)).state, "hello");
    assert.equal(parseTls(records(padded(size + 1), 16384, 32768)).state, "too_large");
    assert.equal(parseTls(bytes(22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff)).state, "too_large");
  });

  test("records that no stack sends: empty, over-long, of another type or version inside the hello", () => {
    const cases: [Uint8Array, string][] = [
      [bytes(22, 3, 1, 0, 0), "empty_record"],
      [bytes(22, 3, 1, 0x40, 1), "record_too_long"],
      [bytes(records(message.subarray(0, 9)), 22, 3, 1, 0, 0), "empty_record"],
      [bytes(records(message.subarray(0, 9)), 20, 3, 1, 0, 1, 1), "record_type"],
      [bytes(records(message.subarray(0, 9)), 22, 2, 1, 0, 1, 1), "record_version"],
      [records(bytes(2, message.subarray(1))), "not_client_hello"],
      [records(bytes(message, 0)), "bytes_after_hello"],
      [records(bytes(message, message)), "bytes_after_hello"],
    ];
    for (const [prefix, defect] of cases) {
      const result = parseTls(prefix);
      assert.ok(result.state === "malformed", result.state);
      assert.equal(result.defect, defect);
    }
  });

  test("early data after the hello changes nothing", () => {
    const whole = records(message);
    const result = parseTls(bytes(whole, 23, 3, 3, 0, 2, 1, 2));
    assert.ok(result.state === "hello");
    assert.equal(result.end, whole.length);
  });
});

describe("N7: what is not TLS", () => {
  test("an SSLv2-compatible hello, plain text, another major version", () => {
    const v2 = bytes(0x80, 46, 1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 47, new Uint8Array(16));
    for (const prefix of [v2, ascii("GET / HTTP/1.1\r\n"), bytes(22, 2), bytes(22, 0x83)]) {
      assert.equal(parseTls(prefix).state, "not_tls");
    }
  });
});

describe("N5: the server name", () => {
  test("none", () => {
    assert.deepEqual(read({ extensions: [] }).sni, { kind: "none" });
    assert.deepEqual(read({ extensions: null }).sni, { kind: "none" });
  });

  test("one, as sent", () => {
    assert.deepEqual(read({ extensions: [serverNames("PyPI.org")] }).sni, { kind: "name", raw: "PyPI.org" });
  });

  test("two entries, and a second entry of an unknown type", () => {
    assert.deepEqual(read({ extensions: [serverNames("pypi.org", "evil.example")] }).sni, {
      kind: "invalid",
      defect: "two_names",
    });
    assert.deepEqual(sni(vector(2, bytes(entry(0, ascii("pypi.org")), entry(1, ascii("x"))))), {
      kind: "invalid",
      defect: "two_names",
    });
  });

  test("empty, over-long, NUL, non-ASCII, trailing bytes, short lists, other types", () => {
    const cases: [Uint8Array, string][] = [
      [bytes(), "syntax"],
      [bytes(0), "syntax"],
      [bytes(0, 0), "empty"],
      [bytes(0, 2, 0, 0), "syntax"],
      [vector(2, entry(0, bytes())), "empty"],
      [vector(2, entry(0, ascii("a".repeat(256)))), "too_long"],
      [vector(2, entry(0, ascii("pypi.org\0.evil.example"))), "not_ascii"],
      [vector(2, entry(0, bytes(0xc3, 0xa4, 0x2e, 0x64, 0x65))), "not_ascii"],
      [vector(2, entry(0, ascii("pypi.org evil"))), "not_ascii"],
      [bytes(vector(2, entry(0, ascii("pypi.org"))), 0), "trailing_bytes"],
      [bytes(0, 12, entry(0, ascii("pypi.org"))), "syntax"],
      [vector(2, bytes(0, 0, 9, ascii("pypi.org"))), "syntax"],
      [vector(2, entry(1, ascii("pypi.org"))), "not_host_name"],
    ];
    for (const [data, defect] of cases) assert.deepEqual(sni(data), { kind: "invalid", defect });
  });

  test("two server_name extensions: servers disagree which counts, so neither does", () => {
    assert.equal(
      refusal({ extensions: [serverNames("pypi.org"), serverNames("evil.example")] }),
      "duplicate_extension",
    );
    assert.equal(
      refusal({ extensions: [filler(21, 1), serverNames("pypi.org"), filler(21, 1)] }),
      "duplicate_extension",
    );
  });
});

describe("the rest of the hello", () => {
  test("the highest version offered, GREASE and unknown ones left out", () => {
    const version = (legacyVersion: number, ...offered: number[]) =>
      read({ legacyVersion, extensions: offered.length === 0 ? [] : [supportedVersions(...offered)] }).version;
    assert.equal(version(0x0303, 0x0303, 0xfafa, 0x0304), "TLS 1.3");
    assert.equal(version(0x0303, 0xfafa, 0x0302), "TLS 1.1");
    assert.equal(version(0x0303, 0x7f17, 0x7f1c), "TLS 1.3 draft 28");
    assert.equal(version(0x0303, 0xfafa), null);
    assert.equal(version(0x0301), "TLS 1.0");
    // Without the extension nothing above 1.2 can be negotiated (RFC 8446 section 4.2.1).
    assert.equal(version(0x0304), "TLS 1.2");
  });

  test("N8: Encrypted Client Hello and its ancestor ESNI are seen", () => {
    assert.equal(read({}).ech, false);
    for (const type of [0xfe0d, 0xffce]) {
      assert.equal(read({ extensions: [serverNames("pypi.org"), filler(type, 100)] }).ech, true);
    }
  });

  test("N10: early data is seen", () => {
    assert.equal(read({ extensions: [filler(42, 0)] }).earlyData, true);
    assert.equal(read({}).earlyData, false);
  });

  test("ALPN is bounded and cannot carry control characters into a record", () => {
    const hello = read({ extensions: [alpn("h2", "\u001b[2J\n", ...Array.from({ length: 40 }, (_, i) => `p${i}`))] });
    assert.equal(hello.alpn.length, maxAlpn);
    assert.deepEqual(hello.alpn.slice(0, 2), ["h2", "\\x1b[2J\\x0a"]);
  });

  test("defects of the message", () => {
    const many = Array.from({ length: maxExtensions + 1 }, (_, i) => filler(0x1000 + i, 0));
    const cases: [HelloParts, string][] = [
      [{ legacyVersion: 0x0203 }, "hello_version"],
      [{ sessionId: new Uint8Array(33) }, "session_id_length"],
      [{ cipherSuites: [] }, "cipher_suites_length"],
      [{ compression: [] }, "compression_methods_length"],
      [{ trailing: bytes(0) }, "hello_trailing_bytes"],
      [{ extensions: null, trailing: bytes(0) }, "hello_truncated"],
      [{ extensions: null, trailing: bytes(0, 5, 0) }, "hello_truncated"],
      [{ extensions: null, trailing: vector(2, bytes(0, 0, 0)) }, "extensions_length"],
      [{ extensions: null, trailing: vector(2, bytes(0, 0, 0, 9, 1)) }, "extensions_length"],
      [{ extensions: many }, "too_many_extensions"],
      [{ extensions: [filler(16, 3)] }, "alpn_syntax"],
      [{ extensions: [[16, vector(2, bytes(3, 0x68, 0x32))]] }, "alpn_syntax"],
      [{ extensions: [[43, bytes(3, 3, 4, 3)]] }, "supported_versions_syntax"],
      [{ extensions: [[13, bytes(0, 1, 4)]] }, "signature_algorithms_syntax"],
      [{ extensions: [filler(41, 2), serverNames("pypi.org")] }, "psk_not_last"],
    ];
    for (const [parts, defect] of cases) assert.equal(refusal(parts), defect);
  });

  test("a message that ends early anywhere inside is never a hello", () => {
    const message = buildHello({ extensions: [serverNames("pypi.org"), alpn("h2")] });
    const withoutExtensions = buildHello({ extensions: null }).length;
    for (let size = 4; size < message.length; size++) {
      const short = message.slice(0, size);
      short[2] = (size - 4) >> 8;
      short[3] = (size - 4) & 255;
      const result = parseTls(records(short));
      // A hello may end before its extensions: that is the form of the oldest clients.
      assert.equal(result.state, size === withoutExtensions ? "hello" : "malformed", `${size} bytes`);
    }
  });
});
