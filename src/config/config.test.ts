/**
 * Promises about `sallyport.config.yaml`: what loads has every default and every secret; what does not is told with its place
 * and what to write instead; a secret that stands in the file is refused and never repeated.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadSigningKey, makeKeyPair } from "../audit/key.ts";
import { SallyportError } from "../errors.ts";
import { loadConfig, type Secrets } from "./config.ts";
import { noRecordConfig } from "./record.ts";

const work = mkdtempSync(join(tmpdir(), "sallyport-config-"));
after(() => rmSync(work, { recursive: true, force: true }));

assert.notEqual(makeKeyPair(join(work, "record.key")).id, "");
const owner = loadSigningKey(join(work, "record.key"));

const secrets: Secrets = {
  signingKey: (path) => {
    if (path === "record.key") return { file: path, key: owner };
    throw new SallyportError("KEY_UNUSABLE", `The key ${path} cannot be used: it is no key file.`);
  },
  readFile: (path) => {
    if (path === "token") return "s3cret\n";
    if (path === "lines") return "one\ntwo\n";
    if (path === "ca.pem") return "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n";
    throw Object.assign(new Error("no"), { code: "ENOENT" });
  },
  variable: (name) => (name === "HOOK" ? "Bearer abc" : undefined),
};

/** Each problem as one line: `line:column: message. fix`. */
function problemsOf(text: string): string[] {
  const loaded = loadConfig(text, "c.yaml", secrets);
  assert.ok("problems" in loaded, "it loads");
  return loaded.problems.map(({ line, column, message, fix }) => `${line}:${column}: ${message}. ${fix}`);
}

const sink = (keys: string) => `version: 1\nexport:\n  - { name: s, ${keys} }\n`;

test("a file with a sink of each kind loads, with defaults and secrets", () => {
  const text = `version: 1
metrics: 9464
export:
  - { name: local, to: file, path: /var/log/sallyport.ndjson }
  - { name: hook, to: webhook, url: "https://siem.example/in", headers: { Authorization: { env: HOOK } }, format: ocsf }
  - { name: central, to: syslog, address: "tls://[2001:db8::1]:6514", facility: authpriv, kinds: [connection, dns] }
  - { name: otel, to: otlp, url: "http://127.0.0.1:4318/v1/logs" }
  - { name: splunk, to: splunk, url: "https://hec.example:8088", token: { file: token }, acknowledge: true }
`;
  const loaded = loadConfig(text, "c.yaml", secrets);
  assert.deepEqual("problems" in loaded ? loaded.problems : [], []);
  assert.deepEqual(loaded, {
    file: "c.yaml",
    metrics: { host: "127.0.0.1", port: 9464 },
    record: noRecordConfig,
    sinks: [
      { name: "local", kinds: null, to: "file", path: "/var/log/sallyport.ndjson", format: "native" },
      {
        ...{ name: "hook", kinds: null, to: "webhook", url: "https://siem.example/in", format: "ocsf" },
        ...{ headers: { authorization: "Bearer abc" }, tls: {} },
      },
      {
        ...{ name: "central", kinds: ["connection", "dns"], to: "syslog", transport: "tls", host: "2001:db8::1" },
        ...{ port: 6514, facility: 10, tls: {}, format: "native" },
      },
      { name: "otel", kinds: null, to: "otlp", url: "http://127.0.0.1:4318/v1/logs", headers: {}, tls: {} },
      {
        ...{ name: "splunk", kinds: null, to: "splunk", url: "https://hec.example:8088", token: "s3cret" },
        ...{ index: null, source: null, acknowledge: true, tls: {}, format: "native" },
      },
    ],
  });
  assert.deepEqual(loadConfig("version: 1\n", "c.yaml", secrets), {
    ...{ file: "c.yaml", metrics: null, record: noRecordConfig, sinks: [] },
  });
});

test("the record's section: every key, with where it stands", () => {
  const text = `version: 1
record:
  sign_key: record.key
  segment_size: 16 MiB
  segment_age: 12h
  keep_for: 90d
  keep_size: 10 GiB
`;
  const loaded = loadConfig(text, "c.yaml", secrets);
  assert.ok(!("problems" in loaded), JSON.stringify(loaded));
  assert.deepEqual(loaded.record, {
    signing: { file: "record.key", key: owner },
    segmentBytes: 16 * 2 ** 20,
    segmentAgeMs: 12 * 3_600_000,
    keepMs: 90 * 24 * 3_600_000,
    keepBytes: 10 * 2 ** 30,
    lines: { sign_key: 3, segment_size: 4, segment_age: 5, keep_for: 6, keep_size: 7 },
  });
});

const record = (keys: string) => `version: 1\nrecord: { ${keys} }\n`;

describe("what is wrong has its place and its fix", () => {
  const cases: [string, string, RegExp][] = [
    ["no version", "metrics: 9464\n", /^1:1: version is missing\. Write 1\.$/],
    [
      "a metrics address that is a name",
      "version: 1\nmetrics: localhost:9464\n",
      /^2:10: localhost:9464 is not \[ADDRESS:\]PORT/,
    ],
    [
      "an unknown key",
      sink("to: file, path: /x, fomat: cef"),
      /^3:\d+: unknown key “fomat” in sink “s”\. Did you mean format\?$/,
    ],
    [
      "a kind that does not exist",
      sink("to: webhok, url: x"),
      /^3:\d+: to of sink “s” has the wrong form\. Write one of: file, webhook/,
    ],
    [
      "an event kind that does not exist",
      sink("to: file, path: /x, kinds: [dsn]"),
      /kinds\.0 of sink “s” must be connection or dns/,
    ],
    [
      "a path that is not absolute",
      sink("to: file, path: x"),
      /^3:\d+: path of sink “s”: the path is not absolute\. Begin it with \/\.$/,
    ],
    ["a URL that is a number", sink("to: webhook, url: 5"), /url of sink “s” has the wrong form\. Write https:/],
    ["no URL", sink("to: webhook, url: siem.example"), /url of sink “s”: not a URL of HTTP/],
    ["another scheme", sink("to: webhook, url: 'ftp://siem.example'"), /url of sink “s”: not a URL of HTTP/],
    ["a password in a URL", sink("to: webhook, url: 'https://u:p@siem.example'"), /the URL holds a user or a password/],
    [
      "a secret over plain HTTP",
      sink("to: splunk, url: 'http://hec.example', token: { file: token }"),
      /secrets would cross the network unencrypted/,
    ],
    [
      "a collector's path",
      sink("to: splunk, url: 'https://a.example/splunk/', token: { file: token }"),
      /url of sink “s”: the collector's paths are known; this one would be left out\. Write https:\/\/HOST:8088 alone/,
    ],
    [
      "a header of ours",
      sink("to: webhook, url: 'https://a.example', headers: { Host: { env: HOOK } }"),
      /Host is not a header that can be set/,
    ],
    [
      "a secret of two lines",
      sink("to: webhook, url: 'https://a.example', headers: { a: { file: lines } }"),
      /the secret is not one line of ASCII/,
    ],
    [
      "a variable that is not set",
      sink("to: webhook, url: 'https://a.example', headers: { a: { env: NONE } }"),
      /the variable NONE is not set/,
    ],
    [
      "a file that is not there",
      sink("to: splunk, url: 'https://a.example', token: { file: none }"),
      /none cannot be read \(ENOENT\)/,
    ],
    [
      "a certificate without a key",
      sink("to: syslog, address: 'tls://a.example:6514', certificate: ca.pem"),
      /a certificate and its key go together/,
    ],
    [
      "an authority that is no PEM",
      sink("to: syslog, address: 'tls://a.example:6514', ca: ca.pem"),
      /ca\.pem is not PEM/,
    ],
    [
      "an authority without TLS",
      sink("to: syslog, address: 'tcp://a.example:514', ca: ca.pem"),
      /ca is for tls:\/\/ alone/,
    ],
    [
      "a syslog address without a port",
      sink("to: syslog, address: 'tcp://a.example'"),
      /not an address of a syslog server/,
    ],
    [
      "two names that differ in case alone",
      "version: 1\nexport:\n  - { name: a, to: file, path: /x }\n  - { name: A, to: file, path: /y }\n",
      /^4:13: two sinks are called “A”/,
    ],
    [
      "a name that is a path",
      "version: 1\nexport:\n  - { name: ../a, to: file, path: /x }\n",
      /a name is letters, digits/,
    ],
    [
      "a key of the record that does not exist",
      record("keep_fro: 90d"),
      /^2:11: unknown key “keep_fro” in record\. Did you mean keep_for\?$/,
    ],
    [
      "a time without a unit",
      record("keep_for: 90"),
      /^2:21: record\.keep_for: not a length of time\. Write 12h or 90d/,
    ],
    ["no time at all", record("keep_for: 0d"), /^2:21: record\.keep_for: not a length of time/],
    ["a list for a size", record("keep_size: []"), /^2:22: record\.keep_size has the wrong form\. Write 10 GiB\.$/],
    [
      "a size without a unit",
      record("keep_size: 10"),
      /^2:22: record\.keep_size: not an amount of data\. Write 500 MB/,
    ],
    [
      "less than could be kept to",
      record("keep_size: 100 MB"),
      /^2:22: record\.keep_size: less than two segments of 64 MiB\. Write 128 MiB or more, or a smaller segment_size\.$/,
    ],
    [
      "segments of nothing",
      record("segment_size: 1 kB"),
      /^2:25: record\.segment_size: out of range\. Write 1 MiB to 1 GiB\.$/,
    ],
    [
      "segments of seconds",
      record("segment_age: 5s"),
      /^2:24: record\.segment_age: out of range\. Write 1m to 366d\.$/,
    ],
    [
      "a key that cannot sign",
      record("sign_key: none"),
      /^2:21: record\.sign_key: The key none cannot be used: it is no key file\. .*keygen/,
    ],
  ];
  for (const [name, text, expected] of cases) {
    test(name, () => {
      const problems = problemsOf(text);
      assert.ok(
        problems.some((problem) => expected.test(problem)),
        problems.join("\n"),
      );
    });
  }
});

test("a URL that is a secret itself comes from the environment, and is shown without its path", () => {
  const from = { ...secrets, variable: () => "https://hooks.example/T0/s3cret" };
  const loaded = loadConfig(sink("to: webhook, url: { env: HOOK_URL }"), "c.yaml", from);
  assert.ok(!("problems" in loaded));
  assert.partialDeepStrictEqual(loaded.sinks[0], { url: "https://hooks.example/T0/s3cret" });
});

describe("sallyport config check", () => {
  const main = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
  const check = (text: string, ...args: string[]) => {
    const file = join(work, "sallyport.config.yaml");
    writeFileSync(file, text);
    const given = ["--disable-warning=ExperimentalWarning", main, "config", "check", file, ...args];
    return spawnSync(process.execPath, given, { encoding: "utf8", env: { ...process.env, HOOK: "Bearer abc" } });
  };

  test("a secret in the file is refused, and printed nowhere", () => {
    const text = sink('to: webhook, url: "https://siem.example", headers: { authorization: "Bearer t0psecret" }');
    for (const args of [[], ["--json"]]) {
      const { status, stdout, stderr } = check(text, ...args);
      assert.equal(status, 2);
      assert.match(stdout + stderr, /secrets are named, not written here/);
      assert.doesNotMatch(stdout + stderr, /t0psecret/);
    }
  });

  test("a good file: exit 0, its sinks, relative files from where it is, and no secret", () => {
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=x",
        "-days",
        "2",
      ],
      { cwd: work, stdio: "pipe" },
    );
    writeFileSync(join(work, "token"), "t0psecret\n");
    assert.ok(readFileSync(join(work, "ca.pem"), "utf8").includes("BEGIN CERTIFICATE"));
    const keys = "to: syslog, address: 'tls://log.example:6514', ca: ca.pem, certificate: ca.pem, key: key.pem";
    const kept = "record: { sign_key: record.key, keep_for: 90d }\n";
    const text = `${sink(keys).replace("export", `${kept}export`)}  - { name: hec, to: splunk, url: 'https://hec.example', token: { file: token } }\n`;
    const { status, stdout, stderr } = check(text);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(
      stdout,
      /: fine: sinks s \(syslog\), hec \(splunk\); record sign_key \(key [0-9a-f]{16}\), keep_for\n$/,
    );
    const json = check(text, "--json");
    assert.deepEqual((JSON.parse(json.stdout) as { sinks: unknown }).sinks, [
      { name: "s", to: "syslog" },
      { name: "hec", to: "splunk" },
    ]);
    assert.partialDeepStrictEqual(JSON.parse(json.stdout), {
      record: { sign_key: { id: owner.id }, keep_ms: 90 * 24 * 3_600_000, keep_bytes: null },
    });
    assert.doesNotMatch(json.stdout, /t0psecret|PRIVATE/);
  });

  test("a file that is not there is an error of its own", () => {
    const given = ["--disable-warning=ExperimentalWarning", main, "config", "check", join(work, "none.yaml")];
    const { status, stderr } = spawnSync(process.execPath, given, { encoding: "utf8" });
    assert.equal(status, 2);
    assert.match(stderr, /CONFIG_UNREADABLE/);
  });
});
