/** Sallyport's gateway as people start it: its launcher, enforcing, with the record on. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { name as allowed, resolver, type Stand } from "../stand/stand.ts";
import type { Peer } from "./peer.ts";

export const launcher = new URL("../../sallyport", import.meta.url).pathname;

/** Its state directory on a stand. */
export const stateOf = (stand: Pick<Stand, "lab">): string => join(stand.lab.gateway.home, "state");
const policyOf = (stand: Pick<Stand, "lab">): string => join(stand.lab.gateway.home, "policy.yaml");

/** A policy's text: the rules that the stand's load needs, and others. */
export function policyText(ports: readonly number[], others: readonly string[] = []): string {
  const rules = [`  - { name: bench, to: [${allowed}], ports: [${ports.join(", ")}], protocol: tls }`, ...others];
  return `version: 1\nrules:\n${rules.join("\n")}\ndefault: { mode: enforce }\n`;
}

/** Replaces the policy file in one step, as a careful deployment does. */
export function writePolicy(stand: Pick<Stand, "lab">, text: string): void {
  writeFileSync(`${policyOf(stand)}.new`, text);
  renameSync(`${policyOf(stand)}.new`, policyOf(stand));
}

/** Starts the gateway at a stand; resolves when it says that it is ready. */
export async function startGateway(stand: Pick<Stand, "lab">, policy: string, dns: string): Promise<void> {
  const { gateway } = stand.lab;
  mkdirSync(stateOf(stand), { recursive: true });
  writePolicy(stand, policy);
  const links = ["--inside", ...gateway.inside, "--outside", gateway.outside];
  const args = ["gateway", "--policy", policyOf(stand), ...links, "--state", stateOf(stand), "--dns", dns];
  await gateway.spawn(launcher, args).waitFor(/^sallyport: ready: /m, 120_000);
}

export const sallyport: Peer = {
  name: "sallyport",
  needs: null,
  forwards: false,
  start: (stand, ports) => startGateway(stand, policyText(ports), resolver),
  cannot: () => null,
};
