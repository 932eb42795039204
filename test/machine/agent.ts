/**
 * An enforcer around the machine it runs on, as a process of its own: `agent.ts OPTIONS` (JSON). Each event is a line of JSON on standard
 * output; each line on standard input is a command. Started by `setup.ts` in the namespace that is the machine.
 */
import { createInterface } from "node:readline";
import { loadText } from "../../src/enforcer/policy-source.ts";
import { Enforcer } from "../../src/enforcer/enforcer.ts";
import { findUplinks } from "../../src/kernel/devices.ts";

export interface AgentOptions {
  policy: string;
  state: string;
  /** Null: found by routes. */
  uplinks: string[] | null;
  cgroup: string;
  upstreams: { address: string; port: number }[];
  /** Destination ports of earlier connections that are vouched for. */
  keepPorts: number[];
}

const options = JSON.parse(process.argv[2]!) as AgentOptions;
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

const enforcer = await Enforcer.start({
  namespace: null,
  stand: {
    kind: "machine",
    uplinks: options.uplinks ?? findUplinks(),
    cgroup: options.cgroup,
    keep: (flow) => options.keepPorts.includes(flow.destinationPort),
  },
  queueBase: 40,
  queues: 2,
  dnsPort: 15353,
  dnsDeny: "nxdomain",
  upstreams: options.upstreams,
  policy: loadText(options.policy, "policy.yaml"),
  state: options.state,
  signingKey: null,
  retention: { keepMs: null, keepBytes: null },
  fixed: [],
  onEvent: (event) => say({ event }),
  onFatal: (message) => say({ fatal: message }),
});
say({ ready: true });

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as { do: string; policy?: string; leave?: "closed" | "clean" };
  if (command.do === "policy") say({ swapped: await enforcer.setPolicy(command.policy!, "policy.yaml") });
  else if (command.do === "status") say({ status: await enforcer.status() });
  else if (command.do === "flows") say({ flows: enforcer.flows() });
  else if (command.do === "stop") {
    await enforcer.stop(command.leave ?? "clean");
    say({ stopped: true });
    process.exit(0);
  }
}
