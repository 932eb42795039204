/** Rows N1 to N3: an allowed name at a foreign address, a foreign name at an allowed address, data in the name itself. */
import type { Attack } from "../case.ts";
import type { Job } from "../job.ts";
import { refused } from "../refusals.ts";

/** The attacker's address on a port, where nothing explains it. */
const nameless = (port: number) => (job: Job) => refused("no_name", { ip: job.dot(66), port });

export const addressCases: Attack[] = [
  {
    kind: "attack",
    row: "N1",
    variant: "an allowed name's SNI at the attacker's address",
    run: (job, marker) => job.tls(`${job.at(66)}:443`, ["-servername", "allowed.example"], marker),
    refusal: nameless(443),
  },
  {
    kind: "attack",
    row: "N1",
    variant: "the same on another port",
    run: (job, marker) => job.tls(`${job.at(66)}:8443`, ["-servername", "allowed.example"], marker),
    refusal: nameless(8443),
  },
  {
    kind: "attack",
    row: "N1",
    variant: "the same once the attacker's address has a name of its own",
    run: async (job, marker) => {
      await job.resolve("evil.example");
      await job.curl("--connect-to", `::${job.at(66)}:443`, `https://allowed.example/${marker}`);
    },
    refusal: nameless(443),
  },
];
