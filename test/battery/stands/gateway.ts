/** The stands whose job is a runner behind the lab's gateway: with `sallyport gateway` on it, or plain forwarding. */
import { Lab, type LabOptions } from "../../lab/lab.ts";
import { RunningGateway } from "../../gateway/start.ts";
import type { Mode } from "../case.ts";
import { batteryPolicy, furnish, labOptions } from "../internet.ts";
import type { Stand } from "./stand.ts";

function addressesOf(lab: Lab): Stand["addresses"] {
  const { runner, gateway } = lab.inside(1);
  const of = (v: "v4" | "v6") => ({ job: runner[v], nextHop: gateway[v], outside: lab.outside.gateway[v] });
  return { 4: of("v4"), 6: of("v6") };
}

async function furnishedLab(options: LabOptions): Promise<Lab> {
  const lab = await Lab.create(options);
  await furnish(lab);
  return lab;
}

/** Nobody in the way, and a route back, so that nothing need be masqueraded. */
export async function openStand(): Promise<Stand> {
  const lab = await furnishedLab({ ...labOptions, forwarding: true, routeInside: true });
  return {
    front: null,
    mode: null,
    lab,
    machine: lab.runner(1),
    addresses: addressesOf(lab),
    record: null,
    wellness: async () => [],
    close: () => lab.close(),
  };
}

export async function gatewayStand(mode: Mode): Promise<Stand> {
  const lab = await furnishedLab(labOptions);
  const gateway = await RunningGateway.start(lab, { policy: batteryPolicy(mode) });
  return {
    front: "gateway",
    mode,
    lab,
    machine: lab.runner(1),
    addresses: addressesOf(lab),
    record: gateway.record,
    replacePolicy: (text) => gateway.replacePolicy(text),
    wellness: async () => {
      const status = await gateway.status();
      const failures =
        status.data_path.failures === 0 ? [] : [`${status.data_path.failures} failures in the data path`];
      const verified = await gateway.ask("logs verify");
      const chain = verified.code === 0 ? [] : [`the chain does not hold: ${verified.stdout}${verified.stderr}`];
      return [...status.problems, ...failures, ...chain];
    },
    close: async () => {
      await gateway.crash();
      await lab.close();
    },
  };
}
