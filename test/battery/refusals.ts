/** What the record must say of refusals, in few words. Monitor mode lets a connection go on and reads on: it may say more. */
import type { Expected } from "../support/record.ts";
import type { Job } from "./job.ts";

const byDefault = { name: null, tier: 3 };

/** A connection refused by the default, before its first byte or by what its first bytes show. */
export function refused(reason: string, destination: object, stage: "connect" | "name" = "connect"): Expected {
  return { kind: "connection", reason, stage, rule: byDefault, destination };
}

/** A TLS hello for this name, refused; `n` and `port` say where it went. */
export const hello =
  (name: string, reason = "default", n = 10, port = 443) =>
  (job: Job): Expected =>
    refused(reason, { name, name_from: "sni", ip: job.dot(n), port, protocol: "tls" }, "name");

/** The same with the marker in the name. */
export const markedHello =
  (suffix: string, n = 10) =>
  (job: Job, marker: string): Expected =>
    hello(`${marker.toLowerCase()}${suffix}`, "default", n)(job);

/** A request for this host, refused. */
export const request =
  (name: string, reason = "default", n = 80, port = 80) =>
  (job: Job): Expected =>
    refused(reason, { name, name_from: "host", ip: job.dot(n), port, protocol: "http" }, "name");

/** A connection to the attacker's address, which nothing explains. */
export const nameless =
  (port: number, protocol: string = "tcp") =>
  (job: Job): Expected =>
    refused("no_name", { ip: job.dot(66), port, protocol });

/** A question refused by the default. */
export function unasked(reason: string, destination: object, dns: object = {}): Expected {
  return { kind: "dns", reason, stage: "dns", rule: byDefault, destination: { protocol: "dns", ...destination }, dns };
}

/** What monitor records of a connection whose first bytes showed an allowed name. */
export const letGo = { verdict: "allow", rule: { name: "web", tier: 2 } };
