/** HTTP and WebSocket: large bodies either way, every way to upload, one connection for much, many connections at once. */
import { createHash } from "node:crypto";
import type { Work } from "../case.ts";
import { allowed, curl, output, program, reported, shell, withoutClient } from "./client.ts";
import type { WebReport } from "../../lab/internet/web.ts";

const web = (n: number, name: string) => allowed("web", n, { name, name_from: "sni", port: 443, protocol: "tls" });
const plain = allowed("plain web", 80, { name: "plain.example", name_from: "host", port: 80, protocol: "http" });

export const httpCases: Work[] = [
  {
    kind: "work",
    row: "works",
    variant: "a large download",
    run: async (job) => {
      const size = 20_000_000;
      const sum = await shell(
        job,
        `curl -sS -${job.v} --max-time 50 https://allowed.example/bytes/${size} | sha256sum`,
      );
      const zeros = createHash("sha256").update(Buffer.alloc(size)).digest("hex");
      if (sum !== `${zeros}  -\n`) throw new Error(`other bytes than were served: ${sum}`);
      return sum;
    },
    allowance: web(10, "allowed.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "uploads: with a length, chunked, and after 100 Continue",
    run: async (job) => {
      const upload = async (url: string, input: Buffer, ...args: string[]): Promise<unknown> => {
        const all = ["-sS", `-${job.v}`, "--max-time", "50", ...args, url];
        const report = withoutClient(JSON.parse(await output(job, "curl", all, { input })) as WebReport);
        if (report.bodyBytes !== input.length) throw new Error(`${report.bodyBytes} bytes of ${input.length} arrived`);
        return report;
      };
      const continued = ["-H", "Expect: 100-continue", "--expect100-timeout", "45", "--data-binary", "@-"];
      return [
        await upload("https://allowed.example/length", Buffer.alloc(3_000_000, "l"), "--data-binary", "@-"),
        await upload("https://allowed.example/chunked", Buffer.alloc(300_000, "c"), "--http1.1", "-T", "-"),
        await upload("https://allowed.example/continued", Buffer.alloc(300_000, "e"), "--http1.1", ...continued),
        await upload("http://plain.example/chunked", Buffer.alloc(300_000, "c"), "-T", "-"),
        await upload("http://plain.example/continued", Buffer.alloc(300_000, "e"), ...continued),
      ];
    },
    allowance: plain,
  },
  {
    kind: "work",
    row: "works",
    variant: "HEAD, OPTIONS and a redirect",
    run: async (job) => [
      await curl(job, "-I", "-o", "/dev/null", "-w", "%{http_code} %{content_type}", "https://allowed.example/"),
      await reported(job, "-X", "OPTIONS", "https://allowed.example/"),
      await curl(job, "-I", "-o", "/dev/null", "-w", "%{http_code}", "http://plain.example/"),
      await reported(job, "-L", "http://plain.example/redirect?to=https://allowed.example/there"),
    ],
    allowance: web(10, "allowed.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "many plain requests on one connection",
    run: (job) => program(job, "keep-alive", "http://plain.example/", 150, job.v),
    allowance: plain,
  },
  {
    kind: "work",
    row: "works",
    variant: "100 streams on one HTTP/2 connection",
    run: (job) => program(job, "streams", "https://allowed.example", 100, job.v),
    allowance: web(10, "allowed.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "a WebSocket and a megabyte each way",
    // Node's client says no family: a name for each.
    run: (job) => program(job, "websocket", `wss://v${job.v}only.example/`, 1_000_000),
    allowance: (job) => web(job.v === 4 ? 44 : 46, `v${job.v}only.example`)(job),
  },
  {
    kind: "work",
    row: "works",
    variant: "500 connections at once",
    run: (job) => program(job, "many", "https://allowed.example/", 500, job.v),
    allowance: web(10, "allowed.example"),
  },
  {
    kind: "work",
    row: "works",
    variant: "2000 connections from 100 ports",
    run: async (job) => {
      await job.resolve("plain.example");
      return program(job, "reuse", job.dot(80), "plain.example", 2000, 100);
    },
    allowance: plain,
  },
  {
    kind: "work",
    row: "works",
    variant: "an upload that stands still for 30 seconds",
    slow: true,
    run: (job) => program(job, "idle", "https://still.wild.example/", 30, job.v),
    allowance: web(60, "still.wild.example"),
  },
];
