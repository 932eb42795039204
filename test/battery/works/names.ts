/** Names: aliases, addresses that turn, move or are of one family, answers too large for a datagram, careful resolvers. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Work } from "../case.ts";
import type { Job } from "../job.ts";
import { allowed, curl, output, program, reported } from "./client.ts";

const web = (n: number, name: string) => allowed("web", n, { name, name_from: "sni", port: 443 });
const asked = (name: string, dns: object = {}) => ({ kind: "dns", rule: { name: "web" }, destination: { name }, dns });

async function dig(job: Job, ...args: string[]): Promise<string[]> {
  const text = await output(job, "dig", ["+tries=2", "+time=5", `@${job.resolver}`, ...args]);
  return text.trim().split("\n");
}

/** Addresses of one answer each, in order; one a time is what a resolver gives. */
async function addresses(job: Job, name: string): Promise<string[]> {
  return (await dig(job, "+short", name, job.type)).filter((line) => /^[\da-f.:]+$/.test(line)).toSorted();
}

/**
 * A resolver of the job's own, which spells names at random and takes only answers spelled alike, and asks again for each
 * target of an alias, which no rule names.
 */
async function unbound(job: Job): Promise<unknown> {
  const file = join(job.machine.home, `unbound${job.v}.conf`);
  const lines = [
    "server:",
    ` directory: "${job.machine.home}"`,
    ' username: ""',
    ' chroot: ""',
    ' pidfile: ""',
    " use-syslog: no",
    " interface: 127.0.0.1@5300",
    " do-daemonize: no",
    " do-not-query-localhost: no",
    " use-caps-for-id: yes",
    ' module-config: "iterator"',
    "forward-zone:",
    ' name: "."',
    ` forward-addr: ${job.resolver}`,
    "remote-control:",
    " control-enable: no",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  const resolver = job.spawn("unbound", ["-d", "-v", "-c", file]);
  try {
    await resolver.waitFor(/start of service/, 20_000);
    const ask = (name: string) => output(job, "dig", ["+short", "@127.0.0.1", "-p", "5300", name, job.type]);
    return [await ask("allowed.example"), await ask("caps.wild.example"), await ask("cdn.example")];
  } finally {
    await resolver.kill("SIGKILL");
  }
}

export const nameCases: Work[] = [
  {
    kind: "work",
    row: "works",
    variant: "a chain of aliases",
    run: async (job) => [
      await reported(job, "https://cdn.example/"),
      await dig(job, "+short", "cdn.example", job.type),
    ],
    allowance: web(20, "cdn.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "an address that turns with every answer",
    run: async (job) => {
      const records = [40, 41, 42].map((n) => ({ type: job.type, data: job.dot(n), ttl: 1 }));
      await job.lab.internet.dns.set("rotating.example", { records, rotate: "one" });
      const seen = new Set<string>();
      const end = performance.now() + 30_000;
      while (seen.size < 3 && performance.now() < end) {
        seen.add((await reported(job, "https://rotating.example/")).address);
      }
      return [...seen].toSorted();
    },
    allowance: { kind: "connection", rule: { name: "web" }, destination: { name: "rotating.example" } },
  },
  {
    kind: "work",
    row: "works",
    variant: "a download that outlives its answer and its name's move",
    run: async (job) => {
      const name = `leaving${job.v}.wild.example`;
      const move = async (n: number): Promise<void> => {
        await job.lab.internet.host(job.dot(n), [name]);
        await job.lab.internet.dns.set(name, { records: [{ type: job.type, data: job.dot(n), ttl: 1 }] });
      };
      await move(71);
      const slow = job.spawn("curl", ["-sS", "-N", `-${job.v}`, `https://${name}/slow?seconds=4`]);
      await slow.waitFor(/^\.+/, 20_000);
      await move(72);
      const end = performance.now() + 20_000;
      let address = "";
      while (address !== job.dot(72) && performance.now() < end)
        ({ address } = await reported(job, `https://${name}/`));
      const { code, stdout } = await slow.exited;
      return { code, stdout, address };
    },
    allowance: (job) => web(72, `leaving${job.v}.wild.example`)(job),
  },
  {
    kind: "work",
    row: "works",
    variant: "a host of one family",
    run: async (job) => {
      const name = `v${job.v}only.example`;
      const other = job.v === 4 ? "AAAA" : "A";
      const { server, address } = await reported(job, `https://${name}/`);
      const either = JSON.parse(await output(job, "curl", ["-sS", `https://${name}/`])) as { address: string };
      return { server, address, either: either.address, none: await dig(job, "+short", name, other) };
    },
    allowance: (job) => web(job.v === 4 ? 44 : 46, `v${job.v}only.example`)(job),
  },
  {
    kind: "work",
    row: "works",
    variant: "Happy Eyeballs, when the other family is silent",
    run: async (job) => {
      const name = `eyes${job.v}.wild.example`;
      const answer = "%{http_code} %{remote_ip}";
      const args = ["--happy-eyeballs-timeout-ms", "200", "--connect-timeout", "20", "-o", "/dev/null", "-w", answer];
      return [await output(job, "curl", ["-sS", ...args, `https://${name}/`]), await program(job, "eyeballs", name)];
    },
    allowance: (job) => web(47, `eyes${job.v}.wild.example`)(job),
  },
  {
    kind: "work",
    row: "works",
    variant: "an answer too large for a datagram, over TCP",
    run: async (job) => {
      const flags = await dig(job, "+ignore", "+noall", "+comments", "big.example", "TXT");
      const text = await dig(job, "+noall", "+answer", "+nottlid", "big.example", "TXT");
      const stats = await dig(job, "+noall", "+stats", "big.example", "TXT");
      return {
        truncated: /flags: [a-z ]*\btc\b/.test(flags.join("\n")),
        tcp: stats.some((line) => line.includes("(TCP)")),
        text,
      };
    },
    allowance: asked("big.example", { qtype: "TXT", rcode: "NOERROR" }),
  },
  {
    kind: "work",
    row: "works",
    variant: "sixty addresses, with small, large and no EDNS",
    run: async (job) => {
      const name = "crowd.wild.example";
      const each: string[][] = [];
      for (const size of ["+noedns", "+bufsize=512", "+bufsize=1232", "+bufsize=4096", "+tcp"]) {
        const lines = await dig(job, "+short", size, name, job.type);
        each.push(lines.toSorted());
      }
      // Whichever of them the client takes, its certificate may be another tenant's.
      return { each, fetched: await curl(job, "-k", "-o", "/dev/null", "-w", "%{http_code}", `https://${name}/`) };
    },
    allowance: asked("crowd.wild.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "names spelled in any case",
    run: async (job) => ({
      question: (await dig(job, "+noall", "+question", "aLLoWeD.ExAmPlE", job.type)).at(-1)?.split(/\s/)[0],
      addresses: await addresses(job, "AllOwed.exAMPLE"),
      fetched: await reported(job, "https://ALLOWED.Example/"),
    }),
    allowance: web(10, "allowed.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "a resolver that checks the spelling (0x20)",
    run: unbound,
    allowance: asked("caps.wild.example"),
  },
];
