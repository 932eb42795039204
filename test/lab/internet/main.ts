/**
 * The process that is the internet: every server of the lab, in the internet namespace. Started by `internet.ts` through
 * `ip netns exec` with an IPC channel; ends when the channel closes, so it never outlives its lab.
 */
import { createSocket } from "node:dgram";
import { AptRepository } from "./apt-repository.ts";
import { CertificateIssuer } from "./certificates.ts";
import { DnsServer } from "./dns-server.ts";
import { GitServer } from "./git-server.ts";
import { GitShell } from "./git-shell.ts";
import type { PlaintextSighting } from "./marker-watch.ts";
import { NpmRegistry } from "./npm-registry.ts";
import { PipIndex } from "./pip-index.ts";
import type { Message, Operation, Operations, Request, Start } from "./protocol.ts";
import { Listeners } from "./services.ts";
import type { ServiceRequest } from "./services.ts";
import { Sites } from "./sites.ts";
import { Web } from "./web.ts";

const services: ServiceRequest[] = [
  { kind: "ssh", port: 22 },
  { kind: "dns-tcp", port: 53 },
  { kind: "http", port: 80 },
  { kind: "https", port: 443 },
  { kind: "dns-tls", port: 853 },
  { kind: "proxy", port: 3128 },
  { kind: "http", port: 8080 },
  { kind: "https", port: 8443 },
  { kind: "echo", port: 9000 },
  { kind: "banner", port: 9001 },
  { kind: "digest", port: 9002 },
];

/** UDP has no listener for every address: an answer must leave from the address that was asked. */
const udpEchoAddresses = ["203.0.113.91", "2001:db8:200::91", "203.0.113.66", "2001:db8:200::66"];

type Handlers = { [O in Operation]: (argument: Operations[O]["argument"]) => Promise<Operations[O]["result"]> };

function send(message: Message): void {
  process.send?.(message);
}

async function start({ directory, zone, hosting, dnsAddresses }: Start): Promise<Handlers> {
  const report = (sighting: PlaintextSighting): void => send({ kind: "sighting", sighting });
  const dns = new DnsServer(zone);
  const issuer = new CertificateIssuer(directory);
  const git = new GitServer(directory);
  const shell = new GitShell(directory, git);
  const packages = { registry: new NpmRegistry(), pip: new PipIndex(), apt: new AptRepository() };
  const web = new Web({ hosting, dns, git, ...packages, report });
  const listeners = new Listeners({ dns, web, shell, sites: new Sites(issuer, hosting, web, report), report });
  await Promise.all([
    ...services.map((service) => listeners.open(service)),
    ...dnsAddresses.map((address) => listeners.open({ kind: "dns-udp", port: 53, address })),
    ...udpEchoAddresses.map((address) => listeners.open({ kind: "udp-echo", port: 9100, address })),
  ]);
  return {
    "dns.set": async ({ name, entry }) => {
      dns.zone.set(name, entry);
      return null;
    },
    "dns.remove": async ({ name }) => {
      dns.zone.remove(name);
      return null;
    },
    "dns.queries": async () => dns.queries(),
    "web.requests": async () => web.requests,
    "host.set": async ({ address, names }) => {
      hosting[address] = names;
      return null;
    },
    "service.open": async (service) => {
      await listeners.open(service);
      return null;
    },
    barrier: ({ token }) => sendBarrier(token),
    certificate: async ({ name }) => {
      const { keyFile, certFile } = await issuer.issue(name);
      return { keyFile, certFile };
    },
    "git-shell.keys": () => shell.keys(),
    forget: async () => {
      dns.forget();
      web.requests.length = 0;
      return null;
    },
  };
}

/** Datagrams that carry the token and are large enough together to fill a block of the capture's ring (256 KiB). */
async function sendBarrier(token: string): Promise<null> {
  const socket = createSocket("udp4");
  const datagram = Buffer.alloc(60_000);
  datagram.write(token, "latin1");
  for (let i = 0; i < 6; i++) {
    await new Promise<void>((resolve, reject) => {
      socket.send(datagram, 9, "127.0.0.1", (error) => (error === null ? resolve() : reject(error)));
    });
  }
  socket.close();
  return null;
}

let handlers: Handlers | undefined;

process.on("message", (message: Start | Request) => {
  if (!("id" in message)) {
    start(message).then(
      (started) => {
        handlers = started;
        send({ kind: "ready" });
      },
      (error: Error) => send({ kind: "failed", error: error.message }),
    );
    return;
  }
  const { id, operation, argument } = message;
  const handler = handlers?.[operation] as ((argument: unknown) => Promise<unknown>) | undefined;
  if (handler === undefined) return send({ kind: "error", id, error: `no operation ${operation} yet` });
  handler(argument).then(
    (result) => send({ kind: "reply", id, result }),
    (error: Error) => send({ kind: "error", id, error: error.message }),
  );
});
process.on("disconnect", () => process.exit(0));
