/** One sink of the configuration: its addresses checked, its certificates and secrets read. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Document, Path } from "../policy/document.ts";
import type { Problems } from "../policy/problem.ts";
import type { EventKind } from "../audit/event.ts";
import type { Secrets } from "./config.ts";
import type { RawSecret, RawSink } from "./schema.ts";

export type Format = "native" | "ocsf" | "ecs" | "cef";

/** PEM texts; absent ones are the system's authorities, and no certificate of ours. */
export interface Tls {
  ca?: string;
  cert?: string;
  key?: string;
}

interface Named {
  name: string;
  kinds: readonly EventKind[] | null;
}

/** Everything a sink needs, as plain data: it crosses to another process. Secrets are in it: never print one. */
export type SinkConfig = Named &
  (
    | { to: "file"; path: string; format: Format }
    | { to: "webhook"; url: string; headers: Record<string, string>; tls: Tls; format: Format }
    | {
        to: "syslog";
        transport: "udp" | "tcp" | "tls";
        host: string;
        port: number;
        facility: number;
        tls: Tls;
        format: Format;
      }
    | { to: "otlp"; url: string; headers: Record<string, string>; tls: Tls }
    | {
        to: "splunk";
        url: string;
        token: string;
        index: string | null;
        source: string | null;
        acknowledge: boolean;
        tls: Tls;
        format: Format;
      }
  );

export interface SinkContext {
  document: Document;
  problems: Problems;
  secrets: Secrets;
}

/** RFC 5424, table 1. */
const facilities = { auth: 4, daemon: 3, authpriv: 10 } as const;

/** Null where something is wrong with it; all of that is reported. */
export function checkSink(raw: RawSink, path: Path, context: SinkContext): SinkConfig | null {
  const check = new SinkCheck(raw, path, context);
  const sink = check.sink();
  return check.failed ? null : sink;
}

class SinkCheck {
  failed = false;
  readonly #raw: RawSink;
  readonly #path: Path;
  readonly #context: SinkContext;

  constructor(raw: RawSink, path: Path, context: SinkContext) {
    this.#raw = raw;
    this.#path = path;
    this.#context = context;
  }

  sink(): SinkConfig {
    const raw = this.#raw;
    const named = { name: raw.name, kinds: raw.kinds ?? null };
    switch (raw.to) {
      case "file":
        if (!raw.path.startsWith("/"))
          this.#report(["path"], "bad_address", "the path is not absolute", "Begin it with /.");
        return { ...named, to: raw.to, path: raw.path, format: raw.format ?? "native" };
      case "webhook":
        return {
          ...named,
          to: raw.to,
          ...this.#http(raw),
          headers: this.#headers(raw.headers),
          format: raw.format ?? "native",
        };
      case "otlp":
        return { ...named, to: raw.to, ...this.#http(raw), headers: this.#headers(raw.headers) };
      case "splunk": {
        const { index = null, source = null, acknowledge = false, format = "native" } = raw;
        const token = this.#secret(raw.token, ["token"]);
        const http = this.#http(raw);
        const { pathname = "/", search = "" } = URL.parse(http.url) ?? {};
        if (pathname + search !== "/") {
          const what = "the collector's paths are known; this one would be left out";
          this.#report(["url"], "bad_address", what, "Write https://HOST:8088 alone.");
        }
        return { ...named, to: raw.to, ...http, token, index, source, acknowledge, format };
      }
      case "syslog": {
        const place = this.#syslogAddress(raw.address);
        const name = raw.facility ?? "local0";
        const facility = name.startsWith("local")
          ? 16 + Number(name.at(-1))
          : facilities[name as keyof typeof facilities];
        const isTls = place.transport === "tls";
        for (const key of ["ca", "certificate", "key"] as const) {
          if (raw[key] === undefined || isTls) continue;
          this.#report([key], "bad_address", `${key} is for tls:// alone`, "Write tls://HOST:PORT, or remove it.");
        }
        const tls = isTls ? this.#tls(raw) : {};
        return { ...named, to: raw.to, ...place, facility, tls, format: raw.format ?? "native" };
      }
    }
  }

  #http(raw: {
    url: string | RawSecret;
    ca?: string | undefined;
    certificate?: string | undefined;
    key?: string | undefined;
  }) {
    const text = typeof raw.url === "string" ? raw.url : this.#secret(raw.url, ["url"]);
    const url = URL.parse(text);
    const fix = "Write https://HOST[:PORT]/PATH.";
    if (url === null || !/^https?:$/.test(url.protocol)) {
      this.#report(["url"], "bad_address", "not a URL of HTTP", fix);
    } else if (url.username !== "" || url.password !== "") {
      this.#report(
        ["url"],
        "secret_in_file",
        "the URL holds a user or a password",
        "Send them as a header from a file.",
      );
    } else if (url.protocol === "http:" && !isLoopback(url.hostname) && this.#hasSecrets()) {
      this.#report(["url"], "bad_address", "secrets would cross the network unencrypted", "Write https://.");
    }
    return { url: text, tls: this.#tls(raw) };
  }

  #hasSecrets(): boolean {
    const raw = this.#raw;
    return (
      raw.to === "splunk" ||
      ("url" in raw && typeof raw.url !== "string") ||
      ("headers" in raw && Object.keys(raw.headers ?? {}).length > 0)
    );
  }

  #headers(headers: Record<string, RawSecret> | undefined): Record<string, string> {
    const read: Record<string, string> = {};
    for (const [name, value] of Object.entries(headers ?? {})) {
      const path = ["headers", name];
      // RFC 9110, 5.1: a token.
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/.test(name) || ours.has(name.toLowerCase())) {
        this.#report(path, "bad_address", `${name} is not a header that can be set`, "Choose another header.");
        continue;
      }
      read[name.toLowerCase()] = this.#secret(value, path);
    }
    return read;
  }

  /** One line, without the newline that editors leave at its end. */
  #secret(secret: RawSecret, path: Path): string {
    const { secrets } = this.#context;
    let value: string | null;
    if ("env" in secret) {
      value = secrets.variable(secret.env) ?? null;
      if (value === null || value === "") {
        this.#report(
          path,
          "missing_secret",
          `the variable ${secret.env} is not set`,
          "Set it where the gateway starts.",
        );
        return "";
      }
    } else {
      value = this.#file(secret.file, path);
      if (value === null) return "";
    }
    const trimmed = value.trim();
    if (trimmed !== "" && !/[^\t\u0020-\u007e]/.test(trimmed)) return trimmed;
    this.#report(path, "missing_secret", "the secret is not one line of ASCII", "Put the value alone into it.");
    return "";
  }

  #tls(raw: { ca?: string | undefined; certificate?: string | undefined; key?: string | undefined }): Tls {
    const tls: Tls = {};
    const { ca, certificate, key } = raw;
    if ((certificate === undefined) !== (key === undefined)) {
      const path = certificate === undefined ? ["key"] : ["certificate"];
      this.#report(path, "missing_secret", "a certificate and its key go together", "Give both, or neither.");
    }
    const readers = [
      ["ca", ca, "ca", (pem: string) => new X509Certificate(pem)],
      ["certificate", certificate, "cert", (pem: string) => new X509Certificate(pem)],
      ["key", key, "key", (pem: string) => createPrivateKey(pem)],
    ] as const;
    for (const [name, file, member, open] of readers) {
      if (file === undefined) continue;
      const pem = this.#file(file, [name]);
      if (pem === null) continue;
      try {
        open(pem);
        tls[member] = pem;
      } catch {
        this.#report([name], "missing_secret", `${file} is not PEM`, "Give a PEM file.");
      }
    }
    return tls;
  }

  #file(name: string, path: Path): string | null {
    try {
      return this.#context.secrets.readFile(name);
    } catch (error) {
      const { code = "unreadable" } = error as NodeJS.ErrnoException;
      this.#report(path, "missing_secret", `${name} cannot be read (${code})`, "Check the path and the permissions.");
      return null;
    }
  }

  #syslogAddress(text: string): { transport: "udp" | "tcp" | "tls"; host: string; port: number } {
    const match = /^(udp|tcp|tls):\/\/(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
    const port = Number(match?.[4]);
    if (match === null || port < 1 || port > 65_535) {
      const fix = "Write udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT.";
      this.#report(["address"], "bad_address", "not an address of a syslog server", fix);
      return { transport: "udp", host: "", port: 0 };
    }
    return { transport: match[1] as "udp", host: match[2] ?? match[3]!, port };
  }

  #report(key: Path, code: "bad_address" | "secret_in_file" | "missing_secret", message: string, fix: string): void {
    this.failed = true;
    const { document, problems } = this.#context;
    const where = `${key.join(".")} of sink “${this.#raw.name}”`;
    problems.add(code, () => document.place([...this.#path, ...key]), `${where}: ${message}`, fix);
  }
}

/** Headers that a request has from us. */
const ours = new Set([
  "content-type",
  "content-length",
  "transfer-encoding",
  "connection",
  "host",
  "expect",
  "upgrade",
]);

function isLoopback(host: string): boolean {
  return host === "localhost" || /^127\.\d+\.\d+\.\d+$/.test(host) || host === "[::1]";
}
