/**
 * N1, N5, N6: a server never reads another name than we do. Damaged and rearranged hellos of a real client go to a real server
 * (OpenSSL, through Node, in memory) and to our reader. Where the server goes on with a name, ours is that very name or none at
 * all, because we refuse; where it goes on without one, so do we.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { Duplex } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import { corpusOf, fuzzTarget, mutated } from "../../../test/support/fuzz.ts";
import { changedHellos, realHello } from "../../../test/wire/real-hello.ts";
import { canonicalName } from "../../address/name.ts";
import { serverName } from "../first-bytes.ts";
import { parseTls } from "./client-hello.ts";

const pem = execFileSync(
  "openssl",
  ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a.example"].concat([
    "-days",
    "2",
    "-keyout",
    "-",
    "-out",
    "-",
  ]),
  { stdio: ["ignore", "pipe", "ignore"], encoding: "utf8" },
);
// Old versions and weak algorithms, too: the more a server takes, the more it can disagree.
const secureContext = createSecureContext({ key: pem, cert: pem, minVersion: "TLSv1", ciphers: "ALL:@SECLEVEL=0" });

type Served = { state: "goes_on"; name: string | null } | { state: "refuses" } | { state: "waits" };

const HANDSHAKE = 22;

/** What a server makes of these first bytes: it goes on where its first record is of the handshake, not an alert. */
function serve(bytes: Uint8Array): Promise<Served> {
  return new Promise((resolve) => {
    let name: string | null = null;
    let turns = 0;
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        end(chunk[0] === HANDSHAKE ? { state: "goes_on", name } : { state: "refuses" });
        done();
      },
    });
    const server = new TLSSocket(wire, {
      isServer: true,
      secureContext,
      SNICallback: (asked, done) => {
        name = asked;
        done(null, secureContext);
      },
    });
    const end = (served: Served) => {
      resolve(served);
      server.destroy();
    };
    server.on("error", () => end({ state: "refuses" }));
    server.on("close", () => end({ state: "refuses" }));
    wire.push(bytes);
    // All of it happens within a turn or two of the event loop; after ten the server waits for more.
    const turn = () => (++turns < 10 ? setImmediate(turn) : end({ state: "waits" }));
    setImmediate(turn);
  });
}

const real = await Promise.all([
  realHello({ servername: "pypi.org", ecdhCurve: "X25519" }),
  realHello({ servername: "files.example", ALPNProtocols: ["h2", "http/1.1"] }),
  realHello({ servername: "pypi.org", maxVersion: "TLSv1.2", ecdhCurve: "X25519" }),
  realHello({ ecdhCurve: "X25519" }),
]);

/** We refuse, by this word, what OpenSSL goes on with. Each is on purpose: another server reads it in another way, or not at all. */
type Stricter =
  // RFC 8446 section 5.1 forbids empty records of the handshake; OpenSSL passes over up to 32 of any type.
  | "stricter_empty_record"
  // A record of another type before or inside the hello: OpenSSL takes it where it is empty, or a warning.
  | "stricter_record_type"
  // With supported_versions OpenSSL does not look at the version field, where RFC 8446 section 4.1.2 wants TLS 1.2.
  | "stricter_hello_version"
  // Extensions that OpenSSL does not know may be there twice.
  | "stricter_duplicate_extension"
  // A name that is none: OpenSSL hands any text without NUL to the application, and passes over a list of another type.
  | "stricter_name";

type Word = "same_name" | "no_name" | "server_refuses" | "server_waits" | Stricter;

fuzzTarget<Word>({
  name: "tls-server",
  grammar: [
    changedHellos(real),
    changedHellos(real),
    mutated([...real, ...corpusOf("tls-hello").map(({ bytes }) => bytes)]),
  ],
  outcomes: {
    same_name: true,
    no_name: true,
    server_refuses: true,
    server_waits: true,
    stricter_empty_record: true,
    stricter_record_type: true,
    stricter_hello_version: true,
    stricter_duplicate_extension: true,
    stricter_name: true,
  },
  check: async (bytes) => {
    const served = await serve(bytes);
    const ours = parseTls(bytes);
    // Bytes that came later could make it another hello.
    if (served.state === "waits") assert.notEqual(ours.state, "hello", "the server waits for more");
    if (served.state !== "goes_on") return `server_${served.state}`;
    if (ours.state === "malformed") return `stricter_${ours.defect}` as Word;
    assert.equal(ours.state, "hello", `OpenSSL serves ${served.name}`);
    const shown = serverName(ours.hello);
    if (shown.kind === "invalid") return "stricter_name";
    if (shown.kind === "none") {
      assert.equal(served.name, null, "a name that we do not see");
      return "no_name";
    }
    assert.equal(canonicalName(served.name ?? ""), shown.name, "another name than the server's");
    return "same_name";
  },
});
