/** TLS as clients really speak it: versions, key shares, hellos in pieces, a second hello, resumption, early data. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Work } from "../case.ts";
import type { Job } from "../job.ts";
import { allowed, curl, program, reported } from "./client.ts";
import { opensslPorts } from "./internet.ts";

const web = (n: number, name: string) => allowed("web", n, { name, name_from: "sni", port: 443, protocol: "tls" });
const openssl = (port: number) => allowed("openssl", 57, { name: "openssl.example", port });

/** Told of each message at once; what else the client says of a ticket stays in its buffer. */
const ticket = /^<<< TLS 1\.\d, Handshake \[length \w+\], NewSessionTicket$/m;

/** OpenSSL's client at one of `openssl.example`'s servers; it leaves once the output has `done`. */
async function client(job: Job, port: number, done: RegExp, ...args: string[]): Promise<string> {
  const target = `openssl.example:${port}`;
  const running = job.spawn("openssl", ["s_client", `-${job.v}`, "-connect", target, "-msg", ...args]);
  try {
    await running.waitFor(done, 20_000);
    running.endInput("Q\n");
    const { stdout } = await running.exited;
    return stdout;
  } finally {
    running.signal("SIGKILL");
  }
}

function resumed(version: "tls1_2" | "tls1_3"): (job: Job) => Promise<unknown> {
  return async (job) => {
    const session = join(job.machine.home, `${version}-${job.v}.session`);
    const first = await client(job, opensslPorts.early, ticket, `-${version}`, "-sess_out", session);
    const second = await client(job, opensslPorts.early, /^(Reused|New), /m, `-${version}`, "-sess_in", session);
    return [first, second].map((text) => /^(?:New|Reused), \S+, Cipher is \S+/m.exec(text)?.[0]);
  };
}

export const tlsCases: Work[] = [
  ...["--http1.1", "--http2"].map((version): Work => ({
    kind: "work",
    row: "works",
    variant: `curl ${version}`,
    run: (job) => reported(job, version, "https://allowed.example/hello"),
    allowance: web(10, "allowed.example"),
  })),
  {
    kind: "work",
    row: "works",
    variant: "TLS 1.2",
    run: async (job) => {
      const status = await curl(
        job,
        "--tls-max",
        "1.2",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "https://allowed.example/",
      );
      return { status, report: await reported(job, "--tls-max", "1.2", "https://allowed.example/") };
    },
    allowance: (job) => ({ ...web(10, "allowed.example")(job), tls: { version: "TLS 1.2" } }),
  },
  {
    kind: "work",
    row: "works",
    variant: "a hello with a post-quantum key share",
    run: (job) => program(job, "post-quantum", "https://allowed.example/", job.v),
    allowance: web(10, "allowed.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "a hello in two segments, cut at every byte",
    run: (job) => program(job, "hello", "allowed.example", "segments", "X25519", 1, job.v),
    allowance: (job) => ({ ...web(10, "allowed.example")(job), tls: { hello_segments: 2 } }),
  },
  {
    kind: "work",
    row: "works",
    variant: "a hello in two TLS records, cut at every byte",
    run: (job) => program(job, "hello", "allowed.example", "records", "X25519", 1, job.v),
    allowance: web(10, "allowed.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "a post-quantum hello in pieces",
    run: async (job) => [
      await program(job, "hello", "allowed.example", "segments", "X25519MLKEM768", 29, job.v),
      await program(job, "hello", "allowed.example", "records", "X25519MLKEM768", 29, job.v),
    ],
    allowance: web(10, "allowed.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "a second hello after HelloRetryRequest",
    run: async (job) => {
      const groups = ["-groups", "X25519:P-384"];
      const text = await client(job, opensslPorts.retry, ticket, ...groups);
      const page = await curl(job, `https://openssl.example:${opensslPorts.retry}/`);
      return {
        hellos: text.match(/^>>> TLS 1\.\d, Handshake \[length \w+\], ClientHello$/gm)?.length,
        group: /Server Temp Key: (\S+)/.exec(text)?.[1],
        page: /Peer Temp Key: .*|Ciphers supported/.exec(page)?.[0],
      };
    },
    allowance: openssl(opensslPorts.retry),
  },
  {
    kind: "work",
    row: "works",
    variant: "TLS 1.3 and 1.2 sessions resumed",
    run: async (job) => [await resumed("tls1_3")(job), await resumed("tls1_2")(job)],
    allowance: openssl(opensslPorts.early),
  },
  {
    kind: "work",
    row: "works",
    variant: "early data with the hello",
    run: async (job) => {
      const at = (file: string): string => join(job.machine.home, `${file}-${job.v}`);
      writeFileSync(at("early"), "sent before the handshake was over\n");
      await client(job, opensslPorts.early, ticket, "-sess_out", at("session"));
      const early = ["-sess_in", at("session"), "-early_data", at("early")];
      return /Early data was \w+/.exec(await client(job, opensslPorts.early, /Early data was/, ...early))?.[0];
    },
    allowance: openssl(opensslPorts.early),
  },
  {
    kind: "work",
    row: "works",
    variant: "a client certificate",
    run: async (job) => {
      const url = `https://openssl.example:${opensslPorts.mutual}/`;
      const { keyFile, certFile } = await job.lab.internet.call("certificate", { name: "job.example" });
      const page = await curl(job, "--cert", certFile, "--key", keyFile, url);
      return /^Client certificate\n|no client certificate available/m.exec(page)?.[0];
    },
    allowance: openssl(opensslPorts.mutual),
  },
];
