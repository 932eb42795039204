/** Promises about miners: pools are known by any name under their domain, and who only compiles or only downloads is none. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CpuWatch, poolOf } from "./mining.ts";

test("a pool is known by any name under its domain, and by nothing that only looks like it", () => {
  assert.equal(poolOf("xmr-eu1.nanopool.org"), "nanopool.org");
  assert.equal(poolOf("supportxmr.com"), "supportxmr.com");
  for (const name of ["notnanopool.org", "nanopool.org.example", "pypi.org", "pool.ntp.org", "com"])
    assert.equal(poolOf(name), null, name);
});

describe("a process that computes", () => {
  const thresholds = { period: 60_000, cores: 0.9, rate: 1_000, age: 30_000 };
  /** Samples every 10 s of a process that uses `cores` processors. */
  const run = (cores: (at: number) => number, connection: { bytes: number; age: number } | null, until = 120_000) => {
    const watch = new CpuWatch(thresholds);
    const found = [];
    let cpu = 0;
    for (let at = 0; at <= until; at += 10_000) {
      const connections = connection === null ? [] : [{ pid: 7, ...connection }];
      found.push(...watch.see([{ pid: 7, startedAt: 1, cpu }], connections, at));
      cpu += cores(at) * 10_000;
    }
    return found;
  };
  const quiet = { bytes: 5_000, age: 60_000 };

  test("with a quiet connection is told once, with what it used", () => {
    const [one, ...others] = run(() => 3.5, quiet);
    assert.deepEqual(others, []);
    assert.equal(one?.pid, 7);
    assert.equal(one?.milliseconds, 60_000);
    assert.ok(Math.abs(one.cores - 3.5) < 0.01);
  });

  test("without a connection, with a busy one, or with a new one is nobody's business", () => {
    assert.deepEqual(
      run(() => 4, null),
      [],
    );
    assert.deepEqual(
      run(() => 4, { bytes: 50_000_000, age: 60_000 }),
      [],
    );
    assert.deepEqual(
      run(() => 4, { bytes: 100, age: 5_000 }),
      [],
    );
  });

  test("that rests in between has to compute for the whole period again", () => {
    assert.deepEqual(
      run((at) => (at % 50_000 === 0 ? 0 : 1), quiet, 300_000),
      [],
    );
  });

  test("another's connection does not count", () => {
    const watch = new CpuWatch(thresholds);
    for (let at = 0; at <= 120_000; at += 10_000)
      assert.deepEqual(watch.see([{ pid: 7, startedAt: 1, cpu: at }], [{ pid: 8, ...quiet }], at), []);
  });

  test("a later process with its number begins anew", () => {
    const watch = new CpuWatch(thresholds);
    for (let at = 0; at <= 120_000; at += 10_000)
      assert.deepEqual(
        watch.see([{ pid: 7, startedAt: at < 50_000 ? 1 : 2, cpu: at }], [{ pid: 7, ...quiet }], at),
        at === 110_000 ? watchFound(at) : [],
      );
    function watchFound(at: number) {
      return [{ pid: 7, startedAt: 2, milliseconds: at - 50_000, cores: 1, connection: { pid: 7, ...quiet } }];
    }
  });
});
