/** `sallyport config check`: the configuration before a gateway is started with it. */
import type { Command } from "commander";
import { loadConfigFile } from "../config/config.ts";
import { SallyportError } from "../errors.ts";

export function addConfigCommands(program: Command): void {
  program
    .command("config")
    .description("Look at a configuration before a gateway is started with it.")
    .command("check")
    .argument("<file>")
    .description(
      "Say what is wrong with it, with line, column and fix. Reads its secrets and certificates too. Exit 2.",
    )
    .option("--json", "as JSON")
    .action((file: string, options: { json?: true }) => {
      try {
        const { metrics, sinks } = loadConfigFile(file);
        const shown = sinks.map(({ name, to }) => ({ name, to }));
        if (options.json === true) return console.log(JSON.stringify({ ok: true, metrics, sinks: shown }));
        const list = shown.map(({ name, to }) => `${name} (${to})`).join(", ");
        console.log(`${file}: fine: ${shown.length === 0 ? "no sinks" : `sinks ${list}`}`);
      } catch (error) {
        if (options.json !== true || !(error instanceof SallyportError) || error.code !== "CONFIG_INVALID") throw error;
        console.log(JSON.stringify({ ok: false, problems: error.data["problems"] }));
        process.exitCode = error.exitCode;
      }
    });
}
