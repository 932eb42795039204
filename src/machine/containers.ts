/**
 * Containers that are as good as root on this machine (threat R3): seen as their runtime is started, and those that run without our
 * having seen that, by their id. A command line of docker or podman is a second source: what it asks for may have been refused,
 * or be made elsewhere, so it is told as such, and only where no runtime has shown the container itself.
 */
import type { EventBody, EventProcess } from "../audit/event.ts";
import type { Noticed } from "../datapath/attribution.ts";
import { type ContainerDanger, dangersOfCommand, type Surroundings } from "../detect/containers.ts";
import { describeOwner } from "../process/facts.ts";
import { isRuntime } from "../process/engines.ts";
import type { ProcessTable } from "../process/table.ts";
import { dangersOfBundleAt, dangersOfContainer, engines, runtimeCall, workingFolder } from "./container-facts.ts";

/** How long a command waits for its container to show, and is taken for what made one, ms. */
const commandMs = 5_000;
const clientMs = 30_000;
const mostRemembered = 4_096;
/** Files of a new container may not be there yet: so many looks. */
const mostLooks = 5;

interface Command {
  process: EventProcess;
  dangers: ContainerDanger[];
  at: number;
}

export class Containers {
  readonly #processes: ProcessTable;
  readonly #around: Surroundings;
  readonly #record: (event: EventBody) => void;
  /** Containers that were looked at, with how often nothing was found. */
  readonly #looked = new Map<string, number>();
  #commands: Command[] = [];
  #waiting: Command[] = [];

  constructor(processes: ProcessTable, around: Surroundings, record: (event: EventBody) => void) {
    this.#processes = processes;
    this.#around = around;
    this.#record = record;
  }

  noticed({ process, at }: Noticed): void {
    if (isRuntime(process)) return this.#runtime(process, at);
    const names = [process.exe ?? "", process.args[0] ?? ""].map(nameOf);
    if (!names.some((name) => engines.includes(name)) || (process.step === null && process.container === null)) return;
    const command = { process, dangers: dangersOfCommand(process.args, this.#around), at };
    this.#commands = [...this.#commands, command].slice(-16);
    if (command.dangers.length > 0) this.#waiting = [...this.#waiting, command].slice(-64);
  }

  /** Looks at containers that run, and tells commands whose container did not show. Call it every few seconds. */
  look(now: number): void {
    const tried = new Set<string>();
    for (const record of this.#processes.newestFirst()) {
      const { container } = record;
      if (container === null || tried.has(container)) continue;
      tried.add(container);
      const looks = this.#looked.get(container) ?? 0;
      if (looks >= mostLooks) continue;
      const dangers = dangersOfContainer(container, this.#around);
      this.#remember(container, dangers === null ? looks + 1 : mostLooks);
      if (dangers === null || dangers.length === 0) continue;
      const process = describeOwner({ record, uid: record.uid, certain: true, by: "call" }, this.#processes);
      this.#tell(container, dangers, process, "the engine's files", now);
    }
    const due = this.#waiting.filter(({ at }) => now - at >= commandMs);
    this.#waiting = this.#waiting.filter(({ at }) => now - at < commandMs);
    for (const { process, dangers } of due) this.#tell(null, dangers, process, "the command line", now);
  }

  /** Root's alone: whoever runs one as another user gets nothing that this user has not. */
  #runtime(process: EventProcess, at: number): void {
    if (process.uid !== 0) return;
    const call = runtimeCall(process.args, workingFolder(process.pid) ?? "/");
    if (call === null || this.#looked.has(`${process.pid} ${call.bundle}`)) return;
    const dangers = dangersOfBundleAt(call.bundle, process.pid, this.#around);
    // Not readable yet: its own next exec is another chance, and it is looked for by its id as long as it runs.
    if (dangers === null) return;
    this.#remember(`${process.pid} ${call.bundle}`, mostLooks);
    if (call.id !== null) this.#remember(call.id, mostLooks);
    if (dangers.length > 0) this.#tell(call.id, dangers, process, "the runtime's bundle", at, call.bundle);
  }

  #tell(
    id: string | null,
    dangers: ContainerDanger[],
    process: EventProcess | null,
    from: string,
    now: number,
    bundle?: string,
  ) {
    const client = from === "the command line" ? undefined : this.#client(process, now);
    if (client !== undefined) this.#waiting = this.#waiting.filter((each) => each !== client);
    const words = dangers.map(({ kind, what }) => (what === "" ? kind : `${kind} ${what}`));
    const step = process?.step ?? client?.process.step ?? null;
    this.#record({
      kind: "detection",
      ...(process === null ? {} : { process }),
      detection: {
        type: "container_root",
        container: id,
        dangers: words,
        from,
        ...(bundle === undefined ? {} : { bundle }),
        ...(client === undefined ? {} : { client: client.process }),
      },
      message: `a container that is as good as root here: ${words.join(", ")}${step === null ? "" : `, of step ${step}`}`,
    });
  }

  /** The step's command that an engine's daemon most likely answered; undefined where the runtime is the step's own. */
  #client(process: EventProcess | null, now: number): Command | undefined {
    if (process?.step_by === "descent") {
      return this.#waiting.find((each) => process.ancestors.some(({ pid }) => pid === each.process.pid));
    }
    const step = process?.step ?? null;
    const isLikely = (each: Command) => now - each.at < clientMs && (step === null || each.process.step === step);
    return this.#commands.findLast(isLikely);
  }

  #remember(id: string, looks: number): void {
    this.#looked.delete(id);
    this.#looked.set(id, looks);
    if (this.#looked.size > mostRemembered) this.#looked.delete(this.#looked.keys().next().value!);
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
