/**
 * Where one contender stands: a lab of its own, whose runner is a whole network of sources (10.21.0.0/16), and whose internet has
 * `bench.example` at sixteen addresses with the answering end of `load/answer.ts` at each. Every contender gets the same.
 */
import { readFileSync } from "node:fs";
import { processesInside } from "../../test/lab/lifetime.ts";
import { Lab } from "../../test/lab/lab.ts";
import type { LabProcess } from "../../test/lab/process.ts";
import { Histogram, type Load, type Order } from "../load/outcome.ts";
import type { Bulk } from "../load/bulk-client.ts";
import type { Hello } from "./hellos.ts";

export const name = "bench.example";
/** Allowed by no contender's rules; its hello is sent to an address of `bench.example`. */
export const deniedName = "denied.example";
export const resolver = "203.0.113.53";
export const destinations = Array.from({ length: 16 }, (_, i) => `203.0.113.${100 + i}`);
/** A machine each, every one in a network of its own. */
export const sources = Array.from({ length: 16 }, (_, i) => `10.21.${i + 1}.2`);
export const sourceNet = "10.21.0.0/16";

const sysctls = [
  "net.core.somaxconn=16384",
  "net.ipv4.tcp_max_syn_backlog=16384",
  "net.ipv4.ip_local_port_range=1024 65535",
  "net.ipv4.ip_local_reserved_ports=13443-13445",
];

/** How long a load may take longer than it was told: sources that wait for an answer, connections that nothing comes of; ms. */
const loadEndsMs = 45_000;

const here = (file: string) => new URL(`../${file}`, import.meta.url).pathname;

export class Stand {
  readonly lab: Lab;
  #next = 0;
  #generator: LabProcess | null = null;
  readonly #hardware = new Map<string, string>();

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  /** A lab with both ends of the load, and nothing at the gateway yet. `ports`: a hello's length at each port. */
  static async open(hellos: readonly Hello[], forwarding: boolean, bulk?: Hello): Promise<Stand> {
    const records = destinations.map((data) => ({ type: "A" as const, data, ttl: 3600 }));
    const zone = { [name]: { records }, [deniedName]: { records } };
    const lab = await Lab.create({ sink: false, forwarding, zone });
    const stand = new Stand(lab);
    try {
      await stand.#wire(hellos);
      if (bulk !== undefined) await stand.#serveBulk(bulk);
    } catch (error) {
      await lab.close();
      throw error;
    }
    return stand;
  }

  async #wire(hellos: readonly Hello[]): Promise<void> {
    const { gateway, world } = this.lab;
    // What everybody sets on a machine that is to make and take many connections; the same for all.
    await run(gateway, "sysctl", ["-q", "-w", ...sysctls]);
    await run(gateway, "ip", [
      "route",
      "add",
      sourceNet,
      "via",
      this.lab.inside(1).runner.v4,
      "dev",
      gateway.inside[0]!,
    ]);
    for (const { port, bytes } of hellos) {
      // The generator answers; the kernel, which knows of no such server, must not refuse beside it.
      await run(world, "iptables", ["-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", `${port}`, "-j", "DROP"]);
      const neighbour = await hardware(gateway, gateway.outside);
      const args = [here("load/answer.ts"), `${this.lab.id}-net`, neighbour, `${port}`, `${bytes.length}`];
      await world.spawn(process.execPath, args).waitFor(/listening/, 10_000);
    }
  }

  async #serveBulk({ port, bytes }: Hello): Promise<void> {
    const args = [here("load/bulk-server.ts"), `${port}`, `${bytes.length}`];
    await this.lab.world.spawn(process.execPath, args).waitFor(/listening/, 10_000);
  }

  /** Downloads for a while by so many connections of the runner's own. */
  async download(streams: number, seconds: number, hello: Hello): Promise<Bulk> {
    const { stdout, stderr, code } = await (await this.downloading(streams, seconds, hello)).exited;
    if (code !== 0) throw new Error(`the download of ${this.lab.id} ended with ${code}: ${stderr.slice(-500)}`);
    return JSON.parse(stdout.trim().split("\n").at(-1)!) as Bulk;
  }

  /** The same, to be watched. */
  async downloading(streams: number, seconds: number, hello: Hello): Promise<LabProcess> {
    const runner = this.lab.runner(1);
    await run(runner, "dig", ["+short", name]);
    const args = [destinations[0]!, `${hello.port}`, `${streams}`, `${seconds}`, hello.file];
    return runner.spawn(process.execPath, [here("load/bulk-client.ts"), ...args]);
  }

  /** Opens so many connections, or as many as it can within these seconds, and leaves them open until they are released. */
  async hold(count: number, seconds: number, hello: Hello): Promise<{ load: Load; release: () => Promise<void> }> {
    const load = await this.load({ count, concurrency: 64, hold: true, seconds, warmSeconds: 0 }, hello);
    const release = async () => {
      await this.#tell("release", loadEndsMs);
    };
    return { load, release };
  }

  /** Opens connections for a while; rejects when the generator fails. */
  async load(order: Pick<Order, "concurrency" | "seconds"> & Partial<Order>, hello: Hello): Promise<Load> {
    const { gateway } = this.lab;
    const whole: Order = {
      device: `${this.lab.id}-r1`,
      neighbour: await this.#hardwareOf(gateway.inside[0]!),
      sources,
      destinations,
      port: hello.port,
      name,
      resolver,
      hello: hello.file,
      warmSeconds: 0.3,
      offset: this.#next,
      ...order,
    };
    const load = (await this.#tell(
      JSON.stringify(whole),
      (whole.seconds + whole.warmSeconds) * 1000 + loadEndsMs,
    )) as Load;
    this.#next = load.next;
    return load;
  }

  async #hardwareOf(device: string): Promise<string> {
    const known = this.#hardware.get(device) ?? (await hardware(this.lab.gateway, device));
    this.#hardware.set(device, known);
    return known;
  }

  /** Gives the generator a line, and reads its next one. */
  async #tell(line: string, withinMs: number): Promise<unknown> {
    this.#generator ??= this.lab.runner(1).spawn(process.execPath, [here("load/connect.ts")]);
    const generator = this.#generator;
    generator.stdout = "";
    generator.write(`${line}\n`);
    try {
      const [, text] = await generator.waitFor(/^(\{.*\})\n/, withinMs);
      return JSON.parse(text!);
    } catch (error) {
      this.#generator = null;
      generator.signal("SIGKILL");
      throw new Error(`the load of ${this.lab.id}: ${(error as Error).message.slice(-500)}`, { cause: error });
    }
  }

  /** The contender's processes: whatever runs in the gateway's namespace. */
  processes(): number[] {
    return processesInside([this.lab.gateway.namespace]);
  }

  /** Bytes of resident memory that are theirs (`Pss`: what they share is counted once; proc_pid_smaps(5)). */
  memory(): number {
    return this.processes().reduce((sum, pid) => sum + pss(pid), 0);
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}

function pss(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    // It ended in the meantime.
    return 0;
  }
}

/** Runs a command of the stand itself; rejects with its words when it fails. */
export async function run(machine: Lab["gateway"] | Lab["world"], command: string, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await machine.exec(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr.trim()}`);
  return stdout;
}

async function hardware(machine: Lab["gateway"], device: string): Promise<string> {
  return (await run(machine, "cat", [`/sys/class/net/${device}/address`])).trim();
}

/** A quantile of a load's times, in microseconds. */
export function quantile(load: Load, share: number): number {
  return new Histogram().merge(load.times).quantile(share);
}
