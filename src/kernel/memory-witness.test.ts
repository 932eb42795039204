/** The promise: who looks into another process's memory is seen, by whichever way, path and mount; who only asks about it is not. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { MemoryWitness } from "./memory-witness.ts";

const call = (text: string) => ["python3", "-c", `import ctypes\nlibc = ctypes.CDLL(None)\n${text}`];
const structure = `
class V(ctypes.Structure): _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t)]
`;

describe("a witness", () => {
  let witness: MemoryWitness;
  let target: ChildProcess;
  const ways = (command: readonly string[]) => {
    witness.take();
    spawnSync(command[0]!, command.slice(1), { stdio: "ignore" });
    return witness
      .take()
      .filter((each) => each.target === target.pid)
      .map(({ way }) => way);
  };

  before(() => {
    target = spawn("sleep", ["60"]);
    witness = MemoryWitness.attach();
  });
  after(() => {
    witness?.close();
    target?.kill("SIGKILL");
  });

  test("sees each file by what it is", () => {
    assert.deepEqual(ways(["head", "-c1", `/proc/${target.pid}/mem`]), ["mem"]);
    assert.deepEqual(ways(["head", "-c1", `/proc/${target.pid}/environ`]), ["environ"]);
    assert.deepEqual(ways(["head", "-c1", `/proc/${target.pid}/maps`]), ["maps"]);
  });

  test("sees it through a thread, a relative path and another mount of procfs", () => {
    const { pid } = target;
    assert.deepEqual(ways(["sh", "-c", `cd /proc/${pid}/task/${pid} && exec 3< mem`]), ["mem"]);
    const mount = `mount -t proc proc /mnt && exec 3< /mnt/${pid}/mem`;
    assert.deepEqual(ways(["unshare", "--mount", "sh", "-c", mount]), ["mem"]);
  });

  test("sees process_vm_readv and ptrace", () => {
    const { pid } = target;
    // Zero bytes are copied as well as many: the kernel asks first.
    const vector = `${structure}v = V(0, 0)\nassert libc.process_vm_readv(${pid}, ctypes.byref(v), 1, ctypes.byref(v), 1, 0) == 0`;
    assert.deepEqual(ways(call(vector)), ["process_vm_readv"]);
    assert.deepEqual(ways(call(`assert libc.ptrace(0x4206, ${pid}, 0, 0) == 0`)), ["ptrace"]);
  });

  test("does not see who asks about a process, or looks at itself", () => {
    const { pid } = target;
    const files = `cat /proc/${pid}/stat /proc/${pid}/status /proc/${pid}/cmdline; readlink /proc/${pid}/exe; ls /proc/${pid}/fd`;
    assert.deepEqual(ways(["sh", "-c", files]), []);
    witness.take();
    const self = spawnSync("cat", ["/proc/self/maps"]);
    assert.equal(witness.take().filter((each) => each.pid === self.pid).length, 0);
  });
});
