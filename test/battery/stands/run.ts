/**
 * The stand whose job is inside `sallyport run`, on a machine of the lab. A command that waits is run behind the firewall;
 * attempts are made in its network namespace with all of root's rights there, which is more than the command itself has.
 */
import { randomInt } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { deleteNamespace, listNamespaces } from "../../../src/kernel/namespace.ts";
import { formatAddress, parseAddress } from "../../../src/address/ip.ts";
import { placeOf, type Plan } from "../../../src/run/place.ts";
import { writePolicy } from "../../gateway/start.ts";
import { Lab } from "../../lab/lab.ts";
import { runTool } from "../../lab/tools.ts";
import { launcher } from "../../support/launcher.ts";
import { Record } from "../../support/record.ts";
import { until } from "../../support/until.ts";
import type { Mode } from "../case.ts";
import { batteryPolicy, furnish, labOptions } from "../internet.ts";
import type { Stand } from "./stand.ts";

/** The process in the run whose command line has this token; the run is a process namespace, and /proc shows it from outside. */
function processWith(token: string): number | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, "latin1");
      if (line.startsWith("sleep\0") && line.includes(token)) return Number(name);
    } catch {
      // It ended between listing and reading.
    }
  }
  return undefined;
}

/** An address as programs and the record write it. */
function shortest(address: string): string {
  const parsed = parseAddress(address);
  return parsed === null ? address : formatAddress(parsed);
}

export async function runStand(mode: Mode): Promise<Stand> {
  const lab = await Lab.create(labOptions);
  await furnish(lab);
  const host = lab.gateway;
  const state = join(host.home, "state");
  const policy = writePolicy(join(host.home, "policy.yaml"), batteryPolicy(mode));
  const token = `86400.${randomInt(1e9)}`;
  const command = ["sh", "-c", `echo inside; exec sleep ${token}`];
  const run = host.spawn(launcher, ["run", "--policy", policy, "--state", state, "--", ...command]);
  await run.waitFor(/^inside$/m, 30_000);
  const pid = await until(() => processWith(token), 5_000);
  // The namespace's own name is seen only where the run was started; this one everywhere. The lab removes it, by its prefix.
  const namespace = `${lab.id}-inside`;
  await runTool("ip", ["netns", "attach", namespace, String(pid)]);
  const { ino } = statSync(`/run/netns/${host.namespace}`);
  const shown = await runTool("ip", ["-n", namespace, "-o", "-6", "address", "show", "dev", "eth0"]);
  const places = [0, 1, 2, 3].flatMap((slot) => [true, false].map((global) => placeOf(ino, slot, global)));
  const place = places.find(({ v6 }) => shown.includes(`${shortest(v6.command)}/`));
  if (place === undefined) throw new Error(`the run is not where it should be: ${shown}`);
  const of = ({ command: job, inside: nextHop, outside }: Plan) => ({
    job: shortest(job),
    nextHop: shortest(nextHop),
    outside: shortest(outside),
  });
  return {
    front: "run",
    mode,
    lab,
    machine: lab.machine(namespace),
    addresses: { 4: of(place.v4), 6: of(place.v6) },
    record: new Record(host, state),
    wellness: async () => {
      // The run ends first: a record is whole when its writer has ended.
      const { code, stderr } = await run.kill("SIGTERM");
      const ended = code === 143 ? [] : [`the run ended with ${code}: ${stderr.slice(-2000)}`];
      const verified = await host.exec(launcher, ["logs", "verify", "--state", state]);
      const chain = verified.code === 0 ? [] : [`the chain does not hold: ${verified.stdout}${verified.stderr}`];
      return [...ended, ...chain];
    },
    close: async () => {
      await run.kill("SIGKILL");
      await lab.close();
      for (const name of listNamespaces(`sallyport-${ino}-`)) deleteNamespace(name);
      rmSync(`/run/sallyport/run/${ino}`, { recursive: true, force: true });
    },
  };
}
