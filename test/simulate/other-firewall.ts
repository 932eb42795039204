/**
 * A place behind somebody else's firewall: three namespaces in a row, a client, a router with rules of the test's choice,
 * and the owner's server. Its names are this process's; everything is gone after `close`.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addNamespace, deleteNamespace, inNamespace } from "../../src/kernel/namespace.ts";
import { run } from "../../src/kernel/commands.ts";
import { writeSysctl } from "../../src/kernel/sysctl.ts";
import { LabProcess, type Outcome } from "../lab/process.ts";
import { sallyport } from "./program.ts";

/** The owner's server; it is also the only resolver, and the name server of `sink.example`. */
export const server = { v4: "203.0.113.66", v6: "2001:db8:66::66", name: "sink.example" };

type Where = "client" | "router" | "server";

export class OtherFirewall {
  readonly folder = mkdtempSync(join(tmpdir(), "sallyport-other-"));
  readonly #id = `spsim${process.pid}`;

  constructor() {
    for (const where of ["client", "router", "server"] as const) addNamespace(this.#name(where));
    inNamespace(this.#name("router"), () => {
      writeSysctl("net/ipv4/ip_forward", "1");
      writeSysctl("net/ipv6/conf/all/forwarding", "1");
    });
    const link = (a: Where, b: Where, v4: [string, string], v6: [string, string]) => {
      run("ip", [
        "-n",
        this.#name(a),
        "link",
        "add",
        `to-${b}`,
        "type",
        "veth",
        "peer",
        "name",
        `to-${a}`,
        "netns",
        this.#name(b),
      ]);
      for (const [from, to, i] of [
        [a, b, 0],
        [b, a, 1],
      ] as const) {
        const lines = [
          `addr add ${v4[i]} dev to-${to}`,
          `addr add ${v6[i]} dev to-${to} nodad`,
          `link set to-${to} up`,
        ];
        run("ip", ["-n", this.#name(from), "-batch", "-"], { input: `${lines.join("\n")}\n` });
      }
    };
    link("client", "router", ["192.0.2.2/24", "192.0.2.1/24"], ["2001:db8:1::2/64", "2001:db8:1::1/64"]);
    link("router", "server", ["203.0.113.1/24", `${server.v4}/24`], ["2001:db8:66::1/64", `${server.v6}/64`]);
    for (const [where, v4, v6] of [
      ["client", "192.0.2.1", "2001:db8:1::1"],
      ["server", "203.0.113.1", "2001:db8:66::1"],
    ] as const) {
      run("ip", ["-n", this.#name(where), "-batch", "-"], {
        input: `route add default via ${v4}\nroute add default via ${v6}\n`,
      });
    }
    writeFileSync(join(this.folder, "resolv.conf"), `nameserver ${server.v4}\noptions timeout:2 attempts:1\n`);
    writeFileSync(join(this.folder, "token"), "a-token-of-the-tests-alone\n", { mode: 0o600 });
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** What the router forwards from the client: rules for iptables and ip6tables, all else dropped. Null: everything. */
  allow(rules: { v4: string[]; v6: string[] } | null): void {
    for (const [tool, lines] of [
      ["iptables", rules?.v4],
      ["ip6tables", rules?.v6],
    ] as const) {
      const table = ["*filter", `:FORWARD ${lines === undefined ? "ACCEPT" : "DROP"} [0:0]`];
      if (lines !== undefined) {
        table.push("-A FORWARD -i to-server -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT");
        table.push(...lines.map((line) => `-A FORWARD -i to-client ${line} -j ACCEPT`));
      }
      run(`${tool}-restore`, [], { input: `${[...table, "COMMIT"].join("\n")}\n`, namespace: this.#name("router") });
    }
  }

  /** `sallyport simulate sink`, once it serves. */
  async sink(args: readonly string[] = []): Promise<LabProcess> {
    const own = [
      "--token-file",
      this.file("token"),
      "--zone",
      server.name,
      "--address",
      server.v4,
      "--address",
      server.v6,
    ];
    const sink = this.spawn("server", ["simulate", "sink", ...own, ...args]);
    await sink.waitFor(/^sink [0-9a-f]{16}/m, 60_000);
    return sink;
  }

  spawn(where: Where, args: readonly string[]): LabProcess {
    const enter = `mount -n --bind ${this.file("resolv.conf")} /etc/resolv.conf && exec "$@"`;
    const child = spawn(
      "setpriv",
      [
        ...["--pdeathsig", "KILL", "ip", "netns", "exec", this.#name(where)],
        ...["sh", "-c", enter, "enter", sallyport, ...args],
      ],
      { stdio: ["ignore", "pipe", "pipe"], detached: true },
    );
    return new LabProcess(child);
  }

  /** `sallyport simulate --live` at the client, by the server's name and addresses. */
  async live(args: readonly string[]): Promise<Outcome> {
    const at = [server.name, server.v4, server.v6].flatMap((each) => ["--sink", each]);
    const fixed = ["--token-file", this.file("token"), "--zone", server.name, "--allowed", "allowed.example"];
    const running = this.spawn("client", ["simulate", "--live", "--json", "--quiet", ...at, ...fixed, ...args]);
    running.limit(120_000);
    return running.exited;
  }

  close(): void {
    for (const where of ["client", "router", "server"] as const) deleteNamespace(this.#name(where));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #name(where: Where): string {
    return `${this.#id}-${where}`;
  }
}
