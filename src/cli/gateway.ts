/** `sallyport gateway`: the arguments, and how long it runs. */
import { availableParallelism } from "node:os";
import { type Command, Option } from "commander";
import { type MetricsAddress, parseMetricsAddress } from "../config/metrics-address.ts";
import {
  denyOption,
  dnsOption,
  integer,
  type KeepArguments,
  keepOptions,
  retentionOf,
  signKeyOption,
} from "./options.ts";

interface GatewayArguments extends KeepArguments {
  signKey?: string;
  policy: string;
  inside: string[];
  outside?: string;
  state: string;
  dns: string[];
  dnsPort: number;
  dnsDeny: "nxdomain" | "refused";
  queue: number;
  threads: number;
  masquerade: boolean;
  onExit: "closed" | "clean";
  config?: string;
  metrics?: MetricsAddress;
}

export function addGatewayCommand(program: Command): void {
  const [keepFor, keepSize] = keepOptions();
  program
    .command("gateway")
    .description("Police everything that arrives on the inside interfaces; IPv4 and IPv6.")
    .requiredOption("-p, --policy <file>", "policy file; a replaced file is picked up by itself")
    .requiredOption("-i, --inside <iface...>", "interfaces the policed machines are behind")
    .option("-o, --outside <iface>", "interface to the outside; default: every other one")
    .requiredOption("-s, --state <dir>", "state directory: record, bindings, control socket")
    .addOption(dnsOption())
    .addOption(denyOption())
    .option("-c, --config <file>", "sallyport.config.yaml: how the record is kept and where it is sent to")
    .option("--dns-port <port>", "where the DNS firewall listens on the inside addresses", integer(1, 65535), 15053)
    .option("--queue <number>", "first NFQUEUE number", integer(0, 65000), 5100)
    .option("--threads <count>", "data-path threads", integer(1, 64), Math.min(8, availableParallelism()))
    .option("--no-masquerade", "keep the inside's addresses on the way out")
    .addOption(
      new Option(
        "--metrics <[address:]port>",
        "serve GET /metrics there; on loopback where no address is given",
      ).argParser(parseMetricsAddress),
    )
    .addOption(
      new Option(
        "--on-exit <how>",
        "closed: rules stay, new connections are refused; clean: rules go, the host is as before",
      )
        .choices(["closed", "clean"])
        .default("closed"),
    )
    .addOption(signKeyOption())
    .addOption(keepFor!)
    .addOption(keepSize!)
    .action(async (options: GatewayArguments) => {
      const { startGateway } = await import("../gateway/gateway.ts");
      const gateway = await startGateway({
        ...options,
        outside: options.outside ?? null,
        signKey: options.signKey ?? null,
        retention: retentionOf(options),
        say: (line) => process.stderr.write(`sallyport: ${line}\n`),
      });
      for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => gateway.stop());
      process.on("SIGHUP", () => gateway.reload());
      process.exitCode = await gateway.stopped;
    });
}
