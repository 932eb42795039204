/** iodine(8): IP over DNS. Its server stands at an address of its own, and a zone is delegated to it. IPv4 only. */
import type { Attack } from "../case.ts";
import { delegate, toolCase, withClient, zoneless, type Ends } from "./tool.ts";
import { deliverInside, inner } from "./tun.ts";

const secret = "correct horse";

function server(n: number): (ends: Ends) => Promise<void> {
  return async (ends) => {
    const { attacker, address, zone, name } = ends;
    await delegate(ends);
    const args = ["-f", "-c", "-P", secret, "-d", name, "-l", address, `${inner(n, 4).server}/24`, zone];
    await attacker.spawn("iodined", args, /Listening to dns/);
  };
}

function client(n: number, args: (ends: Ends) => string[]): (ends: Ends) => Promise<void> {
  return (ends) =>
    withClient(
      ends,
      "iodine",
      ["-f", "-P", secret, "-d", ends.name, ...args(ends), ends.zone],
      /Connection setup complete/,
      () => deliverInside(ends, inner(n, 4).server),
    );
}

/** `watched`: what monitor mode says, where it is the type of the question that would be refused. */
function iodine(n: number, how: string, args: (ends: Ends) => string[], qtype?: string, watched = qtype): Attack {
  return toolCase({
    variant: `iodine: ${how}`,
    n,
    families: [4],
    server: server(n),
    client: client(n, args),
    refusal: zoneless(n, qtype),
    foretold: watched === "NULL" ? zoneless(n, watched, "query_type") : null,
  });
}

/** A size that every type of answer can carry: finding the largest takes it ten seconds. */
const small = ["-m", "100"];

const provider = ({ job }: Ends): string => job.resolver;

export const iodineCases: Attack[] = [
  iodine(129, "as the manual says, through the resolver", (ends) => ["-r", provider(ends)], undefined, "NULL"),
  iodine(130, "straight to its server, raw UDP mode and all", ({ address }) => [...small, address], undefined, "NULL"),
  iodine(131, "straight to its server, DNS only", ({ address }) => ["-r", ...small, address], undefined, "NULL"),
  ...(["NULL", "TXT", "CNAME", "SRV", "MX", "A"] as const).map((type, i) =>
    iodine(132 + i, `${type} queries`, (ends) => ["-r", ...small, "-T", type, provider(ends)], type),
  ),
];
