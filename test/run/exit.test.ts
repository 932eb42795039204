/**
 * The command line's promises: the command's exit code is ours, its streams and arguments are its own, and whatever cannot
 * be enforced is not run.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { curl, Host, sallyport } from "./support.ts";

describe("sallyport run", () => {
  let host: Host;
  /** A command that leaves a file, and that file. */
  let ran: string;
  const touch = () => ["touch", ran];
  before(async () => {
    host = await Host.create();
    ran = join(host.home, "ran");
  });
  after(() => host.close());

  test("ends with the command's exit code, and 128 plus the signal's number where one ended it", async () => {
    for (const [script, code] of [
      ["exit 0", 0],
      ["exit 7", 7],
      ["kill -TERM $$", 143],
      ["kill -KILL $$", 137],
      ["kill -SEGV $$", 139],
    ] as const) {
      const outcome = await host.run(["-q", "--", "sh", "-c", script]);
      assert.equal(outcome.code, code, outcome.stderr);
      assert.equal(outcome.signal, null);
    }
  });

  test("--fail-on deny: 3 when something was refused, else the command's own", async () => {
    const refused = ["--allow", "allowed.example", "--fail-on", "deny", "--"];
    const denied = await host.run([...refused, "sh", "-c", `${curl("http://203.0.113.66/").join(" ")}; exit 5`]);
    assert.equal(denied.code, 3, denied.stderr);
    const fine = await host.run([...refused, "sh", "-c", `${curl("https://allowed.example/").join(" ")}; exit 5`]);
    assert.equal(fine.code, 5, fine.stderr);
    const watched = await host.run(["--fail-on", "deny", "--", ...curl("http://203.0.113.66/")]);
    assert.equal(watched.code, 0, "monitor mode refuses nothing");
  });

  test("a policy that does not load: exit 2 with the position, and nothing is run", async () => {
    const file = join(host.home, "broken.yaml");
    writeFileSync(file, "version: 1\nrules:\n  - { name: x, too: [allowed.example] }\n");
    for (const args of [
      ["--policy", file],
      ["--policy", join(host.home, "absent.yaml")],
      ["--allow", "not a host"],
    ]) {
      const outcome = await host.run([...args, "--", ...touch()]);
      assert.equal(outcome.code, 2, outcome.stderr);
      assert.match(outcome.stderr, /sallyport: /);
    }
    const { stderr } = await host.run(["--policy", file, "--", ...touch()]);
    assert.match(stderr, /broken\.yaml:3:\d+/);
    assert.equal(existsSync(ran), false);
  });

  test("not root: exit 4, what to do, and nothing is run", async () => {
    const outcome = await host.exec("setpriv", [
      ...["--reuid=65534", "--regid=65534", "--clear-groups", "--"],
      ...[sallyport, "run", "--", ...touch()],
    ]);
    assert.equal(outcome.code, 4, outcome.stderr);
    assert.match(outcome.stderr, /needs root[^]*sudo sallyport/);
    assert.equal(existsSync(ran), false);
  });

  test("a root without the capabilities: exit 4, naming them, and nothing is run", async () => {
    const outcome = await host.exec("setpriv", [
      ...["--bounding-set=-net_admin,-sys_admin", "--inh-caps=-all", "--"],
      ...[sallyport, "run", "--", ...touch()],
    ]);
    assert.equal(outcome.code, 4, outcome.stderr);
    assert.match(outcome.stderr, /CAP_NET_ADMIN, CAP_SYS_ADMIN/);
    assert.equal(existsSync(ran), false);
  });

  test("no such command: 127, and a message that names it", async () => {
    const outcome = await host.run(["-q", "--", "no-such-command"]);
    assert.equal(outcome.code, 127);
    assert.match(outcome.stderr, /no-such-command: not found/);
    const file = join(host.home, "not-executable");
    writeFileSync(file, "");
    assert.equal((await host.run(["-q", "--", file])).code, 126);
  });

  test("arguments arrive whole, and a command is a program, never the shell's own word", async () => {
    const odd = ["", " two  words ", `quo"te's`, "$HOME", "`id`", "new\nline", "-x", "--", "*", "ü", "a=b", "\\n"];
    const print = "process.stdout.write(JSON.stringify(process.argv.slice(1)))";
    const outcome = await host.run(["-q", "--", process.execPath, "-e", print, "--", ...odd]);
    assert.deepEqual(JSON.parse(outcome.stdout), odd, outcome.stderr);
    // A shell's own `echo` would make a line of it, and its own `exit` none.
    assert.equal((await host.run(["-q", "--", "echo", "a\\nb"])).stdout, "a\\nb\n");
    assert.equal((await host.run(["-q", "--", "exit", "3"])).code, 127);
  });

  test("streams are the command's own: megabytes of any bytes, both ways, no terminal", async () => {
    const bytes = randomBytes(3_000_000);
    const script = `cat > ${ran}.in; test -t 0 || cat ${ran}.in | sha256sum; echo to stderr >&2`;
    const outcome = await host.run(["-q", "--", "sh", "-c", script], { input: bytes });
    assert.equal(outcome.code, 0);
    assert.deepEqual(readFileSync(`${ran}.in`), bytes);
    assert.match(outcome.stdout, /^[0-9a-f]{64}  -\n$/);
    assert.equal(outcome.stderr, "to stderr\n", "--quiet leaves stderr to the command");
  });

  test("on a terminal the command has it, Ctrl-C reaches it once, and its answer is ours", async () => {
    const program = join(host.home, "interrupted.sh");
    writeFileSync(
      program,
      `test -t 0 && test -t 1 || exit 99
      n=0; trap 'n=$((n+1))' INT; echo ready
      i=0; while [ $i -lt 12 ]; do sleep 0.1; i=$((i+1)); done
      echo "interrupted $n times"; exit 42\n`,
    );
    const session = host.lab.gateway.spawn("script", [
      "-qefc",
      `exec ${sallyport} run -q -- sh ${program}`,
      "/dev/null",
    ]);
    await session.waitFor(/ready/);
    session.write("\x03");
    const outcome = await session.exited;
    assert.match(outcome.stdout, /interrupted 1 times/);
    assert.equal(outcome.code, 42);
  });

  test("nothing that the caller left open is handed to the command", async () => {
    const outcome = await host.exec("sh", [
      "-c",
      `exec 8>${ran}.open 9<&0; exec ${sallyport} run -q -- sh -c 'ls /proc/self/fd; env | grep -E "SALLYPORT|COMPILE_CACHE"'`,
    ]);
    assert.equal(outcome.stdout, "0\n1\n2\n3\n", "the standard streams, and the folder that ls reads");
  });

  test("a report goes only where the user himself could write, wherever the command makes the name lead", async () => {
    const folder = join(host.home, "of-user");
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    const secret = join(host.home, "roots-own");
    writeFileSync(secret, "untouched", { mode: 0o600 });
    const report = join(folder, "report.json");
    const user = { SUDO_UID: "65534", SUDO_GID: "65534", SUDO_USER: "nobody" };
    const swap = `rm ${report}; ln -s ${secret} ${report}`;
    const swapped = await host.run(["--report", report, "-q", "--", "sh", "-c", swap], { env: user });
    assert.equal(swapped.code, 0, swapped.stderr);
    assert.equal(readFileSync(secret, "utf8"), "untouched");
    const planted = await host.run(["--report", report, "-q", "--", ...touch()], { env: user });
    assert.equal(planted.code, 2, "the link was there before the run");
    assert.equal(readFileSync(secret, "utf8"), "untouched");
    assert.equal(existsSync(ran), false);
  });

  test("a record that the command could edit is refused, and one moved away during the run is said", async () => {
    const folder = join(host.home, "of-user-too");
    mkdirSync(join(folder, "its-own"), { recursive: true });
    for (const each of [folder, join(folder, "its-own")]) chmodSync(each, 0o777);
    const user = { SUDO_UID: "65534", SUDO_GID: "65534", SUDO_USER: "nobody" };
    const refused = await host.run(["--state", join(folder, "its-own"), "--", ...touch()], { env: user });
    assert.equal(refused.code, 4, refused.stderr);
    assert.match(refused.stderr, /could edit its own record/);
    assert.equal(existsSync(ran), false);
    const state = join(folder, "record");
    const moved = await host.run(
      [
        "--state",
        state,
        "--",
        "sh",
        "-c",
        `mv ${state} ${state}.gone; mkdir -p ${state}/events; dig +short only.example`,
      ],
      { env: user },
    );
    assert.equal(moved.code, 1, moved.stderr);
    assert.match(moved.stderr, /moved away/);
    const kept = await host.exec(sallyport, ["logs", "--state", `${state}.gone`, "--kind", "dns"]);
    assert.match(kept.stdout, /only\.example/);
  });

  test("two runs on one record: the second says so and runs nothing", async () => {
    const state = join(host.home, "shared-record");
    const first = host.start(["--state", state, "-q", "--", "sh", "-c", "echo up; read _"]);
    await first.waitFor(/up/);
    const second = await host.run(["--state", state, "--", ...touch()]);
    assert.equal(second.code, 4, second.stderr);
    assert.match(second.stderr, /STATE_IN_USE/);
    assert.equal(existsSync(ran), false);
    first.write("\n");
    assert.equal((await first.exited).code, 0);
  });

  test("a report that cannot be written stops the run before it begins", async () => {
    const outcome = await host.run(["--report", join(host.home, "no/such/folder.json"), "--", ...touch()]);
    assert.equal(outcome.code, 2, outcome.stderr);
    assert.equal(existsSync(ran), false);
  });

  test("a daemon that would start programs outside for the command is said to whom it concerns", async () => {
    // On a /run of its own: what is in this machine's is nobody's business here.
    const script = `cd / && mount -n -t tmpfs -o mode=755 none /run || exit 99
      socat UNIX-LISTEN:/run/docker.sock,mode=660,fork EXEC:true & until [ -S /run/docker.sock ]; do sleep 0.02; done
      ${sallyport} run -- true; echo next >&2; SUDO_UID=65534 SUDO_GID=65534 ${sallyport} run -- true; kill $!`;
    const [root, nobody] = (await host.exec("sh", ["-c", script])).stderr.split("next\n");
    assert.match(root!, /warning: the command can reach \/run\/docker\.sock/);
    assert.match(nobody!, /monitoring: true/);
    assert.doesNotMatch(nobody!, /docker/);
  });
});
