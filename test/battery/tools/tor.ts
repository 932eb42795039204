/**
 * tor(1) with a bridge of its own. There is no Tor network in the lab: what is tried is the way into it, the client's
 * handshake with the bridge, and it is the client that says whether it was done.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attack } from "../case.ts";
import { nameless, patience, toolCase, withClient, type Ends } from "./tool.ts";

/** Ports below 1024 are what a bridge that wants to be reached has. */
const port = 443;

function configure({ attacker, name }: Ends, end: string, lines: readonly string[]): string {
  const directory = attacker.directory(`${name}-${end}`);
  const file = join(directory, "torrc");
  writeFileSync(file, [`DataDirectory ${join(directory, "data")}`, "Log notice stdout", ...lines, ""].join("\n"));
  return file;
}

const args = (file: string): string[] => ["--ignore-missing-torrc", "--defaults-torrc", "/dev/null", "-f", file];

async function bridge(ends: Ends): Promise<string> {
  const { at, job } = ends;
  // A relay needs an IPv4 address, whatever its others are.
  const v4 = `203.0.113.${ends.address.split(/[.:]/).at(-1)}`;
  const lines = [
    ...["SocksPort 0", "BridgeRelay 1", "PublishServerDescriptor 0", "AssumeReachable 1", "ExitPolicy reject *:*"],
    ...[`Address ${v4}`, `ORPort ${v4}:${job.v === 4 ? port : 4443} IPv4Only`],
    ...(job.v === 6 ? [`ORPort ${at}:${port} IPv6Only`] : []),
  ];
  const running = await ends.attacker.spawn("tor", args(configure(ends, "bridge", lines)));
  const [, fingerprint = ""] = await running.waitFor(/identity key fingerprint is '\S+ ([0-9A-F]{40})'/, 20_000);
  await running.waitFor(/Opened OR listener connection \(ready\)/, 20_000);
  return fingerprint;
}

export const torCases: Attack[] = [
  toolCase({
    variant: "tor: to a bridge on port 443",
    n: 164,
    server: bridge,
    client: async (ends) => {
      const fingerprint = await ends.attacker.once(`${ends.name} server`, () => bridge(ends));
      const lines = ["SocksPort 0", "UseBridges 1", "ClientUseIPv6 1", `Bridge ${ends.at}:${port} ${fingerprint}`];
      const file = configure(ends, `client-${ends.marker}`, lines);
      await withClient(
        ends,
        "tor",
        args(file),
        async () => {},
        (client) =>
          client.waitFor(
            /\(handshake_done\)|\(onehop_create\)|\(requesting_status\)|\(loading_status\)/,
            patience(ends.job),
          ),
      );
      return "through";
    },
    ...nameless(164, port, "tcp"),
  }),
];
