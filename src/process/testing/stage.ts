/**
 * A stage for tests of processes: this test process stands for the runner's worker, its direct children for steps. Programs run in
 * a namespace of their own, where every first packet waits in a queue, as it does on a machine that is enforced. Needs root
 * and the initial namespaces. Used by tests only.
 */
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../kernel/commands.ts";
import { inNamespace } from "../../kernel/namespace.ts";
import { QueueSocket } from "../../kernel/nfqueue.ts";
import { Lab } from "../../kernel/testing/lab.ts";
import { Packet, parsePacket } from "../../wire/ip/packet.ts";
import type { Sent } from "../owner.ts";

const QUEUE = 7;

/** A packet that waits. */
export interface Waiting extends Sent {
  id: number;
}

export class Stage {
  readonly lab: Lab;
  /** Where programs run. */
  readonly namespace: string;
  readonly folder = mkdtempSync(join(tmpdir(), "sp-process-"));
  readonly #queue: QueueSocket;
  readonly #children = new Set<ChildProcess>();
  readonly #packet = new Packet();

  private constructor(lab: Lab, queue: QueueSocket) {
    this.lab = lab;
    this.namespace = lab.client;
    this.#queue = queue;
  }

  static async create(): Promise<Stage> {
    const lab = new Lab();
    try {
      await lab.ready();
      for (const tool of ["iptables", "ip6tables"]) {
        const rule = ["-t", "mangle", "-A", "OUTPUT", "-o", "in0"];
        const queue = ["-j", "NFQUEUE", "--queue-num", String(QUEUE)];
        run(tool, [...rule, "-p", "tcp", "--syn", ...queue], { namespace: lab.client });
        run(tool, [...rule, "-p", "udp", ...queue], { namespace: lab.client });
        if (tool === "iptables") run(tool, [...rule, "-p", "icmp", ...queue], { namespace: lab.client });
      }
      const stage = new Stage(
        lab,
        inNamespace(lab.client, () => QueueSocket.open(QUEUE)),
      );
      chmodSync(stage.folder, 0o755);
      return stage;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** A program as a direct child of the worker, inside the namespace but with the machine's files. */
  start(command: readonly string[], environment: Record<string, string> = {}): ChildProcess {
    const options: SpawnOptions = {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", SHLVL: "1", ...environment },
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    };
    // The fork is this thread's, and with it the namespace; the first program that the child executes is the step's own.
    const child = inNamespace(this.namespace, () => spawn(command[0]!, command.slice(1), options));
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  /** A step of this name that runs a script of bash's. */
  step(name: string, script: string, environment: Record<string, string> = {}): ChildProcess {
    return this.start(["bash", "--norc", "-c", script], { GITHUB_ACTION: name, ...environment });
  }

  /** Ends a step with all that is in its session: the runner's steps do not run side by side. */
  async end(child: ChildProcess): Promise<void> {
    const ended = child.exitCode === null && child.signalCode === null ? once(child, "exit") : null;
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch {
      // Nothing is left of it.
    }
    await ended;
  }

  /** Runs a step to its end. */
  async finished(name: string, script: string): Promise<void> {
    await once(this.step(name, script), "exit");
  }

  /** A file of the stage's folder. */
  file(name: string, content: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, content, { mode: 0o755 });
    return path;
  }

  /** The next packet to this port that waits; it goes on waiting until {@link drop}. Others are dropped. */
  async packet(port: number, within = 20_000): Promise<Waiting> {
    for (const until = performance.now() + within; performance.now() < until; await sleep(2)) {
      const found = this.#next(port);
      if (found !== null) return found;
    }
    throw new Error(`no packet to port ${port} within ${within} ms`);
  }

  drop({ id }: Waiting): void {
    this.#queue.verdict(id, "drop");
    this.#queue.flush();
  }

  async endAll(): Promise<void> {
    for (const child of this.#children) await this.end(child);
  }

  async close(): Promise<void> {
    await this.endAll();
    this.#queue.close();
    await this.lab.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #next(port: number): Waiting | null {
    const queue = this.#queue;
    const count = queue.receive();
    let found: Waiting | null = null;
    for (let i = 0; i < count; i++) {
      const id = queue.packetId(i);
      parsePacket(queue.bytes, queue.payloadOffset(i), queue.payloadLength(i), this.#packet);
      const { protocol, source, destination, sourcePort, destinationPort } = this.#packet;
      if (found === null && destinationPort === port) {
        found = { id, protocol, source, destination, sourcePort, destinationPort };
      } else queue.verdict(id, "drop");
    }
    queue.flush();
    return found;
  }
}
