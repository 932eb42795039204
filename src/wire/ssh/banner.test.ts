/** SSH is told from everything else by the client's first line, early and without waiting for more than that line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ascii } from "../../../test/wire/hello.ts";
import { parseBanner } from "./banner.ts";

const read = (text: string) => parseBanner(ascii(text));

test("a client's line, with key exchange after it", () => {
  assert.deepEqual(read("SSH-2.0-OpenSSH_9.6 Ubuntu\r\n\0\0\u0005"), {
    state: "ssh",
    version: "2.0",
    software: "OpenSSH_9.6 Ubuntu",
  });
  assert.deepEqual(read("SSH-1.99-old\n"), { state: "ssh", version: "1.99", software: "old" });
});

test("every strict prefix waits, up to 255 bytes", () => {
  const line = "SSH-2.0-x\r\n";
  for (let size = 0; size < line.length; size++) assert.equal(read(line.slice(0, size)).state, "need_more");
  const long = (size: number) => read(`SSH-2.0-${"x".repeat(size - 10)}\r\n`).state;
  assert.deepEqual([long(255), long(256)], ["ssh", "not_ssh"]);
});

test("other versions, other protocols, control characters, a line without software", () => {
  for (const text of [
    "SSH-1.5-old\r\n",
    "SSH-2.00",
    "SSX",
    "ssh-2.0-x\r\n",
    "SSH-2.0-\r\n",
    "SSH-2.0-a\0b\r\n",
    "SSH-2.0-a\rb\r\n",
    "SSH-2.0-\u00e9\r\n",
    "\r\nSSH-2.0-x\r\n",
  ]) {
    assert.equal(read(text).state, "not_ssh", JSON.stringify(text));
  }
});
