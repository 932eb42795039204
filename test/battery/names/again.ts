/** Row N10: a second hello, after the server asked for one, with another name. */
import {
  buildHello,
  records,
  serverNames,
  supportedVersions,
  bytes,
  vector,
  type Extension,
} from "../../wire/hello.ts";
import type { Attack } from "../case.ts";
import { hello, letGo } from "../refusals.ts";

/** A hello whose only key share is for a group the server does not like: it answers HelloRetryRequest (RFC 8446 4.1.4). */
function asking(name: string, shares: Uint8Array): Uint8Array {
  const extensions: Extension[] = [
    serverNames(name),
    supportedVersions(0x0304),
    [10, vector(2, bytes(0, 0x1d, 0, 0x17))],
    [13, vector(2, bytes(4, 3, 8, 4, 8, 5, 8, 6))],
    [51, vector(2, shares)],
  ];
  return records(
    buildHello({ sessionId: new Uint8Array(32).fill(7), cipherSuites: [0x1301, 0x1302, 0x1303], extensions }),
  );
}

/** Two writes: the second when the server has answered the first. */
const twice = `
const [, host, first, second] = process.argv;
const socket = require("net").connect({ host, port: 443, noDelay: true }, () => socket.write(Buffer.from(first, "hex")));
let answered = false;
socket.on("error", () => process.exit()).on("close", () => process.exit());
socket.on("data", () => { if (!answered) socket.write(Buffer.from(second, "hex")); answered = true; });
setTimeout(() => process.exit(), 2000);`;

const share = bytes(0, 0x1d, vector(2, new Uint8Array(32).fill(9)));
const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");
/** What TLS 1.3 in middlebox mode sends before its second hello (RFC 8446 appendix D.4). */
const changeOfCipher = Uint8Array.of(20, 3, 3, 0, 1, 1);

const variants: [string, (second: Uint8Array) => Uint8Array][] = [
  ["the attacker's SNI in the second hello after a HelloRetryRequest", (second) => second],
  ["the same behind a change of cipher", (second) => bytes(changeOfCipher, second)],
];

export const againCases: Attack[] = variants.map(([variant, wrap]) => ({
  kind: "attack",
  row: "N10",
  variant,
  run: async (job, marker) => {
    await job.resolve("allowed.example");
    const second = wrap(asking(`${marker}.evil.example`, share));
    await job.node(twice, [job.dot(10), hex(asking("allowed.example", new Uint8Array(0))), hex(second)]);
  },
  refusal: (job, marker) => hello(`${marker.toLowerCase()}.evil.example`, "host_changed")(job),
  foretold: (job) => ({ ...hello("allowed.example", "rule")(job), ...letGo }),
}));
