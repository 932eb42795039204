/**
 * The lab's side of the internet process: starts it in its namespace, changes what it serves, and reads what it saw.
 * Also the barrier that tells the sink how far the capture has come.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { QueryRecord } from "./internet/dns-server.ts";
import type { PlaintextSighting } from "./internet/marker-watch.ts";
import type { Message, Operation, Operations, Request, Start } from "./internet/protocol.ts";
import type { ServiceRequest } from "./internet/services.ts";
import type { WebReport } from "./internet/web.ts";
import type { ZoneEntry } from "./internet/zone.ts";

const program = fileURLToPath(new URL("./internet/main.ts", import.meta.url));

type Pending = { resolve: (result: unknown) => void; reject: (error: Error) => void };

export class Internet {
  /** Markers that servers read after decryption. */
  readonly sightings: PlaintextSighting[] = [];
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  readonly #ready = Promise.withResolvers<void>();
  #next = 1;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ready.promise.catch(() => {});
    child.on("message", (message: Message) => this.#receive(message));
    child.on("error", (error) => this.#fail(error));
    child.on("exit", (code, signal) => this.#fail(new Error(`the lab's internet ended: ${signal ?? `exit ${code}`}`)));
  }

  /** Starts every server; resolves when all of them listen. */
  static async start(namespace: string, start: Start): Promise<Internet> {
    const child = spawn(
      "setpriv",
      ["--pdeathsig", "KILL", "ip", "netns", "exec", namespace, process.execPath, "--no-warnings", program],
      { stdio: ["ignore", "inherit", "inherit", "ipc"], env: { PATH: process.env["PATH"] ?? "" } },
    );
    const internet = new Internet(child);
    child.send(start);
    await internet.#ready.promise;
    return internet;
  }

  /** The zone, and the queries that arrived (oldest first; fails loudly when older ones no longer fit the log). */
  readonly dns = {
    set: async (name: string, entry: ZoneEntry): Promise<void> => void (await this.call("dns.set", { name, entry })),
    remove: async (name: string): Promise<void> => void (await this.call("dns.remove", { name })),
    queries: async (): Promise<QueryRecord[]> => {
      const { queries, forgotten } = await this.call("dns.queries", null);
      if (forgotten > 0) throw new Error(`the DNS log forgot ${forgotten} queries: clear the sink more often`);
      return queries;
    },
  };

  /** The requests that web servers answered, oldest first. */
  requests(): Promise<WebReport[]> {
    return this.call("web.requests", null);
  }

  /** Makes `names` the tenants of an address; the first is the default. */
  async host(address: string, names: string[]): Promise<void> {
    await this.call("host.set", { address, names });
  }

  /** Opens another service; TCP kinds on every address unless one is given. */
  async listen(service: ServiceRequest): Promise<void> {
    await this.call("service.open", service);
  }

  /** Forgets queries, requests and sightings. */
  async forget(): Promise<void> {
    await this.call("forget", null);
    this.sightings.length = 0;
  }

  /** One operation of the protocol. */
  call<O extends Operation>(operation: O, argument: Operations[O]["argument"]): Promise<Operations[O]["result"]> {
    const id = this.#next++;
    const request: Request = { id, operation, argument };
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    this.#child.send(request, (error) => {
      if (error !== null) this.#settle(id)?.reject(error);
    });
    return promise as Promise<Operations[O]["result"]>;
  }

  /** Ends the process; the lab's release would end it anyway. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }

  #receive(message: Message): void {
    switch (message.kind) {
      case "ready":
        return this.#ready.resolve();
      case "failed":
        return this.#fail(new Error(message.error));
      case "reply":
        return this.#settle(message.id)?.resolve(message.result);
      case "error":
        return this.#settle(message.id)?.reject(new Error(message.error));
      case "sighting":
        return void this.sightings.push(message.sighting);
    }
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #fail(error: Error): void {
    this.#ready.reject(error);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
