/** `sallyport config check`: the configuration before a gateway is started with it. */
import type { Command } from "commander";
import { loadConfigFile } from "../config/config.ts";

export function addConfigCommands(program: Command): void {
  program
    .command("config")
    .description("Work on a configuration file.")
    .command("check")
    .argument("<file>")
    .description(
      "Say what is wrong with it, with line, column and fix. Reads its secrets and certificates too. Exit 2.",
    )
    .option("--json", "as JSON")
    .action((file: string, options: { json?: true }) => {
      const { metrics, sinks } = loadConfigFile(file);
      const shown = { metrics, sinks: sinks.map(({ name, to, kinds }) => ({ name, to, kinds })) };
      if (options.json === true) return console.log(JSON.stringify({ ok: true, ...shown }));
      console.log(
        `${file}: loads; ${sinks.length === 0 ? "no sinks" : `sinks: ${sinks.map(({ name }) => name).join(", ")}`}`,
      );
    });
}
