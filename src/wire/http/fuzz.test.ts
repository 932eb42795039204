/**
 * N4, N5 under fuzz: whatever the bytes, heads and connections are read within their bounds, and what is read does not depend
 * on how the bytes are cut.
 */
import assert from "node:assert/strict";
import { connections, plainConnections } from "../../../test/http/requests.arbitrary.ts";
import { fuzzTarget, pieces } from "../../../test/support/fuzz.ts";
import { assertLinear } from "../../../test/support/work.ts";
import { canonicalName } from "../../address/name.ts";
import { parseAuthority, type Host, type HostDefect } from "./authority.ts";
import { maxHeadBytes } from "./fields.ts";
import { RequestStream, type Followed } from "./request-stream.ts";
import { parseRequest, type RequestDefect } from "./request.ts";

/** NUL never gets as far as a host: it is no byte of a target or a field. */
type HostWord = "host_name" | "host_none" | `host_${Exclude<HostDefect, "nul">}`;
type HeadWord = "need_more" | "not_http" | "too_large" | Exclude<RequestDefect, "forbidden_trailer"> | HostWord;

function hostWord(host: Host): HostWord {
  if (host.kind !== "invalid") return `host_${host.kind}`;
  assert.ok(host.defect !== "nul");
  return `host_${host.defect}`;
}

const endless = Buffer.from(`GET / HTTP/1.1\r\nHost: pypi.org\r\nX: ${"x".repeat(maxHeadBytes)}`);
const endlessTrailer = Buffer.from(
  `POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ${"x".repeat(maxHeadBytes)}`,
);

function checkHost(host: Host): void {
  if (host.kind !== "name") return;
  assert.equal(canonicalName(host.name), host.name);
  assert.ok(host.port === null || (host.port > 0 && host.port < 65_536));
  assert.deepEqual(parseAuthority(host.port === null ? host.name : `${host.name}:${host.port}`), host);
}

fuzzTarget<HeadWord>({
  name: "http-request",
  grammar: [connections, plainConnections],
  outcomes: {
    need_more: true,
    not_http: true,
    too_large: true,
    folded_line: true,
    field_name: true,
    field_value: true,
    bare_cr: true,
    bare_lf: true,
    too_many_fields: true,
    request_line: true,
    target: true,
    host_disagrees: true,
    content_length: true,
    transfer_encoding: true,
    two_framings: true,
    connect_body: true,
    host_name: true,
    host_none: true,
    host_two_hosts: true,
    host_port: true,
    host_userinfo: true,
    host_empty: true,
    host_empty_label: true,
    host_label_too_long: true,
    host_name_too_long: true,
    host_ip_literal: true,
    host_bad_character: true,
  },
  large: { too_large: endless },
  check: (bytes, pick) => {
    const result = parseRequest(bytes);
    const early = parseRequest(bytes.subarray(0, pick(bytes.length + 1)));
    if (early.state !== "need_more") assert.deepEqual(early, result);
    if (pick(8) === 0) assertLinear(bytes, 8, 400, parseRequest);
    if (result.state === "malformed") {
      assert.ok(result.defect !== "forbidden_trailer");
      return result.defect;
    }
    if (result.state !== "request") return result.state;
    const { request } = result;
    assert.ok(request.headerBytes <= Math.min(bytes.length, maxHeadBytes));
    assert.ok(request.body.kind !== "length" || Number.isSafeInteger(request.body.bytes));
    checkHost(request.host);
    return hostWord(request.host);
  },
});

/** What a connection showed, pushed in these pieces. */
function follow(parts: readonly Uint8Array[]) {
  const stream = new RequestStream();
  const requests: object[] = [];
  let last: Followed = { requests: [], defect: null, opaque: null };
  for (const part of parts) {
    last = stream.push(part);
    requests.push(...last.requests);
    for (const { host } of last.requests) checkHost(host);
    if (last.defect !== null) assert.ok(!stream.midHead, "nothing waits after a defect");
  }
  return { requests, defect: last.defect, opaque: last.opaque, midHead: stream.midHead };
}

type StreamWord =
  | "head_waits"
  | "whole"
  | "connect"
  | "upgrade"
  | "not_http"
  | "too_large"
  | "malformed"
  | "chunk_syntax"
  | "forbidden_trailer";

fuzzTarget<StreamWord>({
  name: "http-stream",
  grammar: [connections, plainConnections],
  outcomes: {
    head_waits: true,
    whole: true,
    connect: true,
    upgrade: true,
    not_http: true,
    too_large: true,
    malformed: true,
    chunk_syntax: true,
    forbidden_trailer: true,
  },
  large: { too_large: endlessTrailer },
  check: (bytes, pick) => {
    const all = follow([bytes]);
    assert.deepEqual(follow(pieces(bytes, pick, 6)), all);
    // Pushed at once, no byte is read more often than a head is begun.
    if (pick(8) === 0) assertLinear(bytes, 12, 800, (view) => new RequestStream().push(view));
    const { defect, opaque, midHead } = all;
    if (defect === null) return opaque ?? (midHead ? "head_waits" : "whole");
    if (defect.detail === "chunk_syntax" || defect.detail === "forbidden_trailer") return defect.detail;
    return defect.state;
  },
});
