/** The promise: standard input and output as the kernel has them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, test } from "node:test";
import { parseConnections, streamOf } from "./streams.ts";

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 0
   1: 0A0200C0:C350 0B7100CB:01BB 01 00000000:00000000 00:00000000 00000000  1001        0 4711 1 0 20 4 30 10 -1
   2: 00000000000000000000000001000000:C350 B80D0120000000000000000001000000:01BB 01 0:0 0:0 0  1001        0 4712 1
`;

describe("streams", () => {
  test("connections by inode; who only listens has none", () => {
    assert.deepEqual(parseConnections(table), [
      { inode: 4711, remote: "203.0.113.11:443" },
      { inode: 4712, remote: "[2001:db8::1]:443" },
    ]);
  });

  test("pipes, files and what is gone", async () => {
    const child = spawn("sh", ["-c", "exec sleep 30 < /dev/null | cat"], { stdio: ["pipe", "ignore", "ignore"] });
    try {
      assert.equal(streamOf(child.pid!, 1).kind, "other");
      assert.equal(streamOf(child.pid!, 99).kind, "other");
    } finally {
      child.kill("SIGKILL");
    }
    assert.equal(streamOf(process.pid, 1_000).id, "");
  });
});
