/** `sallyport config check`: the configuration before a gateway is started with it. */
import type { Command } from "commander";
import { loadConfigFile } from "../config/config.ts";
import type { RecordConfig } from "../config/record.ts";
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
        const { metrics, record, sinks } = loadConfigFile(file);
        const shown = sinks.map(({ name, to }) => ({ name, to }));
        if (options.json === true)
          return console.log(JSON.stringify({ ok: true, metrics, record: shownRecord(record), sinks: shown }));
        const list = shown.map(({ name, to }) => `${name} (${to})`).join(", ");
        const kept = recordText(record);
        console.log(`${file}: fine: ${shown.length === 0 ? "no sinks" : `sinks ${list}`}${kept}`);
      } catch (error) {
        if (options.json !== true || !(error instanceof SallyportError) || error.code !== "CONFIG_INVALID") throw error;
        console.log(JSON.stringify({ ok: false, problems: error.data["problems"] }));
        process.exitCode = error.exitCode;
      }
    });
}

/** Without the private key. */
function shownRecord({ signing, segmentBytes, segmentAgeMs, keepMs, keepBytes }: RecordConfig): object {
  const sign_key = signing && { file: signing.file, id: signing.key.id };
  return {
    sign_key,
    segment_bytes: segmentBytes,
    segment_age_ms: segmentAgeMs,
    keep_ms: keepMs,
    keep_bytes: keepBytes,
  };
}

function recordText({ signing, lines }: RecordConfig): string {
  const keys = Object.keys(lines).map((key) =>
    key === "sign_key" && signing !== null ? `sign_key (key ${signing.key.id.slice(0, 16)})` : key,
  );
  return keys.length === 0 ? "" : `; record ${keys.join(", ")}`;
}
