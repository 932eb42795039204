/** openvpn(8) with the small set-up of its manual: self-signed certificates known by their fingerprints. */
import { join } from "node:path";
import type { Attack } from "../case.ts";
import { runTool } from "../../lab/tools.ts";
import { nameless, toolCase, withClient, type Ends } from "./tool.ts";
import { deliverInside, inner } from "./tun.ts";

type Certificate = { key: string; cert: string; fingerprint: string };

/** One pair for all of a lab's servers and clients. */
function certificates({ attacker }: Ends): Promise<{ server: Certificate; client: Certificate }> {
  return attacker.once("openvpn certificates", async () => {
    const directory = attacker.directory("openvpn");
    const make = async (name: string): Promise<Certificate> => {
      const [key, cert] = [join(directory, `${name}.key`), join(directory, `${name}.crt`)];
      const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
      await runTool("openssl", ["req", "-x509", ...kind, "-subj", `/CN=${name}`, "-keyout", key, "-out", cert]);
      const shown = await runTool("openssl", ["x509", "-in", cert, "-noout", "-sha256", "-fingerprint"]);
      return { key, cert, fingerprint: shown.trim().split("=")[1] ?? "" };
    };
    const [server, client] = await Promise.all([make("server"), make("client")]);
    return { server, client };
  });
}

const common = ["--dev-type", "tun", "--topology", "subnet", "--disable-dco", "--verb", "3"];

function openvpn(n: number, protocol: "udp" | "tcp", port: number): Attack {
  const proto = ({ job }: Ends, end: string): string => `${protocol}${job.v}${protocol === "tcp" ? `-${end}` : ""}`;
  return toolCase({
    variant: `openvpn: ${protocol.toUpperCase()} port ${port}`,
    n,
    server: async (ends) => {
      const { server, client } = await certificates(ends);
      const args = [
        ...["--server", inner(n, ends.job.v).net, "255.255.255.0", "--dev", ends.name, ...common],
        ...["--local", ends.address, "--port", String(port), "--proto", proto(ends, "server"), "--dh", "none"],
        ...["--cert", server.cert, "--key", server.key, "--peer-fingerprint", client.fingerprint],
      ];
      await ends.attacker.spawn("openvpn", args, /Initialization Sequence Completed/);
    },
    client: async (ends) => {
      const { server, client } = await certificates(ends);
      const args = [
        ...["--client", "--nobind", "--dev", ends.name, ...common],
        ...["--remote", ends.address, String(port), "--proto", proto(ends, "client")],
        ...["--cert", client.cert, "--key", client.key, "--peer-fingerprint", server.fingerprint],
      ];
      await withClient(ends, "openvpn", args, /Initialization Sequence Completed/, () =>
        deliverInside(ends, inner(n, ends.job.v).server),
      );
    },
    ...nameless(n, port, protocol),
  });
}

export const openvpnCases: Attack[] = [openvpn(144, "udp", 1194), openvpn(145, "tcp", 443)];
