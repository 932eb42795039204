/** Promises about kernel settings: whatever was changed is put back, also by a later process, also to the namespace only. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { SallyportError } from "../errors.ts";
import { addNamespace, deleteNamespace, inNamespace } from "./namespace.ts";
import { Settings } from "./settings.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";

const TTL = "net/ipv4/ip_default_ttl";
const FORWARD = "net/ipv4/ip_forward";

function withPlace(fn: (file: string) => void): void {
  const name = `sp-k-${process.pid}-s`;
  const folder = mkdtempSync(join(tmpdir(), "sallyport-settings-"));
  addNamespace(name);
  try {
    inNamespace(name, () => fn(join(folder, "settings.json")));
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    deleteNamespace(name);
    rmSync(folder, { recursive: true });
  }
}

suite("kernel settings", () => {
  test("a later process puts back what the first one found", () =>
    withPlace((file) => {
      const before = [readSysctl(TTL), readSysctl(FORWARD)];
      const first = new Settings(file);
      first.set(TTL, "70");
      first.set(TTL, "71");
      first.set(FORWARD, before[1] === "1" ? "0" : "1");
      first.set("net/ipv4/no_such_setting", "1");
      assert.equal(readSysctl(TTL), "71");
      const second = new Settings(file);
      second.set(TTL, "72");
      second.restore();
      assert.deepEqual([readSysctl(TTL), readSysctl(FORWARD)], before);
    }));

  test("a damaged file is told, not taken for an empty one", () =>
    withPlace((file) => {
      writeFileSync(file, '{"net/ipv4/ip_defau');
      assert.throws(
        () => new Settings(file),
        (error) => error instanceof SallyportError && error.code === "STATE_UNWRITABLE",
      );
      rmSync(file);
    }));

  test("a name cannot leave /proc/sys, and a value the kernel refuses is an error", () =>
    withPlace(() => {
      for (const name of ["../../etc/hostname", "net//ipv4", "", "./x"])
        assert.throws(() => readSysctl(name), RangeError);
      assert.throws(
        () => writeSysctl(TTL, "no number"),
        (error) => error instanceof SallyportError && error.code === "KERNEL_FEATURE",
      );
    }));
});
