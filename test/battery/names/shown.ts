/** Row N5: names that are none, or only look like an allowed one. Hellos are built byte by byte where no client sends them. */
import { bytes, buildHello, records, vector, type Extension } from "../../wire/hello.ts";
import type { Attack } from "../case.ts";
import { hello, refused } from "../refusals.ts";
import type { Job } from "../job.ts";

const kind = "attack";

/** Sends bytes on a connection to the shared address, and waits whether anything comes back. */
export const sendBytes = `
const [, host, hex] = process.argv;
const socket = require("net").connect({ host, port: 443 }, () => socket.write(Buffer.from(hex, "hex")));
socket.on("error", () => process.exit()).on("data", () => process.exit()).on("close", () => process.exit());
setTimeout(() => process.exit(), 1500);`;

const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
/** A server_name extension with entries of these bytes. */
const entries = (...names: Uint8Array[]): Extension => [
  0,
  vector(2, bytes(...names.map((name) => bytes(0, vector(2, name))))),
];
/** Where the marker is: in the session id, which every server reads. */
const marked = (marker: string, ...extensions: Extension[]): Uint8Array =>
  records(buildHello({ sessionId: utf8(marker.padEnd(32, "-")), extensions }));

function raw(variant: string, extensions: Extension[], refusal: Attack["refusal"]): Attack {
  return {
    kind,
    row: "N5",
    variant,
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.node(sendBytes, [job.dot(10), Buffer.from(marked(marker, ...extensions)).toString("hex")]);
    },
    refusal,
  };
}

/** OpenSSL's client, with the marker behind the handshake. */
function client(variant: string, args: string[], refusal: Attack["refusal"]): Attack {
  return {
    kind,
    row: "N5",
    variant,
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.tls(`${job.at(10)}:443`, args, marker);
    },
    refusal,
  };
}

const none = (reason: string) => (job: Job) => refused(reason, { ip: job.dot(10), port: 443, protocol: "tls" }, "name");

export const shownCases: Attack[] = [
  client("no SNI", ["-noservername"], none("missing_name")),
  client("an IP literal as SNI", ["-servername", "203.0.113.10"], none("invalid_name")),
  client("an IPv6 literal as SNI", ["-servername", "2001:db8:200::10"], none("invalid_name")),
  client(
    "the attacker's domain behind an allowed name",
    ["-servername", "allowed.example.evil.example"],
    hello("allowed.example.evil.example"),
  ),
  client("text in front of an allowed name", ["-servername", "evilallowed.example"], hello("evilallowed.example")),
  client("an allowed name without its last label", ["-servername", "allowed"], none("default")),
  client("the apex of an allowed wildcard", ["-servername", "wild.example"], hello("wild.example")),
  client("a look-alike in A-labels", ["-servername", "xn--llowed-4nf.example"], hello("xn--llowed-4nf.example")),
  client("an escaped dot", ["-servername", "allowed\\.example"], none("invalid_name")),
  raw("an empty SNI", [entries(utf8(""))], none("invalid_name")),
  raw("an SNI without entries", [[0, vector(2, bytes())]], none("invalid_name")),
  raw(
    "two entries, the allowed name first",
    [entries(utf8("allowed.example"), utf8("evil.example"))],
    none("invalid_name"),
  ),
  raw(
    "two entries, the attacker's first",
    [entries(utf8("evil.example"), utf8("allowed.example"))],
    none("invalid_name"),
  ),
  raw(
    "two server_name extensions",
    [entries(utf8("allowed.example")), entries(utf8("evil.example"))],
    none("malformed"),
  ),
  raw("a NUL behind the allowed name", [entries(utf8("allowed.example\0.evil.example"))], none("invalid_name")),
  raw("a NUL before it", [entries(utf8("evil.example\0allowed.example"))], none("invalid_name")),
  raw("two dots at the end", [entries(utf8("allowed.example.."))], none("invalid_name")),
  raw("a space behind it", [entries(utf8("allowed.example "))], none("invalid_name")),
  raw("a look-alike in Unicode", [entries(utf8("аllowed.example"))], none("invalid_name")),
  raw("full-width letters", [entries(utf8("ａllowed.example"))], none("invalid_name")),
  raw(
    "a name of another type than host_name",
    [[0, vector(2, bytes(1, vector(2, utf8("allowed.example"))))]],
    none("invalid_name"),
  ),
  raw(
    "a length that reaches past the extension",
    [[0, bytes(0, 40, 0, 0, 15, utf8("allowed.example"))]],
    none("invalid_name"),
  ),
  raw(
    "bytes behind the list of names",
    [[0, bytes(vector(2, bytes(0, vector(2, utf8("allowed.example")))), utf8("evil.example"))]],
    none("invalid_name"),
  ),
];
