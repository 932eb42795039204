/**
 * Watches what a job does on its machine, beside what it sends: commands that change the firewall, containers that are as good as root,
 * processes that only compute, and changes of how names and packets find their way. Tells; refuses nothing.
 */
import { readlinkSync } from "node:fs";
import { dirname } from "node:path";
import { formatAddress } from "../address/ip.ts";
import { formatTime } from "../audit/clock.ts";
import type { EventBody } from "../audit/event.ts";
import type { Noticed } from "../datapath/attribution.ts";
import { firewallCommand, firewallPrograms } from "../detect/firewall-commands.ts";
import { CpuWatch } from "../detect/mining.ts";
import { Repeats } from "../detect/repeats.ts";
import type { Enforcer } from "../enforcer/enforcer.ts";
import { runtimes } from "../process/engines.ts";
import { describeOwner } from "../process/facts.ts";
import { statOf } from "../process/read.ts";
import type { ProcessTable } from "../process/table.ts";
import { Changes } from "./changes.ts";
import { engines, surroundings } from "./container-facts.ts";
import { Containers } from "./containers.ts";
import type { AgentOrder } from "./order.ts";

/** What the data path should tell of. */
export const noticedPrograms: readonly string[] = [...firewallPrograms, ...runtimes, ...engines];

/** How often the processor time of processes is looked at, ms; a tick of /proc is a hundredth of a second. */
const sampleMs = 10_000;
const tickMs = 10;
/** After a command that changes the rules, which it has not done yet when it is noticed: so soon, so often, and for how long, ms. */
const soon = { first: 40, every: 300, until: 1_500 };

export interface WatchersOptions {
  order: AgentOrder;
  enforcer: Enforcer;
  processes: ProcessTable;
  /** Has everything looked at again, now. */
  lookNow: () => void;
}

export class Watchers {
  readonly #options: WatchersOptions;
  readonly #containers: Containers;
  readonly #changes: Changes;
  readonly #cpu = new CpuWatch();
  readonly #repeats = new Repeats<EventBody>();
  readonly #network = readlinkSync("/proc/self/ns/net");
  #soon: NodeJS.Timeout | null = null;
  #soonUntil = 0;
  #sampledAt = Number.NEGATIVE_INFINITY;

  constructor(options: WatchersOptions) {
    const { order, enforcer, processes } = options;
    this.#options = options;
    const record = (event: EventBody) => enforcer.record(event);
    const worker = order.worker === null ? null : programOf(order.worker);
    const sensitive = [...order.own, order.state, "/run/sallyport", ...(worker === null ? [] : [dirname(worker)])];
    this.#containers = new Containers(processes, surroundings(sensitive), record);
    const { stand } = enforcer.options;
    this.#changes = new Changes(stand.kind === "machine" ? stand.uplinks : []);
  }

  noticed(noticed: readonly Noticed[]): void {
    for (const each of noticed) {
      // What we run ourselves.
      if (each.process.ancestors.some(({ pid }) => pid === process.pid)) continue;
      this.#containers.noticed(each);
      this.#firewall(each);
    }
  }

  /** Call it every few seconds. `now` in milliseconds since the epoch. */
  look(now: number): void {
    const { enforcer } = this.#options;
    this.#containers.look(now);
    for (const change of this.#changes.since()) enforcer.record({ kind: "lifecycle", ...change });
    const steady = performance.now();
    if (steady - this.#sampledAt >= sampleMs) {
      this.#sampledAt = steady;
      this.#sample(steady, now);
    }
    for (const { value, count, first, last } of this.#repeats.closed(now))
      enforcer.record({ ...value, count, first: formatTime(first * 1_000), last: formatTime(last * 1_000) });
  }

  /** As root, of the job's, and on this machine's own network: what a container or a namespace does to its own is its own. */
  #firewall({ process, network, at }: Noticed): void {
    const { uid, step, container, exe, args } = process;
    if (uid !== 0 || (step === null && container === null)) return;
    if (network === null ? container !== null : network !== this.#network) return;
    const changes = firewallCommand(args);
    if (changes === null) return;
    const command = args.join(" ");
    const event: EventBody = {
      kind: "detection",
      process,
      detection: { type: "firewall_command", changes, command },
      message: `${step === null ? "a container" : `step ${step}`} changes the machine's ${changes}: ${command}`,
    };
    if (this.#repeats.isNew(JSON.stringify([changes, step, container?.id, exe]), event, at))
      this.#options.enforcer.record(event);
    this.#lookSoon();
  }

  /** Each look costs some programs: many commands in a row are worth no more of them. */
  #lookSoon(): void {
    this.#soonUntil = performance.now() + soon.until;
    if (this.#soon !== null) return;
    const look = () => {
      this.#options.lookNow();
      this.#soon = performance.now() < this.#soonUntil ? setTimeout(look, soon.every) : null;
    };
    this.#soon = setTimeout(look, soon.first);
  }

  #sample(steady: number, now: number): void {
    const { processes, enforcer } = this.#options;
    const job = processes
      .newestFirst()
      .filter(({ endedAt, step, container }) => endedAt === null && (step !== null || container !== null));
    const records = new Map(job.map((record) => [record.pid, record]));
    const samples = job.flatMap(({ pid, startedAt }) => {
      const stat = pid === process.pid ? null : statOf(pid);
      return stat === null ? [] : [{ pid, startedAt, cpu: stat.cpuTicks * tickMs }];
    });
    const connections = [...enforcer.live.views()].flatMap(({ live, flow }) => {
      if (live.who === null) return [];
      const { original, reply } = flow.counters;
      return [{ pid: live.who.pid, age: now - live.since, bytes: original.bytes + reply.bytes, live }];
    });
    for (const { pid, milliseconds, cores, connection } of this.#cpu.see(samples, connections, steady)) {
      const record = records.get(pid)!;
      const who = describeOwner({ record, uid: record.uid, certain: true, by: "call" }, processes)!;
      const { destination, destinationPort, name } = connection.live;
      const ip = formatAddress(destination);
      enforcer.record({
        kind: "detection",
        process: who,
        destination: {
          name,
          name_from: name === null ? "none" : "sni",
          ip,
          port: destinationPort,
          protocol: connection.live.transport,
        },
        detection: {
          type: "mining",
          sign: "cpu",
          pool: null,
          seconds: Math.round(milliseconds / 1_000),
          cores: Math.round(cores * 10) / 10,
          connection_s: Math.round(connection.age / 1_000),
          connection_bytes: connection.bytes,
        },
        message: `${who.exe ?? `process ${pid}`} computes on ${cores.toFixed(1)} processors for ${Math.round(milliseconds / 60_000)} minutes with one quiet connection to ${name ?? ip}`,
      });
    }
  }
}

function programOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return null;
  }
}
