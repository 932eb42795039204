/** Row N7: what is not TLS on a port with a tls rule, and TLS where nobody expects it. */
import { bytes } from "../../wire/hello.ts";
import type { Attack } from "../case.ts";
import type { Job } from "../job.ts";
import { nameless, hello, refused } from "../refusals.ts";
import { sendBytes } from "./shown.ts";

const kind = "attack";
const row = "N7";

/** At the shared address, by what the bytes are. */
const because =
  (reason: string, more: object = {}, port = 443) =>
  (job: Job) =>
    refused(reason, { ip: job.dot(10), port, ...more }, "name");

function raw(variant: string, make: (marker: string) => Uint8Array, refusal: Attack["refusal"]): Attack {
  return {
    kind,
    row,
    variant,
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.node(sendBytes, [job.dot(10), Buffer.from(make(marker)).toString("hex")]);
    },
    refusal,
  };
}

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

export const protocolCases: Attack[] = [
  raw("plain text", (marker) => text(`${marker.toLowerCase()}\n`), because("not_protocol")),
  {
    ...raw("plain text that could be the start of a request", (marker) => text(marker), because("closed")),
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.stream(job.dot(10), 443, marker);
    },
  },
  {
    kind,
    row,
    variant: "a plain HTTP request with the allowed Host",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.curl("-H", "Host: allowed.example", `http://${job.at(10)}:443/${marker}`);
    },
    refusal: because("not_protocol", { protocol: "http" }),
  },
  raw("an SSH banner", (marker) => text(`SSH-2.0-${marker}\r\n`), because("not_protocol", { protocol: "ssh" })),
  raw(
    "an SSLv2 hello",
    // Two-byte header, CLIENT-HELLO, version 3.0, one cipher, no session, a challenge of 16 bytes (RFC 6101 appendix E).
    (marker) => bytes(0x80, 28, 1, 3, 0, 0, 3, 0, 0, 0, 16, 0, 0, 0x2f, text(marker)),
    because("not_protocol"),
  ),
  raw("a TLS alert", (marker) => bytes(21, 3, 3, 0, 18, 1, 0, text(marker)), because("malformed")),
  raw("TLS application data before any hello", (marker) => bytes(23, 3, 3, 0, 16, text(marker)), because("malformed")),
  raw(
    "a handshake message that is no hello",
    (marker) => bytes(22, 3, 3, 0, 20, 16, 0, 0, 16, text(marker)),
    because("malformed"),
  ),
  raw(
    "a DNS message over TCP",
    (marker) => bytes(0, 34, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 16, text(marker), 0, 0, 1, 0, 1, 0),
    because("not_protocol"),
  ),
  {
    kind,
    row,
    variant: "a protocol whose server speaks first",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.dialogue(job.dot(10), 2525, ["", `helo ${marker}\r\n`]);
    },
    refusal: because("not_protocol", {}, 2525),
  },
  {
    kind,
    row,
    variant: "STARTTLS on a port with a tls rule",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.dialogue(job.dot(10), 2525, ["", `EHLO ${marker}\r\n`, "STARTTLS\r\n"]);
    },
    refusal: because("not_protocol", {}, 2525),
  },
  {
    kind,
    row,
    variant: "TLS on a port that no rule names, with an allowed SNI",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.tls(`${job.at(10)}:8443`, ["-servername", "allowed.example"], marker);
    },
    refusal: (job) => refused("default", { ip: job.dot(10), port: 8443, protocol: "tcp" }),
    foretold: hello("allowed.example", "default", 10, 8443),
  },
  {
    kind,
    row,
    variant: "TLS on the port of another protocol, at the attacker's",
    run: (job, marker) => job.tls(`${job.at(66)}:22`, ["-servername", "ssh.example"], marker),
    refusal: nameless(22),
    foretold: hello("ssh.example", "default", 66, 22),
    unreachable: "the lab's port 22 speaks SSH and hangs up",
  },
  {
    kind,
    row,
    variant: "a client that says nothing, and then what it wants",
    slow: true,
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      const silent = job.spawn("ncat", [job.dot(10), "2525"]);
      // Longer than a connection may be silent.
      await new Promise((resolve) => setTimeout(resolve, 34_000));
      silent.write(`${marker}\n`);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await silent.kill("SIGKILL");
    },
    refusal: because("timeout", {}, 2525),
    // Monitor lets a silent connection go on as one of no known protocol, long before it may say something.
    foretold: because("not_protocol", {}, 2525),
  },
];
