/**
 * A machine in the lab: the lab's gateway namespace with an uplink to the internet, a bridge with two containers (namespaces) made
 * before enforcement, room for another bridge made later, and a namespace on a veth of its own. It forwards and masquerades as
 * a host with a container engine does. Used by the tests of this folder.
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EventBody } from "../../src/audit/event.ts";
import type { FlowView, Status } from "../../src/enforcer/status.ts";
import { Lab, type LabOptions } from "../lab/lab.ts";
import type { Machine } from "../lab/machine.ts";
import { LabProcess, type Outcome } from "../lab/process.ts";
import { runTool } from "../lab/tools.ts";
import { until } from "../support/until.ts";
import type { AgentOptions } from "./agent.ts";

export const upstream = { address: "203.0.113.53", port: 53 };
const program = fileURLToPath(new URL("./agent.ts", import.meta.url));

/** Addresses of network `n`: the machine's on its bridge, and container `i`'s. */
export function network(n: number) {
  return {
    bridge: { v4: `172.30.${n}.1`, v6: `fd30:${n}::1` },
    container: (i: number) => ({ v4: `172.30.${n}.${i + 1}`, v6: `fd30:${n}::${i + 1}` }),
  };
}

export class Host {
  readonly lab: Lab;
  readonly host: Machine;
  readonly uplink: string;
  readonly #containers = new Map<string, Machine>();

  private constructor(lab: Lab) {
    this.lab = lab;
    this.host = lab.gateway;
    this.uplink = lab.gateway.outside;
  }

  /** `translate` false: no rule of anybody's, so that the kernel tracks no connection before enforcement does. */
  static async create({ translate = true, ...options }: LabOptions & { translate?: boolean } = {}): Promise<Host> {
    const lab = await Lab.create({ ...options, forwarding: true });
    const made = new Host(lab);
    for (const tool of translate ? ["iptables", "ip6tables"] : []) {
      await made.tool(tool, ["-t", "nat", "-A", "POSTROUTING", "-o", made.uplink, "-j", "MASQUERADE"]);
    }
    await made.bridge(1, 2);
    return made;
  }

  /** A namespace on a link of its own, without a bridge. */
  get aside(): Machine {
    return this.lab.runner(1);
  }

  /** Runs a tool on the machine; it must succeed. */
  async tool(command: string, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.host.exec(command, args);
    if (code !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** Makes network `n` with so many containers. */
  async bridge(n: number, containers: number): Promise<void> {
    const { bridge, container } = network(n);
    const lines = [
      `link add br${n} type bridge`,
      `addr add ${bridge.v4}/24 dev br${n}`,
      `addr add ${bridge.v6}/64 dev br${n} nodad`,
      `link set br${n} up`,
    ];
    for (let i = 1; i <= containers; i++) {
      const name = `${this.lab.id}-c${n}-${i}`;
      await runTool("ip", ["netns", "add", name]);
      await runTool("ip", ["-n", name, "link", "set", "lo", "up"]);
      await runTool("ip", [
        "netns",
        "exec",
        name,
        "sh",
        "-c",
        "echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad",
      ]);
      await runTool("ip", [
        "-n",
        this.host.namespace,
        "link",
        "add",
        `v${n}-${i}`,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        name,
      ]);
      lines.push(`link set v${n}-${i} master br${n} up`);
      const inner = [
        `addr add ${container(i).v4}/24 dev eth0`,
        `addr add ${container(i).v6}/64 dev eth0 nodad`,
        "link set eth0 up",
        `route add default via ${bridge.v4}`,
        `route add default via ${bridge.v6}`,
      ];
      await runTool("ip", ["-n", name, "-batch", "-"], inner.map((line) => `${line}\n`).join(""));
      this.#containers.set(`${n}-${i}`, this.lab.machine(name));
    }
    await runTool("ip", ["-n", this.host.namespace, "-batch", "-"], lines.map((line) => `${line}\n`).join(""));
  }

  container(n: number, i: number): Machine {
    return this.#containers.get(`${n}-${i}`)!;
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}

type Line = { event?: EventBody; ready?: true; swapped?: { ended: number }; status?: Status; flows?: FlowView[] };

let agents = 0;

/** The enforcer around the machine. */
export class Agent {
  readonly process: LabProcess;
  readonly state: string;
  readonly cgroup: string;
  readonly #read = { at: 0, lines: [] as Line[] };

  private constructor(process: LabProcess, state: string, cgroup: string) {
    this.process = process;
    this.state = state;
    this.cgroup = cgroup;
  }

  static async start(host: Host, policy: string, options: Partial<AgentOptions> = {}): Promise<Agent> {
    const state = options.state ?? join(host.host.home, `agent-${++agents}`);
    mkdirSync(state, { recursive: true });
    const cgroup = options.cgroup ?? `sallyport-test-${process.pid}-${host.lab.id}`;
    const all: AgentOptions = {
      policy,
      state,
      uplinks: [host.uplink],
      cgroup,
      upstreams: [upstream],
      keepPorts: [],
      ...options,
    };
    // `ip netns exec` would hide /sys/fs/cgroup.
    const child = spawn(
      "setpriv",
      [
        ...["--pdeathsig", "KILL", "nsenter", `--net=/run/netns/${host.host.namespace}`],
        ...[process.execPath, "--no-warnings", program, JSON.stringify(all)],
      ],
      { stdio: ["pipe", "pipe", "pipe"], detached: true },
    );
    const agent = new Agent(new LabProcess(child), state, cgroup);
    await agent.process.waitFor(/^\{"ready":true\}$/m, 30_000);
    return agent;
  }

  get lines(): Line[] {
    const text = this.process.stdout;
    for (let end = text.indexOf("\n", this.#read.at); end >= 0; end = text.indexOf("\n", this.#read.at)) {
      this.#read.lines.push(JSON.parse(text.slice(this.#read.at, end)) as Line);
      this.#read.at = end + 1;
    }
    return this.#read.lines;
  }

  get events(): EventBody[] {
    return this.lines.flatMap(({ event }) => (event === undefined ? [] : [event]));
  }

  /** The first event from number `after` on for which `is` holds; rejects after some seconds. */
  async expect(is: (event: EventBody) => boolean, after = 0, timeoutMs = 5_000): Promise<EventBody> {
    const found = await until(() => this.events.slice(after).find(is), timeoutMs);
    if (found === undefined) {
      throw new Error(
        `no such event among: ${this.events
          .slice(after)
          .map((event) => JSON.stringify(event))
          .join("\n")}`,
      );
    }
    return found;
  }

  async ask<K extends keyof Line>(key: K, command: object): Promise<NonNullable<Line[K]>> {
    const before = this.lines.length;
    this.process.write(`${JSON.stringify(command)}\n`);
    const answer = await until(() => this.lines.slice(before).find((line) => line[key] !== undefined), 15_000);
    if (answer === undefined) throw new Error(`no answer: ${this.process.stderr}`);
    return answer[key]!;
  }

  setPolicy(policy: string): Promise<{ ended: number }> {
    return this.ask("swapped", { do: "policy", policy });
  }

  status(): Promise<Status> {
    return this.ask("status", { do: "status" });
  }

  flows(): Promise<FlowView[]> {
    return this.ask("flows", { do: "flows" });
  }

  /** Takes everything back and ends. */
  async stop(leave: "closed" | "clean" = "clean"): Promise<Outcome> {
    this.process.write(`${JSON.stringify({ do: "stop", leave })}\n`);
    return this.process.exited;
  }

  crash(): Promise<Outcome> {
    return this.process.kill("SIGKILL");
  }
}
