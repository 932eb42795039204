/**
 * N4: a server never serves another host than we read. Connections made of what smuggling is made of go to a real server (Node's
 * llhttp, strict and with every leniency on) and to our reader. For each request that the server hands to its application, ours
 * names the same host, method and target, or we have refused the connection before it.
 */
import assert from "node:assert/strict";
import http from "node:http";
import { Duplex } from "node:stream";
import { connections, plainConnections } from "../../../test/http/requests.arbitrary.ts";
import { fuzzTarget } from "../../../test/support/fuzz.ts";
import { canonicalName } from "../../address/name.ts";
import { RequestStream } from "./request-stream.ts";

interface Served {
  method: string;
  target: string;
  /** As the application reads it: the first Host field. */
  host: string | null;
}

function makeServer(insecureHTTPParser: boolean) {
  const server = http.createServer({ insecureHTTPParser, requireHostHeader: false });
  let seen: Served[] = [];
  const note = ({ method, url, headers }: http.IncomingMessage) =>
    seen.push({ method: method!, target: url!, host: headers.host ?? null });
  for (const event of ["request", "checkContinue", "checkExpectation"] as const) {
    server.on(event, (request: http.IncomingMessage, response: http.ServerResponse) => {
      note(request);
      request.resume();
      response.end();
    });
  }
  server.on("connect", (request, socket) => {
    note(request);
    socket.destroy();
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  return async (bytes: Uint8Array): Promise<Served[]> => {
    seen = [];
    const wire = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(), final: (done) => done() });
    wire.on("error", () => {});
    server.emit("connection", wire);
    wire.push(bytes);
    // Pipelined requests are handed on one by one, each when the one before it is answered.
    for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
    wire.destroy();
    return seen;
  };
}

const strict = makeServer(false);
const lenient = makeServer(true);

/** The authority of an absolute or authority-form target, or null. */
const authorityOf = ({ method, target }: Served) =>
  method === "CONNECT" ? target : (/^https?:\/\/([^/?#]*)/i.exec(target)?.[1] ?? null);

const nameOf = (authority: string) => canonicalName(authority.trim().replace(/:[0-9]*$/, ""));

/**
 * What we refuse and one of the two servers takes. Each is a leniency that other servers do not share, and so a place where two
 * readers of the same bytes part (RFC 9112 section 11.2).
 */
const stricter = {
  // More than one space in the request line, HTTP/1.2, an empty line before the request: not HTTP to us.
  stricter_not_http: true,
  // A request line or field that ends in LF alone, or in CR and something else.
  stricter_request_line: true,
  stricter_bare_lf: true,
  stricter_bare_cr: true,
  // Joined to the line above by llhttp, and dropped or ended by others.
  stricter_folded_line: true,
  stricter_field_name: true,
  stricter_field_value: true,
  // A fragment, or no form of RFC 9112 section 3.2.
  stricter_target: true,
  // Length and coding at once, a body where none may be, codings besides chunked or in HTTP/1.0, two lengths or a strange one.
  stricter_two_framings: true,
  stricter_connect_body: true,
  stricter_transfer_encoding: true,
  stricter_content_length: true,
  stricter_chunk_syntax: true,
  stricter_forbidden_trailer: true,
  // Hosts: llhttp hands the application any text; applications split it each in their own way.
  stricter_host_disagrees: true,
  stricter_two_hosts: true,
  stricter_empty: true,
  stricter_empty_label: true,
  stricter_bad_character: true,
  stricter_ip_literal: true,
  stricter_port: true,
  stricter_userinfo: true,
} as const;

/** `fewer`: the server refused what we could read. `opaque`: we had stopped reading, and whoever asks is refused. */
type Word = "same" | "fewer" | "we_wait" | "opaque" | "no_host" | keyof typeof stricter;

function compare(bytes: Uint8Array, served: readonly Served[]): Word {
  const stream = new RequestStream();
  const { requests, defect, opaque } = stream.push(bytes);
  for (const [i, theirs] of served.entries()) {
    const ours = requests[i];
    if (ours === undefined) {
      if (defect !== null) return `stricter_${defect.detail ?? defect.state}` as Word;
      if (opaque !== null) return "opaque";
      assert.ok(stream.midHead, `request ${i} was not seen`);
      return "we_wait";
    }
    // Refused, so nothing hangs on the target: llhttp takes the version for it where CONNECT has none.
    if (ours.host.kind === "invalid") return `stricter_${ours.host.defect}` as Word;
    assert.equal(ours.method, theirs.method);
    assert.equal(ours.target, theirs.target);
    const authority = authorityOf(theirs);
    if (ours.host.kind === "none") {
      assert.deepEqual([theirs.host, authority], [null, null]);
      return "no_host";
    }
    assert.ok(theirs.host !== null || authority !== null);
    for (const name of [theirs.host, authority]) if (name !== null) assert.equal(nameOf(name), ours.host.name);
  }
  return served.length === requests.length ? "same" : "fewer";
}

fuzzTarget<Word>({
  name: "http-server",
  grammar: [connections, plainConnections],
  outcomes: { same: true, fewer: true, we_wait: true, opaque: true, no_host: true, ...stricter },
  rare: ["we_wait", "stricter_content_length", "stricter_chunk_syntax"],
  check: async (bytes) => {
    const word = compare(bytes, await strict(bytes));
    const other = compare(bytes, await lenient(bytes));
    return word === "same" || word === "fewer" ? other : word;
  },
});
