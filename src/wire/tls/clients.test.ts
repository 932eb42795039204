/**
 * Real clients, run against a listener that only reads: Node's TLS with post-quantum key shares, openssl and curl. What
 * they send is a hello with the name they were told, at every split into two segments.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { classify, type FirstBytes } from "../first-bytes.ts";
import { StreamHead } from "../stream.ts";

/** Starts `client` against a listener on loopback; what it sent until its hello was whole. */
async function capture(client: (port: number) => () => void): Promise<Uint8Array> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = client((server.address() as AddressInfo).port);
  try {
    const [socket] = (await once(server, "connection", { signal: AbortSignal.timeout(10_000) })) as [Socket];
    let sent = Buffer.alloc(0);
    for await (const data of socket as AsyncIterable<Buffer>) {
      sent = Buffer.concat([sent, data]);
      if (classify(sent).state !== "need_more") break;
    }
    socket.destroy();
    return sent;
  } finally {
    stop();
    server.close();
  }
}

function nodeClient(options: object) {
  return (port: number) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
    socket.on("error", () => {});
    return () => socket.destroy();
  };
}

function command(name: string, ...args: string[]) {
  return (port: number) => {
    const child = spawn(
      name,
      args.map((arg) => arg.replace("PORT", String(port))),
      { stdio: "ignore" },
    );
    child.on("error", (error) => {
      throw new Error(`${name} is needed by this test: ${error.message}`);
    });
    return () => child.kill("SIGKILL");
  };
}

function assertTls(first: FirstBytes): asserts first is FirstBytes & { state: "done" } {
  assert.ok(first.state === "done" && first.application === "tls", JSON.stringify(first));
}

/** The first segment carries `cut` bytes, the second the rest, and arrives first. */
function inTwoSegments(sent: Uint8Array, cut: number): FirstBytes {
  const stream = new StreamHead(0);
  stream.add(1 + cut, sent.subarray(cut));
  assert.equal(classify(stream.contiguous()).state, "need_more");
  stream.add(1, sent.subarray(0, cut));
  return classify(stream.contiguous());
}

const named: [string, (port: number) => () => void, string, string | null][] = [
  ["node", nodeClient({ servername: "pypi.org", ALPNProtocols: ["h2"] }), "TLS 1.3", "pypi.org"],
  ["node, without a name", nodeClient({}), "TLS 1.3", null],
  ["node, TLS 1.2 only", nodeClient({ servername: "PyPI.org", maxVersion: "TLSv1.2" }), "TLS 1.2", "pypi.org"],
  [
    "openssl",
    command("openssl", "s_client", "-connect", "127.0.0.1:PORT", "-servername", "ghcr.io"),
    "TLS 1.3",
    "ghcr.io",
  ],
  [
    "openssl -noservername",
    command("openssl", "s_client", "-connect", "127.0.0.1:PORT", "-noservername"),
    "TLS 1.3",
    null,
  ],
  [
    "curl",
    command("curl", "-sk", "--resolve", "www.example.com:PORT:127.0.0.1", "https://www.example.com:PORT/"),
    "TLS 1.3",
    "www.example.com",
  ],
];

describe("N6: the hellos of real clients", () => {
  for (const [title, client, version, name] of named) {
    test(title, async () => {
      const sent = await capture(client);
      const first = classify(sent);
      assertTls(first);
      assert.equal(first.tls!.version, version);
      assert.deepEqual(first.name, name === null ? { kind: "none" } : { kind: "name", name });
      for (let cut = 1; cut < sent.length; cut += cut < 600 ? 1 : 37) {
        assert.deepEqual(inTwoSegments(sent, cut), first, `cut at ${cut}`);
      }
    });
  }

  test("post-quantum key shares make the hello longer than a segment", async () => {
    const sent = await capture(nodeClient({ servername: "pypi.org" }));
    assert.ok(sent.length > 1460, `${sent.length} bytes`);
  });

  test("curl without TLS shows its Host", async () => {
    const url = "http://www.example.com:PORT/";
    const first = classify(await capture(command("curl", "-s", "--resolve", "www.example.com:PORT:127.0.0.1", url)));
    assert.ok(first.state === "done" && first.application === "http");
    assert.ok(first.name.kind === "name" && first.name.name === "www.example.com");
  });
});
