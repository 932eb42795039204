/** Promise: systemd hears, on a path or an abstract name; without systemd nothing happens. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import * as libc from "./libc.ts";
import { notifySystemd } from "./notify.ts";

/** A service manager's socket; returns what it heard. */
function listen(path: Buffer): { fd: number; heard: () => string } {
  const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0);
  libc.bind(fd, Buffer.concat([Buffer.from([libc.AF_UNIX, 0]), path]));
  return {
    fd,
    heard: () => {
      const bytes = Buffer.alloc(100);
      return bytes.toString("utf8", 0, Math.max(0, libc.recv(fd, bytes, libc.MSG_DONTWAIT)));
    },
  };
}

suite("service notification", () => {
  test("reaches a socket in the file system", () => {
    const folder = mkdtempSync(join(tmpdir(), "sallyport-notify-"));
    const manager = listen(Buffer.from(`${folder}/socket\0`));
    try {
      assert.equal(notifySystemd("READY=1", `${folder}/socket`), true);
      assert.equal(manager.heard(), "READY=1");
    } finally {
      libc.close(manager.fd);
      rmSync(folder, { recursive: true });
    }
  });

  test("reaches an abstract socket", () => {
    const name = `sallyport-test-${process.pid}`;
    const manager = listen(Buffer.from(`\0${name}`));
    try {
      assert.equal(notifySystemd("STOPPING=1", `@${name}`), true);
      assert.equal(manager.heard(), "STOPPING=1");
    } finally {
      libc.close(manager.fd);
    }
  });

  test("without a manager, or with one that is gone, says so quietly", () => {
    assert.equal(notifySystemd("READY=1", ""), false);
    assert.equal(notifySystemd("READY=1", "relative"), false);
    assert.equal(notifySystemd("READY=1", "/nonexistent/socket"), false);
    assert.equal(notifySystemd("READY=1", `/${"x".repeat(200)}`), false);
  });
});
