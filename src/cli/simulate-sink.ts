/** `sallyport simulate sink`: the far end on a server of the user's. */
import type { Command } from "commander";
import { collect, integer } from "./options.ts";
import { tokenOf } from "./simulate-token.ts";

interface SinkArguments {
  port: number[];
  tokenFile?: string;
  out?: string;
  zone?: string;
  address: string[];
  capture: boolean;
  json?: true;
}

export function addSinkCommand(simulate: Command): void {
  const port = integer(1, 65535);
  simulate
    .command("sink")
    .description("The far end for --live, on a server of yours. Runs until it is ended; as root it sees every packet.")
    .option("--port <port>", "only this port (repeatable)", (text, before: number[]) => [...before, port(text)], [])
    .option("--token-file <file>", "the token to use; default: SALLYPORT_SINK_TOKEN, or a new one, printed")
    .option("-O, --out <file>", "write the testimony there, anew every second")
    .option("--zone <domain>", "answer as the name server of this domain")
    .option("--address <address>", "the address of names in the zone (repeatable)", collect, [])
    .option("--no-capture", "do not capture packets")
    .option("--json", "say what is served as JSON")
    .action(async (options: SinkArguments) => {
      const [{ serveSink }, { newToken }] = await Promise.all([
        import("../simulate/sink/serve.ts"),
        import("../simulate/canary.ts"),
      ]);
      const given = tokenOf(options.tokenFile);
      const token = given ?? newToken();
      const { zone = null, address: addresses, capture, out = null } = options;
      const ports = options.port.length === 0 ? null : options.port;
      const served = await serveSink({ token, ports, zone, addresses, capture, out });
      const { serving, id, missing } = served.sink;
      if (options.json === true) {
        console.log(
          JSON.stringify({
            schema: "sallyport.sink/1",
            sink: id,
            serving,
            missing,
            ...(given === null ? { token } : {}),
          }),
        );
      } else {
        console.log(`sink ${id}: TCP ${serving.tcp.join(", ")}; UDP ${serving.udp.join(", ")}`);
        console.log(
          serving.capture ? "every packet that arrives is looked at" : "only what listeners get is looked at",
        );
        for (const each of missing) console.log(`not served: ${each}`);
        if (given === null) console.log(`token: ${token}`);
      }
      await new Promise<void>((resolve) => {
        for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
      });
      served.stop();
      process.exit();
    });
}
