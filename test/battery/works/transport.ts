/** TCP, UDP and QUIC below any name: either side first, half-closed, idle, large datagrams, a narrow path, HTTP/3. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Work } from "../case.ts";
import { allowed, output, program, reported, shell } from "./client.ts";

const streams = (port: number) => allowed("streams", 90, { name: "tcp.example", port });

export const transportCases: Work[] = [
  {
    kind: "work",
    row: "works",
    variant: "SSH by its banner",
    run: (job) => shell(job, `printf 'SSH-2.0-Test_1.0\\r\\n' | socat -t 10 - TCP${job.v}:ssh.example:22 | head -c 17`),
    allowance: allowed("shell", 22, { name: "ssh.example", port: 22, protocol: "ssh" }),
  },
  {
    kind: "work",
    row: "works",
    variant: "TCP with the client first, a megabyte each way",
    run: (job) => shell(job, `yes | head -c 1000000 | socat -t 20 - TCP${job.v}:tcp.example:9000 | sha256sum`),
    allowance: streams(9000),
  },
  {
    kind: "work",
    row: "works",
    variant: "TCP with the server first",
    run: (job) => shell(job, `echo hi | socat -t 20 - TCP${job.v}:tcp.example:9001`),
    allowance: streams(9001),
  },
  {
    kind: "work",
    row: "works",
    variant: "TCP half-closed: an answer once the client has ended",
    run: (job) => shell(job, `yes half | head -c 300000 | socat -t 20 - TCP${job.v}:tcp.example:9002`),
    allowance: streams(9002),
  },
  {
    kind: "work",
    row: "works",
    variant: "TCP that is idle for 30 seconds",
    slow: true,
    run: (job) => shell(job, `(echo before; sleep 30; echo after) | socat -t 20 - TCP${job.v}:tcp.example:9000`),
  },
  {
    kind: "work",
    row: "works",
    variant: "UDP, with datagrams small and larger than a packet",
    run: async (job) => {
      const echo = (size: number): Promise<string> =>
        shell(
          job,
          `head -c ${size} /dev/zero | tr '\\0' u | socat -b 9000 -t 3 - UDP${job.v}:udp.example:9100 | sha256sum`,
        );
      return [await echo(10), await echo(1200), await echo(4000)];
    },
    allowance: allowed("datagrams", 91, { name: "udp.example", port: 9100, protocol: "udp" }),
  },
  {
    kind: "work",
    row: "works",
    variant: "a path that takes smaller packets only",
    run: async (job) => {
      const script = `head -c 500000 /dev/zero | curl -sS -${job.v} --max-time 50 --data-binary @- https://narrow.wild.example/up`;
      const { server, bodyBytes } = JSON.parse(await shell(job, script)) as { server: string; bodyBytes: number };
      return {
        server,
        bodyBytes,
        down: await shell(job, `curl -sS -${job.v} --max-time 50 https://narrow.wild.example/bytes/500000 | sha256sum`),
        postQuantum: await program(job, "post-quantum", "https://narrow.wild.example/", job.v),
        plain: await reported(job, "https://narrow.wild.example/"),
      };
    },
    allowance: allowed("web", 33, { name: "narrow.wild.example", port: 443 }),
  },
  {
    kind: "work",
    row: "works",
    variant: "HTTP/3",
    run: async (job) => {
      const name = `quic${job.v}.example`;
      const folder = join(job.machine.home, `http3-${job.v}`);
      await output(job, "mkdir", ["-p", folder]);
      const url = `https://${name}/index.html`;
      await output(job, "gtlsclient", [
        "--quiet",
        "--exit-on-all-streams-close",
        `--download=${folder}`,
        name,
        "443",
        url,
      ]);
      return readFileSync(join(folder, "index.html"), "utf8");
    },
    allowance: (job) => allowed("http/3", 92, { name: `quic${job.v}.example`, port: 443, protocol: "quic" })(job),
  },
];
