/** Row N8: Encrypted Client Hello, whose outer name is all that can be seen. */
import { buildHello, bytes, records, serverNames, vector } from "../../wire/hello.ts";
import type { Attack } from "../case.ts";
import { hello } from "../refusals.ts";
import { sendBytes } from "./shown.ts";

/** An outer hello (RFC 9849): a cipher suite, a config id, an encapsulated key, and what nobody here can read. */
const outer = bytes(0, 0, 1, 0, 1, 7, vector(2, new Uint8Array(32).fill(5)), vector(2, new Uint8Array(64).fill(6)));

export const hiddenCases: Attack[] = [
  {
    kind: "attack",
    row: "N8",
    variant: "an inner name behind the outer name of a rule that says no",
    run: async (job, marker) => {
      await job.resolve("hidden.example");
      const sessionId = new Uint8Array(Buffer.from(marker.padEnd(32, "-")));
      const message = buildHello({ sessionId, extensions: [serverNames("hidden.example"), [0xfe0d, outer]] });
      await job.node(sendBytes, [job.dot(10), Buffer.from(records(message)).toString("hex")]);
    },
    refusal: (job) => ({ ...hello("hidden.example", "ech")(job), rule: { name: "no hidden names", tier: 2 } }),
  },
];
