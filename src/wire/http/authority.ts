/**
 * Which host a request asks for: the Host field, or the authority inside the request target, which wins and must agree
 * (RFC 9112 section 3.2).
 */
import { canonicalName, isNameDefect, type NameDefectCode } from "../../address/name.ts";

/** `name`: canonical (see `address/name.ts`). `port` null: none said. */
export type Host =
  | { kind: "none" }
  | { kind: "name"; name: string; port: number | null }
  | { kind: "invalid"; defect: HostDefect };

export type HostDefect = NameDefectCode | "two_hosts" | "port" | "userinfo";

/** Reads `uri-host [ ":" port ]` (RFC 9110 section 7.2). */
export function parseAuthority(authority: string): Host {
  if (authority === "") return { kind: "invalid", defect: "empty" };
  if (authority.includes("@")) return { kind: "invalid", defect: "userinfo" };
  if (authority.startsWith("[")) return { kind: "invalid", defect: "ip_literal" };
  const colon = authority.indexOf(":");
  // Percent-encoding has no canonical form: one server decodes it, another does not.
  const name = canonicalName(colon < 0 ? authority : authority.slice(0, colon));
  if (isNameDefect(name)) return { kind: "invalid", defect: name.defect };
  if (colon < 0) return { kind: "name", name, port: null };
  const digits = authority.slice(colon + 1);
  const port = /^[0-9]{1,5}$/.test(digits) ? Number(digits) : 0;
  if (port < 1 || port > 65535) return { kind: "invalid", defect: "port" };
  return { kind: "name", name, port };
}

/** Whether two hosts are one: ports after `defaultPort` is filled in. */
export function sameHost(a: Host, b: Host, defaultPort: number): boolean {
  return (
    a.kind === "name" && b.kind === "name" && a.name === b.name && (a.port ?? defaultPort) === (b.port ?? defaultPort)
  );
}
