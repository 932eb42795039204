/**
 * Promises about the other sinks: what a file, a webhook, an OpenTelemetry collector and a Splunk collector get is what they
 * expect, secrets go where they belong and nowhere else, and only what they say they have counts as taken.
 */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { execFileSync } from "node:child_process";
import https from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { join } from "node:path";
import { test } from "node:test";
import { temporary } from "../../audit/test-support.ts";
import { DeliveryFailure } from "../failure.ts";
import { Peer } from "../testing/peer.ts";
import { outgoing } from "../testing/record.ts";
import { FileSink } from "./file.ts";
import { OtlpSink } from "./otlp.ts";
import { SplunkSink } from "./splunk.ts";
import { WebhookSink } from "./webhook.ts";

const named = { name: "sink", kinds: null, tls: {} };
const records = [1, 2, 3].map((seq) =>
  outgoing({ verdict: "deny", destination: { name: `é"\n${seq}.example`, name_from: "sni", protocol: "tls" } }, seq),
);
const soon = () => AbortSignal.timeout(5_000);

test("a file has each record on a line of its own, also after a torn one, and when it was renamed away", async () => {
  const path = join(temporary(), "out.ndjson");
  const sink = new FileSink({ ...named, to: "file", path, format: "native" });
  await sink.deliver(records, soon());
  appendFileSync(path, '{"torn":');
  await sink.deliver(records.slice(0, 1), soon());
  const lines = readFileSync(path, "utf8").split("\n");
  assert.deepEqual(lines, [...records.map(({ line }) => line), '{"torn":', records[0]!.line, ""]);
  renameSync(path, `${path}.1`);
  await sink.deliver(records, soon());
  assert.equal(readFileSync(path, "utf8"), records.map(({ line }) => `${line}\n`).join(""));
});

test("what is no file is refused at once: a pipe without a reader, a folder, a link", async () => {
  const folder = temporary();
  const sinkAt = (path: string) =>
    new FileSink({ ...named, to: "file", path, format: "native" }).deliver(records, soon());
  execFileSync("mkfifo", [join(folder, "pipe")]);
  await assert.rejects(sinkAt(join(folder, "pipe")), /is not a file|ENXIO/);
  mkdirSync(join(folder, "folder"));
  await assert.rejects(sinkAt(join(folder, "folder")), /EISDIR/);
  symlinkSync(join(folder, "elsewhere"), join(folder, "link"));
  await assert.rejects(sinkAt(join(folder, "link")), /ELOOP/);
  assert.ok(!existsSync(join(folder, "elsewhere")));
  await assert.rejects(sinkAt(join(folder, "missing/out")), /ENOENT/);
});

test("a webhook gets the record's own lines, byte for byte, with the headers it asked for", async () => {
  const peer = await Peer.start();
  const headers = { authorization: "Bearer s3cret" };
  const sink = new WebhookSink({ ...named, to: "webhook", url: peer.url, headers, format: "native" });
  await sink.deliver(records, soon());
  assert.equal(peer.asked[0]!.body, records.map(({ line }) => `${line}\n`).join(""));
  assert.equal(peer.asked[0]!.headers.authorization, "Bearer s3cret");
  assert.ok(!sink.to.includes("in") && sink.to.startsWith("http://127.0.0.1:"));
  sink.close();
  await peer.close();
});

test("a secret that an answer repeats is in no error: of a header, its word, a query or a path", async () => {
  const echo = ({ headers, path }: { headers: object; path: string }) => JSON.stringify({ no: "entry", path, headers });
  const peer = await Peer.start((asked, response) => void response.writeHead(401).end(echo(asked)));
  const token = "hook0123456789abcdef";
  const url = `${peer.url}/${token}?key=q-s3cret-value`;
  const headers = { authorization: "Bearer b-s3cret-token", "x-api-key": "k-s3cret key two" };
  const webhook = new WebhookSink({ ...named, to: "webhook", url, headers, format: "native" });
  const splunk = { index: null, source: null, acknowledge: false, format: "native" } as const;
  const sinks = [webhook, new SplunkSink({ ...named, to: "splunk", url: peer.url, token: "t-s3cret-hec", ...splunk })];
  for (const sink of sinks) {
    const error = await sink.deliver(records, soon()).catch((reason: Error) => reason);
    assert.match(String(error), /answered 401: {"no":"entry"/);
    assert.doesNotMatch(String(error), /s3cret|hook0123/);
    sink.close();
  }
  const otlp = new OtlpSink({ ...named, to: "otlp", url: peer.url, headers });
  const errorMessage = "no entry for b-s3cret-token";
  peer.answer = (_, response) =>
    void response.end(JSON.stringify({ partialSuccess: { rejectedLogRecords: 1, errorMessage } }));
  assert.deepEqual(await otlp.deliver(records, soon()), { rejected: 1, message: "no entry for (secret)" });
  otlp.close();
  await peer.close();
});

test("an endless answer is not read to its end", async () => {
  const peer = await Peer.start((_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("x".repeat(32 * 1024)), 1);
    response.on("close", () => clearInterval(timer));
  });
  const sink = new WebhookSink({ ...named, to: "webhook", url: peer.url, headers: {}, format: "native" });
  await sink.deliver(records, soon());
  sink.close();
  await peer.close();
});

test("HTTPS: the authority that was named is the one that is trusted, and our certificate is shown", async () => {
  const folder = temporary();
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  openssl(
    "req",
    "-x509",
    ...curve,
    "-keyout",
    "key",
    "-out",
    "cert",
    "-subj",
    "/CN=s",
    "-addext",
    "subjectAltName=IP:127.0.0.1",
  );
  openssl("req", "-x509", ...curve, "-keyout", "other.key", "-out", "other", "-subj", "/CN=other");
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  const shown: unknown[] = [];
  const options = {
    cert: read("cert"),
    key: read("key"),
    ca: read("other"),
    requestCert: true,
    rejectUnauthorized: true,
  };
  const server = https.createServer(options, (request, response) => {
    shown.push((request.socket as TLSSocket).getPeerCertificate().subject.CN);
    request.resume().on("end", () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/in`;
  const sinkWith = (tls: object) =>
    new WebhookSink({ ...named, to: "webhook", url, headers: {}, tls, format: "native" });
  const ours = { cert: read("other"), key: read("other.key") };
  await sinkWith({ ca: read("cert"), ...ours }).deliver(records, soon());
  assert.deepEqual(shown, ["other"]);
  await assert.rejects(sinkWith(ours).deliver(records, soon()), /self-signed/);
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  try {
    await assert.rejects(sinkWith(ours).deliver(records, soon()), /self-signed/, "a variable switches no check off");
  } finally {
    delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
  }
  await assert.rejects(
    sinkWith({ ca: read("other"), ...ours }).deliver(records, soon()),
    /self-signed|unable to verify/,
  );
  await assert.rejects(sinkWith({ ca: read("cert") }).deliver(records, soon()));
  assert.equal(shown.length, 1);
  server.closeAllConnections();
  server.close();
});

test("a kept connection that the server has ended meanwhile is no failure", async () => {
  const peer = await Peer.start((_, response) => void response.setHeader("connection", "keep-alive"));
  const sink = new WebhookSink({ ...named, to: "webhook", url: peer.url, headers: {}, tls: {}, format: "native" });
  await sink.deliver(records, soon());
  peer.answer = ({ number }, _, request) => {
    if (number === 2) request.socket.resetAndDestroy();
  };
  await sink.deliver(records, soon());
  assert.equal(peer.asked.length, 3);
  sink.close();
  await peer.close();
});

test("OTLP: the protocol's JSON, with numbers as it wants them; refused records are counted and not sent again", async () => {
  const peer = await Peer.start();
  const sink = new OtlpSink({ ...named, to: "otlp", url: peer.url, headers: {} });
  assert.equal(await sink.deliver(records, soon()), undefined);
  const { resourceLogs } = JSON.parse(peer.asked[0]!.body) as never as {
    resourceLogs: { scopeLogs: { logRecords: Record<string, never>[] }[]; resource: { attributes: object[] } }[];
  };
  assert.ok(resourceLogs[0]!.resource.attributes.some((each) => JSON.stringify(each).includes("service.name")));
  const [log] = resourceLogs[0]!.scopeLogs[0]!.logRecords;
  assert.deepEqual(
    [log!["timeUnixNano"], log!["severityNumber"], log!["severityText"], log!["eventName"]],
    ["1777885951204518000", 13, "WARN", "sallyport.connection"],
  );
  assert.deepEqual(log!["body"], { stringValue: records[0]!.line });
  const attributes: { key: string }[] = log!["attributes"]!;
  assert.deepEqual(
    attributes.find(({ key }) => key === "sallyport.seq"),
    { key: "sallyport.seq", value: { intValue: "1" } },
  );

  const partial = { partialSuccess: { rejectedLogRecords: "2", errorMessage: "too old" } };
  peer.answer = (_, response) => void response.end(JSON.stringify(partial));
  assert.deepEqual(await sink.deliver(records, soon()), { rejected: 2, message: "too old" });
  sink.close();
  await peer.close();
});

test("Splunk: taken when the indexers have it, and not before", async () => {
  let asked = 0;
  const peer = await Peer.start(({ path, body }, response) => {
    if (path === "/services/collector/event") return void response.end('{"text":"Success","code":0,"ackId":7}');
    assert.deepEqual(JSON.parse(body), { acks: [7] });
    response.end(`{"acks":{"7":${++asked >= 3}}}`);
  });
  const token = { token: "t0ken", index: "main", source: null };
  const config = {
    ...named,
    ...token,
    to: "splunk" as const,
    url: peer.url,
    acknowledge: true,
    format: "native" as const,
  };
  const sink = new SplunkSink(config);
  await sink.deliver(records, soon());
  assert.equal(asked, 3);
  const [event] = peer.asked;
  assert.equal(event!.headers.authorization, "Splunk t0ken");
  assert.match(String(event!.headers["x-splunk-request-channel"]), /^[0-9a-f-]{36}$/);
  const envelopes = event!.body.split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(envelopes.length, 3);
  assert.partialDeepStrictEqual(envelopes[0], {
    time: 1777885951.204518,
    index: "main",
    source: "sallyport",
    sourcetype: "sallyport:native",
    event: { seq: 1, verdict: "deny" },
  });
  // Byte for byte: a hash that is kept there proves the line.
  const odd = outgoing({ kind: "lifecycle", message: "x", data: { b: 1, 10: 2, 9: 3 } });
  const line = odd.line.replace('"9":3,"10":2,"b":1', '"b":1,"10":2,"9":3');
  assert.notEqual(line, odd.line);
  asked = 0;
  await sink.deliver([{ ...odd, line }], soon());
  assert.ok(peer.asked.some(({ body }) => body.endsWith(`,"event":${line}}`)));
  asked = Number.NEGATIVE_INFINITY;
  await assert.rejects(sink.deliver(records, AbortSignal.timeout(1_500)));
  peer.answer = (_, response) => void response.end('{"text":"Success","code":0}');
  await assert.rejects(sink.deliver(records, soon()), DeliveryFailure);
  const without = new SplunkSink({ ...config, acknowledge: false });
  await without.deliver(records, soon());
  without.close();
  sink.close();
  await peer.close();
});
