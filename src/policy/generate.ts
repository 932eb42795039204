/** Policy texts for callers that have no file. They pass through the loader like any other. */
import type { Mode } from "./decision.ts";

/**
 * The text of a policy that allows a list of endpoints to every source: `pypi.org`, `host:8080/http`, `203.0.113.0/24:5432/tcp`.
 * A protocol after the last slash is only needed where the port does not imply one. Endpoints are not checked here: the
 * loader does it and names the one that is wrong.
 */
export function policyFromAllow(endpoints: readonly string[], mode: Mode): string {
  const byProtocol = new Map<string | null, string[]>();
  for (const text of endpoints) {
    const match = /^(.*)\/(tls|http|ssh|tcp|udp|quic|icmp)$/.exec(text);
    const protocol = match?.[2] ?? null;
    const list = byProtocol.get(protocol) ?? [];
    byProtocol.set(protocol, list);
    if (!list.includes(match?.[1] ?? text)) list.push(match?.[1] ?? text);
  }
  const rules = [...byProtocol].map(([protocol, to]) => ({
    name: protocol === null ? "allowed endpoints" : `allowed endpoints (${protocol})`,
    to,
    ...(protocol === null ? {} : { protocol }),
  }));
  return yaml({ version: 1, rules, default: { mode } });
}

/** The text of a policy without a rule: everything meets the default. */
export function emptyPolicy(mode: Mode): string {
  return yaml({ version: 1, default: { mode } });
}

/** Block style outside, JSON inside: readable line numbers, and no text can break out of its quotes. */
function yaml({ version, rules = [], default: tier3 }: { version: 1; rules?: object[]; default: object }): string {
  const lines = [`version: ${version}`];
  if (rules.length > 0) lines.push("rules:", ...rules.map((rule) => `  - ${JSON.stringify(rule)}`));
  lines.push(`default: ${JSON.stringify(tier3)}`);
  return `${lines.join("\n")}\n`;
}
