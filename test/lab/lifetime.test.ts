/** A lab leaves the host as it found it: after `close`, after a failure, a signal, and after its owner was killed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { Lab } from "./lab.ts";
import { namespacesOf, processesInside, pruneStale } from "./lifetime.ts";
import { requireTools, runTool } from "./tools.ts";

const labUrl = new URL("./lab.ts", import.meta.url).href;

function gone(id: string): void {
  assert.deepEqual(namespacesOf(id), []);
  assert.equal(existsSync(`/run/sallyport-lab/${id}`), false);
}

/** Whether a process still runs, by number; a zombie does not. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}

test("closing ends every process and removes namespaces and files", async () => {
  const lab = await Lab.create({ runners: 2 });
  const long = lab.runner(1).spawn("sh", ["-c", "sleep 60 & echo started; wait"]);
  await long.waitFor(/started/);
  const pids = processesInside(namespacesOf(lab.id));
  // The internet, tcpdump, the shell and its child.
  assert.ok(pids.length >= 4);
  assert.deepEqual(namespacesOf(lab.id).length, 4);
  await Promise.all([lab.close(), lab.close()]);
  gone(lab.id);
  assert.deepEqual(pids.filter(runs), []);
  assert.equal((await long.exited).signal, "SIGKILL");
});

/**
 * Runs where nobody else changes anything: a host of its own, made of fresh network and mount namespaces with an empty
 * /run. `ip netns` makes its directory's mount at the first use and keeps it; that is its own and happens before.
 */
const hostProgram = `
  const { execFileSync } = await import("node:child_process");
  const { readFileSync, readdirSync } = await import("node:fs");
  const { Lab } = await import(${JSON.stringify(labUrl)});
  const run = (...args) => execFileSync(args[0], args.slice(1), { encoding: "utf8" });
  const sysctls = (directory) => readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /forward|rp_filter|accept_|disable_ipv6|nonlocal|ratelimit/.test(entry.name))
    .map((entry) => entry.parentPath + "/" + entry.name + "=" + readFileSync(entry.parentPath + "/" + entry.name));
  const state = () => ({
    links: run("ip", "-o", "link"),
    addresses: run("ip", "-o", "addr"),
    routes: run("ip", "route", "show", "table", "all") + run("ip", "-6", "route", "show", "table", "all"),
    rules: run("iptables-save") + run("ip6tables-save"),
    sysctls: [...sysctls("/proc/sys/net/ipv4"), ...sysctls("/proc/sys/net/ipv6")],
    mounts: readFileSync("/proc/self/mounts", "utf8"),
    files: readdirSync("/run", { recursive: true }),
    names: ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"].map((path) => readFileSync(path, "utf8")),
  });
  run("ip", "netns", "add", "first");
  run("ip", "netns", "del", "first");
  const closed = await Lab.create();
  await closed.close();
  const before = state();
  const lab = await Lab.create({ runners: 2, forwarding: true });
  await lab.runner(1).exec("true");
  const during = state();
  await lab.close();
  console.log(JSON.stringify({ before, during, after: state() }));
`;

test("a host with no other work on it is the same before and after a lab, and its network also during", async () => {
  const script = 'mount -t tmpfs none /run && ip link set lo up && exec "$0" --no-warnings --input-type=module -e "$1"';
  const output = await runTool("unshare", ["--net", "--mount", "sh", "-ec", script, process.execPath, hostProgram]);
  const { before, during, after } = JSON.parse(output) as Record<string, Record<string, unknown>>;
  for (const part of Object.keys(before ?? {})) assert.deepEqual(after?.[part], before?.[part], part);
  for (const part of ["links", "addresses", "routes", "rules", "sysctls", "names"]) {
    assert.deepEqual(during?.[part], before?.[part], part);
  }
  // The comparison can fail: the lab is there in between.
  assert.match(String(during?.["mounts"]), /splab\w+-gateway/);
});

const program = `
  const { Lab } = await import(${JSON.stringify(labUrl)});
  const lab = await Lab.create({ sink: true });
  lab.runner(1).spawn("sh", ["-c", "sleep 60 & wait"]);
  console.log(lab.id);
`;

/**
 * A process that makes a lab and then does what `then` says; resolves with the lab's name when it has made it. It ends with
 * its test whatever that finds: a living child would keep this file from ever ending.
 */
async function owner(context: TestContext, then: string) {
  const child = spawn(process.execPath, ["--no-warnings", "--input-type=module", "-e", program + then], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  context.after(() => child.kill("SIGKILL"));
  const ended = new Promise<NodeJS.Signals | number | null>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? code));
  });
  const id = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (data: Buffer) => resolve(data.toString().trim()));
    child.once("exit", () => reject(new Error("no lab was made")));
  });
  return { child, id, ended };
}

test("an uncaught error in the owner takes the lab with it", async (context) => {
  const { id, ended } = await owner(context, "throw new Error('a failing test');");
  assert.equal(await ended, 1);
  gone(id);
});

test("process.exit in the owner takes the lab with it", async (context) => {
  const { id, ended } = await owner(context, "process.exit(3);");
  assert.equal(await ended, 3);
  gone(id);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} takes the lab with it and still ends the owner`, async (context) => {
    const { child, id, ended } = await owner(context, "");
    child.kill(signal);
    assert.equal(await ended, signal);
    gone(id);
  });
}

test("when the owner is killed outright its servers end at once and the next lab removes the rest", async (context) => {
  const { child, id, ended } = await owner(context, "");
  const servers = processesInside(namespacesOf(id).filter((name) => name.endsWith("-internet")));
  assert.equal(servers.length, 2);
  child.kill("SIGKILL");
  await ended;
  for (let i = 0; i < 100 && servers.some(runs); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(servers.filter(runs), []);
  assert.equal(namespacesOf(id).length, 3);
  const left = processesInside(namespacesOf(id));
  assert.ok(pruneStale().includes(id));
  gone(id);
  assert.deepEqual(left.filter(runs), []);
});

test("a lab whose owner lives is not pruned", async (context) => {
  const { child, id, ended } = await owner(context, "");
  assert.ok(!pruneStale().includes(id));
  assert.equal(namespacesOf(id).length, 3);
  child.kill("SIGTERM");
  await ended;
});

test("a lab that fails half made leaves nothing and says why", async () => {
  await assert.rejects(Lab.create({ runners: 99 }), RangeError);
  const ours = () => readdirSync("/run/netns").filter((name) => name.startsWith(`splab${process.pid.toString(36)}`));
  // No JSON: the namespaces are there when the internet cannot be told its zone.
  const zone = { "bad.example": { records: [], delayMs: 1n as unknown as number } };
  await assert.rejects(Lab.create({ zone }), /BigInt/);
  assert.deepEqual(ours(), []);
});

test("a missing tool is named together with the command that installs it", () => {
  const path = process.env["PATH"];
  process.env["PATH"] = "/nonexistent";
  try {
    assert.throws(() => requireTools(["tcpdump", "dig"]), {
      code: "MISSING_TOOL",
      message: "The lab needs tcpdump, dig: apt-get install tcpdump bind9-dnsutils",
    });
  } finally {
    process.env["PATH"] = path;
  }
});
