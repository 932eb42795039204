/**
 * What a client's configuration comes to: endpoints with the place that names them. URLs as clients write them are read here,
 * once: scheme, host, port, and nothing of the credentials that may stand in them.
 */
import { isExact } from "../address/pattern.ts";
import { specialClass } from "../address/special.ts";
import type { Protocol } from "../policy/decision.ts";
import { isEndpointDefect, parseEndpoint } from "../policy/endpoint.ts";
import type { Endpoint } from "../policy/model.ts";
import { entryFor, sinks } from "../policy/sinks.ts";
import { lineOf, projectPrefix } from "./machine.ts";
import type { Text } from "./machine.ts";

/** One endpoint that a client needs. */
export interface Found {
  readonly host: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** What names it, for people: `package-lock.json:12, 41 packages`. */
  readonly why: string;
  /** A file of the project names it, which comes with a branch. */
  readonly project: boolean;
}

/** What was found for one preset. */
export class Finding {
  readonly #found = new Map<string, Found>();
  /** Sentences on what is as it is; shown with the result. */
  readonly notes: string[] = [];
  /** What could not be found or carried: the preset is not whole. */
  readonly missing: string[] = [];
  /** Nothing is configured, so the client asks what is built into it: the built-in list of that name. */
  asksBuiltIn = false;
  /** A file of settings is not what it should be: what it would have named is not known, and nothing is guessed instead. */
  isBroken = false;

  /** Settings that cannot be understood. */
  broken(text: string): void {
    this.missing.push(text);
    this.isBroken = true;
  }

  get found(): readonly Found[] {
    return [...this.#found.values()];
  }

  /** The endpoint of a URL; the first to name it says why. A file or a folder needs no endpoint. */
  url(text: string, why: string): void {
    const parsed = readUrl(text);
    if (parsed === null) this.missing.push(`${why}: ${shown(text)} is no URL that names a host`);
    else if (parsed !== "local") this.host(parsed.host, parsed.port, parsed.protocol, why);
  }

  host(host: string, port: number, protocol: Protocol, why: string): void {
    const bracketed = host.includes(":") ? `[${host}]` : host;
    const endpoint = parseEndpoint(`${bracketed}:${port}`);
    if (isEndpointDefect(endpoint)) {
      this.missing.push(`${why}: ${endpoint.message}`);
      return;
    }
    // The URL standard lets * and braces stand in a host: a stranger's lockfile with https://*.example/ would open a zone.
    if (endpoint.endpoint.kind === "name" && !isExact(endpoint.endpoint.pattern)) {
      this.missing.push(`${why}: ${shown(host)} is no name of one host`);
      return;
    }
    const project = isOfProject(why);
    const danger = project ? dangerOf(endpoint.endpoint) : null;
    if (danger !== null) {
      this.missing.push(
        `${why}: ${endpoint.endpoint.text} is ${danger}, and a file of the project is no reason to open it`,
      );
      return;
    }
    const text = bracketed === host ? endpoint.endpoint.text : `[${endpoint.endpoint.text}]`;
    const key = `${text} ${port} ${protocol}`;
    if (!this.#found.has(key)) this.#found.set(key, { host: text, port, protocol, why, project });
  }

  /** Says which hosts are the project's own choice: a stranger's change may be what names them. */
  tellProjects(): void {
    const hosts = [...new Set(this.found.filter(({ project }) => project).map(({ host }) => host))];
    if (hosts.length === 0) return;
    const rest = hosts.length > mostTold ? ` and ${hosts.length - mostTold} more` : "";
    this.notes.push(
      `named by files of the project, which whoever changes it can change: ${hosts.slice(0, mostTold).join(", ")}${rest}; compare with the default branch`,
    );
  }
}

const mostTold = 20;

/** The places that name something begin with the file, or have it in brackets (`npm.ts`). */
function isOfProject(why: string): boolean {
  return why.startsWith(projectPrefix) || why.includes(`(${projectPrefix}`);
}

/** What a stranger's file may not open, in words; null: nothing against it. */
function dangerOf(endpoint: Endpoint): string | null {
  if (endpoint.kind === "cidr") {
    return specialClass(endpoint.cidr.address) === null ? null : "a private, local or metadata address";
  }
  return entryFor(sinks, endpoint.text) === null ? null : "known as a place where anybody can leave data";
}

const schemes: Readonly<Record<string, readonly [Protocol, number]>> = {
  "https:": ["tls", 443],
  "http:": ["http", 80],
  "ssh:": ["ssh", 22],
  "git:": ["tcp", 9418],
};

/** A URL's endpoint; `local` for files; null for what names no host. Prefixes such as `git+` and `sparse+` are passed over. */
export function readUrl(text: string): Pick<Found, "host" | "port" | "protocol"> | "local" | null {
  const bare = text.trim().replace(/^(?:git|sparse|registry|hg|svn|bzr)\+/, "");
  if (/^(?:file:|\.{0,2}\/|copy:|cdrom:)/.test(bare)) return "local";
  let url: URL;
  try {
    url = new URL(bare);
  } catch {
    return null;
  }
  const scheme = schemes[url.protocol];
  if (scheme === undefined || url.hostname === "") return null;
  const [protocol, usual] = scheme;
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  const port = url.port === "" ? usual : Number(url.port);
  return port === 0 ? null : { host, port, protocol };
}

/** A foreign text in a message: one line, short, without what stands before an `@` in a URL. */
export function shown(text: string): string {
  const clean = text
    .replaceAll(/\/\/[^/@\s]*@/g, "//…@")
    .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ")
    .trim();
  return `“${clean.length > 100 ? `${clean.slice(0, 99)}…` : clean}”`;
}

/** `pip.conf:3, index-url`: where in a file a value stands. */
export function placeOf({ name, text }: Text, value: string, what: string): string {
  const line = lineOf(text, value);
  return `${name}${line === null ? "" : `:${line}`}, ${what}`;
}

/** The hosts of many URLs of a lockfile, each once, with the first line and how many name it. */
export function fromLockfile(finding: Finding, file: Text, urls: readonly string[], noun: string): void {
  const byHost = Map.groupBy(urls, (text) => {
    const url = readUrl(text);
    return url === null ? `? ${text}` : url === "local" ? "local" : `${url.protocol} ${url.host} ${url.port}`;
  });
  for (const group of byHost.values()) {
    const count = group.length === 1 ? `1 ${noun}` : `${group.length} ${noun}s`;
    finding.url(group[0]!, placeOf(file, group[0]!, count));
  }
}
