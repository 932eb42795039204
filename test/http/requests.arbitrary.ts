/**
 * Random HTTP/1.x requests and connections of them, from the pieces that smuggling is made of: every spelling of hosts, targets
 * and framing that some server takes and another does not. For fuzzing.
 */
import fc from "fast-check";

const from = (...texts: string[]) => fc.constantFrom(...texts);

export const hosts = fc.oneof(
  from("pypi.org", "pypi.org", "evil.example", "PyPI.org", "pypi.org:80", "pypi.org:443", "pypi.org.", "pypi.org:"),
  from("", " ", "pypi.org evil.example", "user@pypi.org", "pypi.org@evil.example", "[2001:db8::1]", "203.0.113.5"),
  from(
    "pypi.org:0x50",
    "pypi.org:99999",
    "pypi.org, evil.example",
    "pypi.org/evil",
    "%70ypi.org",
    "pypi.org\t",
    "a_b.example",
  ),
  fc.string({ maxLength: 8 }),
);

const targets = fc.oneof(
  { weight: 4, arbitrary: from("/", "/", "/simple/?q=1", "/a%20b", "//evil.example/", "/#x") },
  { weight: 2, arbitrary: from("*", "pypi.org:443", "evil.example:443", "?", "http:/x", "ftp://pypi.org/", "/\t") },
  {
    weight: 2,
    arbitrary: fc
      .tuple(from("http://", "https://", "HTTP://", "http:///"), hosts, from("/", "", "/x?y", "?q", "#f", "\\evil"))
      .map((parts) => parts.join("")),
  },
  fc.string({ maxLength: 6 }),
);

const methods = fc.oneof(
  { weight: 6, arbitrary: from("GET", "POST", "OPTIONS", "HEAD", "PUT", "CONNECT", "DELETE") },
  from("get", "G", "M-SEARCH", "PRI", "SOURCE", "QUERY", "X".repeat(33), "GE\tT", ""),
);

const colon = fc.oneof({ weight: 12, arbitrary: from(": ") }, from(":", " : ", ":\t", "\t:", ": \t ", "", ":\u000b"));
const lineEnd = fc.oneof(
  { weight: 25, arbitrary: from("\r\n") },
  from("\n", "\r", "\r\r\n", "\r\n ", "\0\r\n", "\n\r\n"),
);

const field = (name: fc.Arbitrary<string>, value: fc.Arbitrary<string>) =>
  fc.tuple(name, colon, value, lineEnd).map((parts) => parts.join(""));

const hostField = field(
  fc.oneof(
    { weight: 12, arbitrary: from("Host") },
    from("host", "HOST", "Host ", "Hos", "X-Host", "\u00a0Host", "Ho\0st"),
  ),
  hosts,
);
const lengthField = field(
  from("Content-Length", "content-length", "Content-Length", "Content_Length"),
  fc.oneof(
    { weight: 4, arbitrary: fc.nat(40).map(String) },
    from("+5", "5,5", "5, 6", "0x5", " 5", "05", "-1", "1e1", "", "99999999999999999999"),
  ),
);
const codingField = field(
  from("Transfer-Encoding", "transfer-encoding", "Transfer-Encoding", "Transfer_Encoding"),
  fc.oneof(
    { weight: 4, arbitrary: from("chunked", "Chunked") },
    from("identity", "gzip, chunked", "chunked, identity", "xchunked", "chunked\t", "", '"chunked"'),
  ),
);
const otherField = field(
  from("Accept", "Connection", "Upgrade", "Expect", "X", "Cookie", "Trailer", "Proxy-Connection", "X{y}"),
  fc.oneof(
    from("*/*", "close", "keep-alive", "upgrade", "h2c", "100-continue", "\u0080\u00ff", "\u0001"),
    fc.string({ maxLength: 10 }),
  ),
);

const fields = fc
  .tuple(
    fc.array(otherField, { maxLength: 2 }),
    fc.oneof({ weight: 10, arbitrary: hostField.map((each) => [each]) }, fc.array(hostField, { maxLength: 2 })),
    fc.oneof(
      { weight: 5, arbitrary: fc.constant([]) },
      { weight: 3, arbitrary: fc.tuple(lengthField) },
      { weight: 3, arbitrary: fc.tuple(codingField) },
      fc.array(fc.oneof(lengthField, codingField), { maxLength: 2 }),
    ),
    fc.nat(3),
  )
  .map(([others, host, framing, turn]) => {
    const all = [...host, ...others, ...framing];
    return [...all.slice(turn % (all.length + 1)), ...all.slice(0, turn % (all.length + 1))].join("");
  });

const versions = fc.oneof(
  { weight: 12, arbitrary: from("HTTP/1.1") },
  from("HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/1.1 ", "http/1.1", "HTTP/01.1", ""),
);
const space = fc.oneof({ weight: 20, arbitrary: from(" ") }, from("  ", "\t", ""));

/** Request heads with the empty line that ends them, mostly. */
export const heads = fc
  .tuple(
    methods,
    space,
    targets,
    space,
    versions,
    lineEnd,
    fields,
    fc.oneof({ weight: 9, arbitrary: from("\r\n") }, from("\n", "", "\r")),
  )
  .map((parts) => parts.join(""));

const chunk = fc
  .tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.nat(20).map((size) => size.toString(16)) },
      from("0x2", "-1", "ffffffffffffffff1", "", " 5", "5 "),
    ),
    from("", "", "", ";a=b", ";", " ;x", ';q="\r\n"'),
    lineEnd,
    fc.string({ maxLength: 20 }),
    lineEnd,
  )
  .map((parts) => parts.join(""));

/** Bodies that do and do not fit what their head says, requests among them. */
const bodies = fc.oneof(
  { weight: 3, arbitrary: fc.constant("") },
  { weight: 2, arbitrary: fc.string({ maxLength: 40 }) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.array(chunk, { maxLength: 3 }),
        from("0\r\n\r\n", "0\r\nX: y\r\n\r\n", "0\r\nHost: evil.example\r\n\r\n", "0\n\n", "00\r\n\r\n"),
      )
      .map(([chunks, end]) => chunks.join("") + end),
  },
);

const latin1 = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0) & 255);

/** What a client sends on one connection: up to three requests with their bodies. */
export const connections: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.tuple(heads, bodies).map((parts) => parts.join("")),
    { minLength: 1, maxLength: 3 },
  )
  .chain((requests) => from("", "", "", "", "", "", "\r\n", "\n").map((before) => latin1(before + requests.join(""))));

/** Right requests, for the same connections without a damaged place: what a server answers all of. */
export const plainConnections: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.record({
      host: from("pypi.org", "PyPI.org", "evil.example:8080", "a.example"),
      absolute: fc.boolean(),
      body: fc.option(fc.string({ maxLength: 12 })),
      chunked: fc.boolean(),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((requests) =>
    latin1(
      requests
        .map(({ host, absolute, body, chunked }) => {
          const content = body === null ? null : body.replaceAll(/[^\x20-\x7e]/g, "?");
          const line = `${content === null ? "GET" : "POST"} ${absolute ? `http://${host}/x` : "/"} HTTP/1.1\r\nHost: ${host}\r\n`;
          if (content === null) return `${line}\r\n`;
          if (!chunked) return `${line}Content-Length: ${content.length}\r\n\r\n${content}`;
          const size = content.length === 0 ? "" : `${content.length.toString(16)}\r\n${content}\r\n`;
          return `${line}Transfer-Encoding: chunked\r\n\r\n${size}0\r\n\r\n`;
        })
        .join(""),
    ),
  );
