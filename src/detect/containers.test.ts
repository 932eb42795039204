/** Promises about containers: what is as good as root on the host is told, what a build's container has every day is not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  dangersOfBundle,
  dangersOfCommand,
  dangersOfHostConfig,
  type ContainerDanger,
  type Surroundings,
} from "./containers.ts";

const around: Surroundings = {
  sensitive: ["/home/runner/work/_actions/sallyport"],
  resolve: (path) => (path === "/tmp/link" ? "/etc" : path),
  isHost: (_, path) => path === "/proc/1/ns/net",
};
const say = (dangers: ContainerDanger[]) => dangers.map(({ kind, what }) => `${kind} ${what}`.trim());

const ordinaryCaps = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETUID", "CAP_SYS_CHROOT"];
const every = [...Array(41).keys()].map((i) => `CAP_${i}`);
const masked = ["/proc/kcore", "/sys/firmware"];

/** A bundle as engines make it, with changes. */
function bundle(linux: object = {}, more: { mounts?: object[]; caps?: string[]; without?: string[] } = {}) {
  const { mounts = [], caps = ordinaryCaps, without = [] } = more;
  return {
    ociVersion: "1.0.2",
    process: { capabilities: { bounding: caps, effective: caps, permitted: caps } },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "ro"] },
      { destination: "/etc/hosts", type: "bind", source: "/var/lib/docker/containers/abc/hosts", options: ["rbind"] },
      ...mounts,
    ],
    linux: {
      maskedPaths: masked,
      resources: {
        devices: [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
        ],
      },
      namespaces: ["mount", "network", "uts", "pid", "ipc"]
        .filter((type) => !without.includes(type))
        .map((type) => ({ type })),
      ...linux,
    },
  };
}
const bind = (source: string, options = ["rbind"]) => ({ destination: "/x", type: "bind", source, options });

describe("a bundle", () => {
  const told = (config: unknown) => say(dangersOfBundle(config, around));

  test("of an ordinary container is none", () => {
    assert.deepEqual(told(bundle()), []);
    assert.deepEqual(
      told({ ...bundle(), root: { path: "/var/lib/docker/overlay2/5d3a-init/merged" } }),
      [],
      "its root is what its engine made for it",
    );
    assert.deepEqual(told(bundle({}, { mounts: [bind("/var/lib/docker/overlay2/5d3a/merged")] })), [
      "mount /var/lib/docker/overlay2/5d3a/merged",
    ]);
    for (const path of ["/", "/var/lib/docker", "/var/lib/docker/overlay2", "/var/lib/docker/overlay2/../../../../etc"])
      assert.equal(told({ ...bundle(), root: { path } }).length, 1, path);
    assert.deepEqual(
      told(bundle({}, { mounts: [bind("/home/runner/work/r/r"), bind("/tmp/cache"), bind("/etc/ssl/certs")] })),
      [],
    );
    assert.deepEqual(told(bundle({}, { caps: [...ordinaryCaps, "CAP_NET_ADMIN"] })), [], "on its own network");
  });

  test("with a namespace of the host", () => {
    assert.deepEqual(told(bundle({}, { without: ["pid"] })), ["namespace pid"]);
    assert.deepEqual(told(bundle({}, { without: ["network", "ipc"] })), ["namespace network", "namespace ipc"]);
    const namespaces = [{ type: "pid" }, { type: "ipc" }, { type: "network", path: "/proc/1/ns/net" }];
    assert.deepEqual(told(bundle({ namespaces })), ["namespace network"]);
    assert.deepEqual(
      told(bundle({ namespaces: [...namespaces.slice(0, 2), { type: "network", path: "/run/netns/other" }] })),
      [],
    );
  });

  test("with capabilities that lead out", () => {
    assert.deepEqual(told(bundle({}, { caps: [...ordinaryCaps, "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"] })), [
      "capability CAP_SYS_ADMIN",
      "capability CAP_SYS_PTRACE",
    ]);
    assert.deepEqual(told(bundle({}, { caps: ["CAP_NET_ADMIN"], without: ["network"] })), [
      "namespace network",
      "capability CAP_NET_ADMIN",
    ]);
    const namespaces = ["user", "network", "pid", "ipc"].map((type) => ({ type }));
    const mapped = (hostID: number) =>
      bundle({ namespaces, uidMappings: [{ containerID: 0, hostID, size: 1 }] }, { caps: ["CAP_SYS_ADMIN"] });
    assert.deepEqual(told(mapped(100_000)), [], "root of its own");
    assert.deepEqual(told(mapped(0)), ["capability CAP_SYS_ADMIN"]);
  });

  test("that is privileged", () => {
    const resources = { devices: [{ allow: true, access: "rwm" }] };
    assert.ok(
      told(bundle({ resources, maskedPaths: null }, { caps: [...every, "CAP_SYS_ADMIN"] })).includes("privileged"),
    );
  });

  test("with a disk or the memory", () => {
    const devices = [
      { path: "/dev/sda", type: "b" },
      { path: "/dev/kvm", type: "c" },
      { path: "/dev/mem", type: "c" },
    ];
    assert.deepEqual(told(bundle({ devices })), ["device /dev/sda", "device /dev/mem"]);
  });

  test("that sees the host's files", () => {
    const mounts = ["/", "/etc", "/tmp/link", "/var/run/docker.sock", "/var", "/home/runner/", "/sys/fs/cgroup"].map(
      (source) => bind(source),
    );
    assert.deepEqual(told(bundle({}, { mounts })), [
      "mount /",
      "mount /etc",
      "mount /run/docker.sock",
      "mount /var",
      "mount /home/runner",
      "mount /sys/fs/cgroup",
    ]);
  });

  test("that is anything else is none, whatever it holds", () => {
    for (const config of [null, 1, "x", [], {}]) assert.ok(Array.isArray(dangersOfBundle(config, around)));
    assert.deepEqual(say(dangersOfBundle({ linux: { namespaces: "no", devices: [null] }, mounts: [7] }, around)), [
      "namespace pid",
      "namespace network",
      "namespace ipc",
    ]);
  });
});

test("docker's own record of a container", () => {
  const told = (config: unknown) => say(dangersOfHostConfig(config, around));
  const plain = {
    Privileged: false,
    PidMode: "",
    NetworkMode: "bridge",
    IpcMode: "private",
    CapAdd: null,
    Binds: ["/home/runner/work/r/r:/w"],
    Devices: [],
  };
  assert.deepEqual(told(plain), []);
  assert.deepEqual(
    told({
      ...plain,
      Privileged: true,
      PidMode: "host",
      CapAdd: ["sys_admin"],
      Devices: [{ PathOnHost: "/dev/sda1" }],
      Binds: ["/:/host:rw"],
    }),
    ["privileged", "namespace pid", "capability CAP_SYS_ADMIN", "device /dev/sda1", "mount /"],
  );
  assert.deepEqual(
    told({ ...plain, NetworkMode: "host", Mounts: [{ Type: "bind", Source: "/var/run/docker.sock" }] }),
    ["namespace network", "mount /run/docker.sock"],
  );
  assert.deepEqual(told(null), []);
});

test("a command line", () => {
  const told = (line: string) => say(dangersOfCommand(line.split(" "), around));
  assert.deepEqual(told("docker run --rm --privileged alpine"), ["privileged"]);
  assert.deepEqual(told("podman run --pid=host --net host -v /:/h:ro --cap-add ALL --device /dev/sda x"), [
    "namespace pid",
    "namespace network",
    "mount /",
    "privileged",
    "device /dev/sda",
  ]);
  assert.deepEqual(told("docker run --mount type=bind,source=/etc,target=/e x"), ["mount /etc"]);
  for (const line of [
    "docker ps",
    "docker run --privileged=false -v /tmp:/t x",
    "docker build --network=host .",
    "docker",
  ])
    assert.deepEqual(told(line), [], line);
});
