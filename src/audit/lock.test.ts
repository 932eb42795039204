/** Two Sallyports never share a state directory, and a dead one never keeps the next from starting. Real processes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { holdsLock, lockHolder, lockState } from "./lock.ts";
import { Spool } from "./spool.ts";
import { outputOf, runModule, temporary } from "./test-support.ts";

const holder = `
const { lockState } = await import(room + "/lock.ts");
lockState(process.argv[1]);
console.log(process.pid);
setInterval(() => {}, 1000);`;

async function holdElsewhere(directory: string, prefix: string[] = []) {
  const child = runModule(holder, [directory], prefix);
  const [output] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  return { child, pid: Number(output) };
}

test("a second process is told who holds the directory, until the holder is killed", async () => {
  const directory = temporary();
  const { child, pid } = await holdElsewhere(directory);
  assert.throws(
    () => lockState(directory),
    (error: { code: string; data: { pid: number }; message: string }) => {
      assert.deepEqual([error.code, error.data.pid], ["STATE_IN_USE", pid]);
      return error.message.includes(String(pid));
    },
  );
  assert.equal(lockHolder(directory)!.pid, pid);
  await assert.rejects(Spool.open({ directory }), { code: "STATE_IN_USE" });
  child.kill("SIGKILL");
  await once(child, "close");
  assert.equal(lockHolder(directory), null);
  lockState(directory).release();
});

test("the same process cannot take it twice, by any path to it, and can again after release", async () => {
  const directory = temporary();
  const lock = lockState(directory);
  assert.equal(holdsLock(join(directory, "..", directory.split("/").at(-1)!)), true);
  assert.throws(() => lockState(`${directory}/.`), { code: "STATE_IN_USE" });
  lock.release();
  lock.release();
  assert.equal(holdsLock(directory), false);
  assert.equal(lockHolder(directory), null);
  for (let i = 0; i < 3; i++) lockState(directory).release();
  assert.equal(readdirSync(join(directory, "lock")).length, 1, "no files are left behind");
});

test("a spool takes the lock itself, or uses the one its process holds and leaves it", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory });
  assert.equal(lockHolder(directory)!.pid, process.pid);
  await assert.rejects(Spool.open({ directory: `${directory}/.` }), { code: "STATE_IN_USE" });
  await spool.close();
  assert.equal(lockHolder(directory), null);
  const lock = lockState(directory);
  const inside = await Spool.open({ directory });
  await assert.rejects(Spool.open({ directory }), { code: "STATE_IN_USE" }, "one lock is not room for two spools");
  await inside.close();
  await (await Spool.open({ directory })).close();
  assert.equal(lockHolder(directory)!.pid, process.pid);
  lock.release();
});

/** The lock file of this process, changed and left as if by another. */
function leaveLock(directory: string, change: Record<string, unknown>): string {
  const lock = lockState(directory);
  const path = join(directory, "lock", readdirSync(join(directory, "lock"))[0]!);
  const owner = JSON.parse(readFileSync(path, "utf8")) as object;
  lock.release();
  writeFileSync(path, JSON.stringify({ ...owner, ...change }));
  return path;
}

test("a pid that now belongs to another process is not the holder", () => {
  const directory = temporary();
  leaveLock(directory, {});
  assert.throws(() => lockState(directory), { code: "STATE_IN_USE" });
  leaveLock(temporary(), {});
  const reused = temporary();
  leaveLock(reused, { start: "1" });
  lockState(reused).release();
});

test("a lock of an earlier boot is not held", () => {
  const directory = temporary();
  leaveLock(directory, { boot: "00000000-0000-0000-0000-000000000000" });
  lockState(directory).release();
});

test("a file that is no lock of ours is not taken for a free one", () => {
  const directory = temporary();
  const path = leaveLock(directory, {});
  writeFileSync(path, "");
  assert.throws(() => lockState(directory), { code: "STATE_IN_USE", message: /remove it if no Sallyport uses/ });
});

test(
  "a holder in another pid namespace counts while it touches its file",
  { skip: process.getuid?.() !== 0 },
  async () => {
    const directory = temporary();
    const { child, pid } = await holdElsewhere(directory, ["unshare", "-p", "-f", "--kill-child"]);
    assert.equal(pid, 1);
    assert.throws(() => lockState(directory), { code: "STATE_IN_USE" });
    child.kill("SIGKILL");
    await once(child, "close");
    assert.throws(() => lockState(directory), { code: "STATE_IN_USE" });
    const old = new Date(Date.now() - 60_000);
    utimesSync(join(directory, "lock", "1"), old, old);
    lockState(directory).release();
  },
);

/**
 * Each process takes the lock over and over, each time making a file that must not be there and removing it again, and
 * in the end dies holding the lock. Any two holders at once meet at the file.
 */
const contender = `
import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
const { lockState } = await import(room + "/lock.ts");
const [directory, rounds] = process.argv.slice(1);
const marker = directory + "/marker";
const alive = (pid) => { try { return !/\\) [ZX]/.test(readFileSync("/proc/" + pid + "/stat", "latin1")); } catch { return false; } };
const pause = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
for (let held = 0; held < Number(rounds); ) {
  let lock;
  try { lock = lockState(directory); } catch (error) {
    if (error.code !== "STATE_IN_USE") throw error;
    await pause();
    continue;
  }
  held++;
  try {
    const fd = openSync(marker, "wx");
    writeSync(fd, String(process.pid));
    closeSync(fd);
  } catch {
    const other = Number(readFileSync(marker, "utf8"));
    if (other === 0 || alive(other)) { console.log("held twice"); process.exit(1); }
  }
  await pause();
  if (held === Number(rounds)) process.kill(process.pid, "SIGKILL");
  unlinkSync(marker);
  lock.release();
}`;

test("many processes racing for a dead holder's place: one at a time", async () => {
  const directory = temporary();
  for (let wave = 0; wave < 3; wave++) {
    const children = Array.from({ length: 4 }, () => outputOf(runModule(contender, [directory, "15"])));
    const ends = await Promise.all(children);
    assert.deepEqual(
      ends.map(({ text, code }) => [text, code]),
      ends.map(() => ["", null]),
    );
  }
  lockState(directory).release();
});
