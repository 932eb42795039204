/**
 * The hosts that the runner itself speaks to, by the addresses it was given and from GitHub's own list: exact, never a wildcard
 * over storage in which anybody can register a name. Who may speak to them is decided in `machine/permits.ts`.
 */
import { isIP } from "node:net";
import type { ControlEndpoint } from "../machine/order.ts";
import { githubActions } from "../policy/preset-github-actions.ts";

/** Variables of the runner's whose value is the address of a service of the control plane. */
const variables = [
  "ACTIONS_RESULTS_URL",
  "ACTIONS_RUNTIME_URL",
  "ACTIONS_CACHE_URL",
  "ACTIONS_ID_TOKEN_REQUEST_URL",
  "GITHUB_SERVER_URL",
  "GITHUB_API_URL",
  "GITHUB_GRAPHQL_URL",
];
/** Of these, what GitHub's own actions speak to as well: caches, artifacts, tokens. */
const forActions = ["ACTIONS_RESULTS_URL", "ACTIONS_RUNTIME_URL", "ACTIONS_CACHE_URL", "ACTIONS_ID_TOKEN_REQUEST_URL"];

export interface ControlPlane {
  /** For the action itself: the next job's policy on a runner that stays, asked for while the rules of the job before hold. */
  self: { action: string; endpoints: ControlEndpoint[] } | null;
  /** For the runner's worker and listener. */
  runner: ControlEndpoint[];
  /** For actions of GitHub's that move caches and artifacts. */
  actions: ControlEndpoint[];
}

/** Reads the environment of the action's own process, which the worker made. */
export function controlPlaneOf(env: NodeJS.ProcessEnv): ControlPlane {
  const runner = new Map<string, ControlEndpoint>();
  const actions = new Map<string, ControlEndpoint>();
  for (const name of variables) {
    const endpoint = endpointOf(env[name]);
    if (endpoint === null) continue;
    runner.set(endpoint.to, endpoint);
    if (forActions.includes(name)) actions.set(endpoint.to, endpoint);
  }
  // GitHub's own service has storage and queues under names that no variable tells beforehand.
  if (env["GITHUB_SERVER_URL"] === "https://github.com") {
    for (const { host } of githubActions.at(-1)!) {
      const endpoint = { to: host, protocol: "tls" } as const;
      runner.set(host, endpoint);
      if (/blob\.core\.windows\.net$|githubapp\.com$/.test(host)) actions.set(host, endpoint);
    }
  }
  const action = env["GITHUB_ACTION_REPOSITORY"] ?? "";
  const api = endpointOf(env["GITHUB_API_URL"] ?? "https://api.github.com");
  const self = action === "" || api === null ? null : { action, endpoints: [api] };
  return { runner: sorted(runner), actions: sorted(actions), self };
}

function sorted(endpoints: ReadonlyMap<string, ControlEndpoint>): ControlEndpoint[] {
  return [...endpoints].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
}

function endpointOf(value: string | undefined): ControlEndpoint | null {
  if (value === undefined || value === "") return null;
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    return null;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  const family = isIP(host);
  // An address shows no name that could be compared.
  if (family !== 0) return { to: family === 6 ? `[${host}/128]:${port}` : `${host}/32:${port}`, protocol: "tcp" };
  return { to: `${host}:${port}`, protocol: url.protocol === "https:" ? "tls" : "http" };
}
