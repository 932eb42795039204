/**
 * Under sudo the command is the user's own again, and the ways in which a user's processes can have something done for them
 * outside the network namespace are closed: other processes, sockets of daemons that resolve names or start programs.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Host, sallyport } from "./support.ts";

const uid = 4242;

describe("the invoking user", () => {
  let host: Host;
  /** What sudo sets, for a user whom this machine gets to know in a private /etc. */
  const sudo = { SUDO_UID: String(uid), SUDO_GID: String(uid), SUDO_USER: "runner", SUDO_COMMAND: "sallyport" };
  /** Runs a script on the host as root, with that user known and, if asked, a /run of its own. */
  const onHost = (script: string, ownRun = false) => {
    const prepare = `set -e
      cp /etc/passwd passwd; echo "runner:x:${uid}:${uid}::${host.home}/of-runner:/bin/dash" >> passwd
      cp /etc/group group; printf 'runner:x:${uid}:\\nbuilders:x:4343:runner\\n' >> group
      mount -n --bind passwd /etc/passwd; mount -n --bind group /etc/group
      mkdir -p of-runner && chown ${uid} of-runner
      ${ownRun ? "cd /; mount -n -t tmpfs -o mode=755 none /run" : ""}
      set +e`;
    return host.exec("sh", ["-c", `${prepare}\n${script}`], { env: sudo });
  };
  before(async () => {
    host = await Host.create();
  });
  after(() => host.close());

  test("runs the command, with groups, home and environment, and no more rights than he has", async () => {
    const script = `id -u; id -g; id -G; echo $HOME $USER $LOGNAME $SHELL; env | grep -c SUDO
      grep -E "Cap(Eff|Prm|Amb)" /proc/self/status; cat /etc/shadow; touch ${host.home}/of-runner/his; pwd`;
    const { stdout, code, stderr } = await onHost(`${sallyport} run -q -- sh -c '${script}'`);
    assert.equal(code, 0, stderr);
    const lines = stdout.trim().split("\n");
    assert.deepEqual(lines.slice(0, 3), [String(uid), String(uid), `${uid} 4343`]);
    assert.equal(lines[3], `${host.home}/of-runner runner runner /bin/dash`);
    assert.equal(lines[4], "0");
    for (const line of lines.slice(5, 8)) assert.match(line, /^Cap...:\s0{16}$/);
    assert.match(stderr, /shadow: Permission denied/);
    assert.equal(lines[8], host.home, "where it was called");
    assert.match(
      (await host.exec("ls", ["-ln", join(host.home, "of-runner")])).stdout,
      new RegExp(` ${uid} +${uid} .* his`),
    );
  });

  test("root stays root where nobody used sudo, and a user number that nobody has is taken as it is", async () => {
    assert.equal((await host.run(["-q", "--", "id", "-u"])).stdout, "0\n");
    const unknown = await host.run(["-q", "--", "id", "-u"], { env: { SUDO_UID: "777777", SUDO_GID: "777777" } });
    assert.equal(unknown.stdout, "777777\n", unknown.stderr);
  });

  test("a name cannot be resolved, nor a program started, by a daemon outside", async () => {
    const sockets = [
      "/run/dbus/system_bus_socket",
      "/run/nscd/socket",
      "/run/systemd/resolve/io.systemd.Resolve",
      "/run/systemd/private",
      "/run/avahi-daemon/socket",
      `/run/user/${uid}/bus`,
    ];
    const ask = `for s in ${sockets.join(" ")}; do socat -u UNIX-CONNECT:$s - 2>/dev/null; done; socat -u ABSTRACT-CONNECT:outside - 2>/dev/null`;
    const { stdout, stderr } = await onHost(
      `mkdir -p ${sockets.map((path) => path.replace(/\/[^/]*$/, "")).join(" ")} /run/systemd/resolve
      for s in ${sockets.join(" ")}; do socat UNIX-LISTEN:$s,mode=666,fork EXEC:'echo answered' & done
      socat ABSTRACT-LISTEN:outside,fork EXEC:'echo answered' &
      ask() { ${ask}; }
      # A socket is there before somebody listens, and the abstract one cannot be looked for.
      for i in $(seq 200); do before=$(ask); [ "$(echo "$before" | wc -l)" = ${sockets.length + 1} ] && break; sleep 0.05; done
      echo outside; echo "$before"; echo inside; ${sallyport} run -q -- sh -c '${ask}
        touch /run/user/${uid}/mine && ls -A /run/user /run/user/${uid}; ls -A /run/dbus'
      echo again; ask; trap : TERM; kill 0`,
      true,
    );
    const [, outside, inside, again] = stdout.split(/^(?:outside|inside|again)\n/m);
    assert.equal(outside, "answered\n".repeat(sockets.length + 1), stderr);
    assert.equal(inside, `/run/user:\n${uid}\n\n/run/user/${uid}:\nmine\n`, "his own folder is there, and empty");
    assert.equal(again, outside);
  });

  test("a resolv.conf that leads into a covered folder is shown all the same", async () => {
    const { stdout, stderr } = await onHost(
      `mkdir -p /run/systemd/resolve; cp /etc/resolv.conf /run/systemd/resolve/resolv.conf
      umount -n /etc/resolv.conf; cp -a /etc /run/etc; mount -n --bind /run/etc /etc
      rm -f /etc/resolv.conf; ln -s ../run/systemd/resolve/resolv.conf /etc/resolv.conf
      ${sallyport} run --allow allowed.example -q -- sh -c 'cat /etc/resolv.conf; getent ahostsv4 allowed.example'`,
      true,
    );
    assert.match(stdout, /nameserver 203\.0\.113\.53/, stderr);
    assert.match(stdout, /203\.0\.113\.10/, stderr);
  });

  test("processes outside are out of sight, his own as well", async () => {
    const { stdout, stderr } = await onHost(
      `setpriv --reuid=${uid} --regid=${uid} --clear-groups sleep 60 & p=$!
      ${sallyport} run -q -- sh -c "kill -TERM $p; ls -d /proc/$p; ls -d /proc/[0-9]* | wc -l"
      kill -0 $p && echo alive; kill $p`,
    );
    const [count, alive] = stdout.trim().split("\n");
    assert.ok(Number(count) < 10, stdout);
    assert.equal(alive, "alive", stderr);
  });

  test("cron and at take no jobs from inside", async () => {
    const { stdout } = await onHost(
      `mkdir -p /run/spool; mount -n --bind /run/spool /var/spool; mkdir -p /var/spool/cron/crontabs; chmod 777 /var/spool/cron/crontabs
      ${sallyport} run -q -- sh -c 'echo x > /var/spool/cron/crontabs/runner; ls -A /var/spool/cron'; ls -A /var/spool/cron/crontabs; echo end`,
      true,
    );
    assert.equal(stdout, "end\n");
  });
});
